package remotequeue

import (
	"time"
)

// beatLoop speaks to the host and repeats what it has not answered.
func (w *Worker) beatLoop() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-w.ctx.Done():
			return
		case <-w.beats:
		case <-timer.C:
		}
		if w.nc.IsConnected() {
			w.beat(false)
			w.repeat()
		}
		w.watchHost()
		w.mu.Lock()
		every := w.offer.Heartbeat
		w.mu.Unlock()
		if every == 0 {
			every = time.Second
		}
		timer.Reset(every)
		signal(w.pulls) // pulls whose end was not heard
	}
}

// maxRepeat is the longest that an unanswered report waits to be repeated.
const maxRepeat = 10 * time.Second

// repeat says again what the host has not answered.
func (w *Worker) repeat() {
	if w.out.backlog(w.peer) > 4<<20 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	for t, r := range w.runs {
		if r.phase == accepting && now.Sub(r.since) > ackWait {
			w.remove(t, r)
			continue
		}
		if r.phase == working {
			r.flush(w)
		}
		for seq, s := range r.saves {
			if now.Sub(s.sent) >= time.Second {
				s.sent = now
				w.tell(&item{kind: kindCheckpoint, token: t, seq: seq, data: s.data})
			}
		}
		if now.Sub(r.sent) < r.wait || r.fenced {
			continue
		}
		switch r.phase {
		case asking:
			r.sent, r.wait = now, time.Second
			w.tell(&item{kind: kindAsk, token: t})
		case finishedRun:
			if r.large != nil && r.putTo != w.offer.Host { // the one that had it is gone
				w.upload(t, r)
				continue
			}
			w.report(t, r, min(max(2*r.wait, time.Second), maxRepeat))
		}
	}
}

// hostSilence is when a host that says nothing counts as gone.
const hostSilence = 10 * time.Second

func (w *Worker) hostSpoke() {
	w.mu.Lock()
	back := w.hostGone
	w.heardHost, w.hostGone = time.Now(), false
	w.mu.Unlock()
	if back {
		w.log.Info("the host is back")
	}
}

// watchHost notices a host that is gone. What runs goes on; results are kept.
func (w *Worker) watchHost() {
	w.mu.Lock()
	gone := !w.hostGone && !w.heardHost.IsZero() && time.Since(w.heardHost) > hostSilence
	if gone {
		w.hostGone = true
	}
	kept := len(w.runs)
	w.mu.Unlock()
	if gone {
		w.log.Warn("the host is silent; what runs goes on and its results are kept", "attempts", kept)
	}
}
