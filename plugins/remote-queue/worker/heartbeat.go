package worker

import (
	"encoding/json"
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
)

// sendHeartbeat tells the host what goes on here.
func (w *Worker) sendHeartbeat(bye bool) {
	w.mu.Lock()
	h := wire.Heartbeat{Draining: w.takesNothing(), Offer: w.offer.ID, Unreachable: w.restUnreachable, Bye: bye, Revision: w.revision}
	for _, l := range w.executors {
		h.Used += l.used
	}
	for t, r := range w.runs {
		if !r.fenced {
			h.Running = append(h.Running, t[:]...)
		}
	}
	h.Running = w.appendPutBack(h.Running)
	if w.describeNext.Swap(false) {
		h.Info = w.describeSelf()
	}
	w.mu.Unlock()
	data, err := json.Marshal(h)
	if err != nil {
		w.log.Error("heartbeat", "error", err)
		return
	}
	if err := w.broker.Send(wire.ChannelHeartbeat, data); err != nil && h.Info != nil {
		w.describeNext.Store(true)
	}
}

// appendPutBack names what this worker has given back for later: until it is delivered again it is
// in no queue that a broker counts, and a host that hears nothing of it takes it for lost. Each is
// named once at the least. w.mu is held.
func (w *Worker) appendPutBack(named []byte) []byte {
	now := time.Now()
	for t, until := range w.putBack {
		named = append(named, t[:]...)
		if now.After(until) {
			delete(w.putBack, t)
		}
	}
	return named
}

// heartbeatLoop speaks to the host and repeats what it has not answered.
func (w *Worker) heartbeatLoop() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-w.ctx.Done():
			return
		case <-w.heartbeatWanted:
		case <-timer.C:
		}
		if w.broker.Connected() {
			w.sendHeartbeat(false)
			w.repeatUnanswered()
		}
		w.watchHostSilence()
		w.mu.Lock()
		every := w.offer.Heartbeat
		w.mu.Unlock()
		if every == 0 {
			every = time.Second
		}
		timer.Reset(every)
		wire.Wake(w.pullWanted) // pulls whose end was not heard
	}
}

// maxRepeat is the longest that an unanswered report waits to be repeated.
const maxRepeat = 10 * time.Second

// repeatUnanswered says again what the host has not answered.
func (w *Worker) repeatUnanswered() {
	if w.outbox.WaitingBytes(w.peer) > 4<<20 {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	now := time.Now()
	for t, r := range w.runs {
		if r.phase == working {
			r.sendProgress(w)
		}
		for _, s := range r.unacked {
			if now.Sub(s.sent) >= time.Second {
				s.sent = now
				w.queueItem(&s.item)
			}
		}
		if now.Sub(r.reportedAt) < r.repeatAfter || r.fenced {
			continue
		}
		switch r.phase {
		case asking:
			r.reportedAt = now
			r.repeatAfter = time.Second
			w.queueItem(&wire.Item{Kind: wire.KindAsk, Token: t})
		case reporting:
			if r.largeResult != nil && r.uploadedTo != w.offer.Host { // the one that had it is gone
				w.upload(t, r)
				continue
			}
			w.reportOutcome(t, r, min(max(2*r.repeatAfter, time.Second), maxRepeat))
		}
	}
}

// repeatAllNext has all that the host has not answered said again with the next heartbeat, however often that
// was done. w.mu is held.
func (w *Worker) repeatAllNext() {
	for _, r := range w.runs {
		r.repeatAfter = 0
		r.reportedAt = time.Time{}
	}
}

// hostSilence is when a host that says nothing counts as gone.
const hostSilence = 10 * time.Second

// noteHostHeard notes that the host lives. One that left heartbeats without an answer may not have heard
// other things either, as while it was without its broker: they are said again.
func (w *Worker) noteHostHeard() {
	w.mu.Lock()
	now, back := time.Now(), w.hostSilent
	if now.Sub(w.heardHost) > max(3*w.offer.Heartbeat, 3*time.Second) {
		w.repeatAllNext()
		wire.Wake(w.heartbeatWanted)
	}
	w.heardHost, w.hostSilent = now, false
	w.mu.Unlock()
	if back {
		w.log.Info("the host is back")
	}
}

// watchHostSilence notices a host that is gone. What runs goes on; results are kept.
func (w *Worker) watchHostSilence() {
	w.mu.Lock()
	gone := !w.hostSilent && !w.heardHost.IsZero() && time.Since(w.heardHost) > hostSilence
	if gone {
		w.hostSilent = true
	}
	kept := len(w.runs)
	w.mu.Unlock()
	if gone {
		w.log.Warn("the host is silent; what runs goes on and its results are kept", "attempts", kept)
	}
}
