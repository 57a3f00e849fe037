package worker

import (
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/broker"
	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
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

// handleDelivery is a start, or the broker's word about a pull.
func (w *Worker) handleDelivery(p *puller, d broker.Delivery) {
	s, err := wire.DecodeStart(d.Data())
	w.mu.Lock()
	p.requested = max(p.requested-1, 0)
	if err != nil || s.Task.Type != p.taskType {
		w.mu.Unlock()
		w.log.Warn("a start that makes no sense was thrown away", "consumer", p.laneName)
		d.Discard()
		return
	}
	_, known := w.runs[s.Task.Token]
	full := w.takesNothing() || len(w.runs) >= maxRuns || p.executor.used >= p.executor.slots
	later := s.Task.Suspect && w.suspect != nil
	if !known && !full && !later {
		p.executor.used++
		r := &run{start: s, executor: p.executor, reportedAt: time.Now(), saveTurn: make(chan struct{}, 1)}
		w.runs[s.Task.Token] = r
		if s.Task.Suspect {
			w.suspect = r
		}
		w.queueItem(&wire.Item{Kind: wire.KindAsk, Token: s.Task.Token})
	}
	more := p.executor.pullCount(p) > 0
	w.mu.Unlock()
	switch {
	case known: // delivered twice: if the broker does not hear this it comes a third time
		_ = d.Accept()
	case full:
		d.GiveBack(0)
	case later: // for another worker, or for this one when the suspect here has ended
		d.GiveBack(time.Second)
	default:
		if err := d.Accept(); err != nil {
			w.dropUnaccepted(s.Task.Token)
		}
	}
	if more {
		wire.Wake(w.pullWanted)
	}
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
