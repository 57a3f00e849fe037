package worker

import (
	"slices"
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/broker"
	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/sdk"
)

// pullLoop asks for work whenever something changed.
func (w *Worker) pullLoop() {
	for {
		select {
		case <-w.ctx.Done():
			return
		case <-w.pullWanted:
		}
		w.updatePullers()
		w.sendPulls()
	}
}

// updatePullers begins and ends pullers by what the host offers.
func (w *Worker) updatePullers() {
	w.mu.Lock()
	defer w.mu.Unlock()
	offered := make(map[string]*localExecutor, len(w.offer.Lanes))
	for _, o := range w.offer.Lanes {
		for _, l := range w.executors {
			if _, ok := l.types[o.Type]; ok {
				offered[o.Name] = l
				if l.pullers[o.Name] == nil {
					w.openPuller(l, o)
				}
				break
			}
		}
	}
	for _, l := range w.executors {
		for c, p := range l.pullers {
			if offered[c] != l {
				p.lane.Close()
				delete(l.pullers, c)
			}
		}
	}
}

func (w *Worker) openPuller(l *localExecutor, o wire.OfferLane) {
	p := &puller{executor: l, laneName: o.Name, taskType: o.Type}
	var err error
	p.lane, err = w.broker.Consume(o.Name, broker.LaneEvents{
		Delivered: func(d broker.Delivery) { w.handleDelivery(p, d) },
		PullEnded: func(unused int, refused bool) { w.handlePullEnded(p, unused, refused) },
	})
	if err != nil {
		w.log.Warn("a lane cannot be taken from", "lane", o.Name, "error", err)
		return
	}
	l.pullers[o.Name] = p
}

func (w *Worker) sendPulls() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.takesNothing() || len(w.runs) >= maxRuns || !w.broker.Connected() {
		return
	}
	now := time.Now()
	for _, l := range w.executors {
		for _, p := range l.pullers {
			if p.requested > 0 && now.Sub(p.requestedAt) > broker.PullExpiry+2*time.Second {
				p.requested = 0 // the broker's word that it expired was lost
			}
			if n := l.pullCount(p); n > 0 && !now.Before(p.pausedUntil) {
				w.sendPull(p, n, now)
			}
		}
	}
}

func (w *Worker) sendPull(p *puller, n int, now time.Time) {
	if err := p.lane.Pull(n); err != nil {
		p.pausedUntil = now.Add(time.Second)
		return
	}
	p.requested += n
	p.requestedAt = now
}

// handleDelivery is a message of starts. Those that find no slot are given back: by the broker
// if none does, else to the host, which publishes them again.
func (w *Worker) handleDelivery(p *puller, d broker.Delivery) {
	starts, bad, err := wire.DecodeStarts(d.Data())
	all := len(starts)
	starts = slices.DeleteFunc(starts, func(s wire.Start) bool { return s.Task.Type != p.taskType })
	if err != nil || bad > 0 || len(starts) < all {
		w.log.Warn("starts that make no sense were thrown away", "consumer", p.laneName, "starts", max(bad, 1)+all-len(starts))
	}
	w.mu.Lock()
	p.requested = max(p.requested-1, 0)
	p.noteMessage(max(all+bad, 1))
	taken, left, wait := w.takeStarts(p.executor, starts)
	more := p.executor.pullCount(p) > 0
	w.mu.Unlock()
	switch {
	case len(starts) == 0:
		d.Discard()
	case len(left) == len(starts):
		d.GiveBack(wait)
	default: // of those that were known the broker did not hear: else they come a third time
		if err := d.Accept(); err != nil {
			w.dropUnaccepted(taken)
			break
		}
		for _, t := range left {
			w.queueItem(&wire.Item{Kind: wire.KindHandback, Token: t})
		}
	}
	if more {
		wire.Wake(w.pullWanted)
	}
}

// takeStarts enters the attempts that there is room for, and asks the host whether they may
// begin. Left are those that there is none for, and wait is what they should be left alone for.
// w.mu is held.
func (w *Worker) takeStarts(l *localExecutor, starts []wire.Start) (taken, left []sdk.Token, wait time.Duration) {
	now := time.Now()
	for i := range starts {
		s := &starts[i]
		t := s.Task.Token
		if w.runs[t] != nil { // delivered twice
			continue
		}
		full := w.takesNothing() || len(w.runs) >= maxRuns || l.used >= l.slots
		later := s.Task.Suspect && w.suspect != nil
		if full || later {
			left = append(left, t)
			if !full { // for another worker, or for this one when the suspect here has ended
				wait = time.Second
				if len(w.putBack) < maxPutBack {
					w.putBack[t] = now.Add(wait)
				}
			}
			continue
		}
		l.used++
		delete(w.putBack, t)
		r := &run{start: *s, executor: l, reportedAt: now}
		w.runs[t] = r
		if s.Task.Suspect {
			w.suspect = r
		}
		taken = append(taken, t)
		w.queueItem(&wire.Item{Kind: wire.KindAsk, Token: t})
	}
	return taken, left, wait
}

// handlePullEnded notes what will not come of what was asked for, and asks anew: at once
// where it merely expired, else after a second.
func (w *Worker) handlePullEnded(p *puller, unused int, refused bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if unused < 0 {
		unused = p.requested
	}
	p.requested = max(p.requested-unused, 0)
	if refused {
		p.pausedUntil = time.Now().Add(time.Second)
		time.AfterFunc(time.Second+10*time.Millisecond, func() { wire.Wake(w.pullWanted) })
		return
	}
	wire.Wake(w.pullWanted)
}
