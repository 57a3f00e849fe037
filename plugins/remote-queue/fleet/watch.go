package fleet

import (
	"fmt"
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
)

// watchAttempts lets the fleet's time pass and ends what went unnamed for too long.
func (f *fleet) watchAttempts() {
	usual := time.Duration(f.queueConfig.Heartbeat) / 2
	tick := time.NewTicker(usual)
	defer tick.Stop()
	last := time.Now()
	var swept time.Time
	for {
		select {
		case <-f.ctx.Done():
			f.saveTypes()
			return
		case <-tick.C:
		}
		now := time.Now()
		f.clock.tick(now.Sub(last), usual, f.silenceCounts(now))
		last = now
		f.mu.Lock()
		f.endOverdue()
		f.withdrawUnserved()
		changed := f.forgetSilentWorkers()
		if now.Sub(swept) >= time.Minute {
			swept = now
			changed = f.forgetTypes(now) || changed
			changed = f.forgetGoneWorkers(now) || changed
		}
		f.mu.Unlock()
		f.saveTypes()
		if changed {
			f.cfg.Changed()
		}
	}
}

// maxWorkerPause is how long a worker may take to find a broker that is back: on RabbitMQ it
// rests for up to 6.5 seconds between two tries, which take time as well. It is back within about
// as long as the broker was away.
const maxWorkerPause = 10 * time.Second

// noteBack notes that the broker is back, and was away for so long.
func (f *fleet) noteBack(away time.Duration) {
	f.heardFrom.Store(new(time.Now().Add(min(away, maxWorkerPause))))
}

// silenceCounts says whether silence means anything: not while the broker is away or workers may
// not have found it yet, nor while the queue may be another host's or what workers said is still
// unread.
func (f *fleet) silenceCounts(now time.Time) bool {
	if !f.broker.Connected() || !f.owner.ownsQueue() {
		return false
	}
	if from := f.heardFrom.Load(); from != nil && now.Before(*from) {
		return false
	}
	unread, err := f.broker.Unread()
	return err == nil && unread < 1000
}

// keepUnsettled is how long an outcome is kept that nobody settles: a caller that
// does not know of Settled must not fill the memory.
const keepUnsettled = 10 * time.Minute

// endOverdue ends what is lost and repeats what is unheard. f.mu is held.
func (f *fleet) endOverdue() {
	now, lapse := f.clock.now(), time.Duration(f.queueConfig.Lapse)
	for t, a := range f.attempts {
		quiet := now - a.lastNamed
		switch {
		case a.phase == running && quiet > lapse:
			f.log.Warn("attempt lost", "task", a.id, "worker", a.peer.Name)
			f.endAttempt(a, wire.LostOutcome(fmt.Sprintf("worker %q did not name the attempt for %s", a.peer.Name, lapse)))
		case a.phase == running && a.stopCause != 0 && now-a.cancelSentAt >= time.Duration(f.queueConfig.Heartbeat):
			a.cancelSentAt = now
			f.queueItem(a.peer, &wire.Item{Kind: wire.KindCancel, Token: t, Cause: a.stopCause})
		case a.phase == ended && quiet > keepUnsettled:
			f.forgetAttempt(t)
		}
	}
	if len(f.forgottenTokens) > 0 && now > time.Duration(f.queueConfig.Rejoin) {
		clear(f.forgottenTokens)
	}
}

// forgetSilentWorkers drops workers that were silent for the lapse. f.mu is held.
func (f *fleet) forgetSilentWorkers() (changed bool) {
	for p, w := range f.workers {
		if f.clock.now()-w.heardAt > time.Duration(f.queueConfig.Lapse) {
			f.removeWorker(w)
			changed = true
			f.log.Warn("worker is gone", "worker", p.Name, "address", w.info.Address, "last_seen", w.heardTime)
		}
	}
	return changed
}
