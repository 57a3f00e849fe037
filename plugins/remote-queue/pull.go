package remotequeue

import (
	"time"
)

// puller takes the starts of one lane for one executor. It asks for as many as the
// executor has slots free, and for more only as they are used up.
type puller struct {
	executor *localExecutor
	consumer string
	taskType string
	lane     laneConsumer
	// guarded by the worker's mu
	requested   int       // asked for and not come
	requestedAt time.Time // when last asked
	pausedUntil time.Time // not before: the broker refused
}

// maxPull is how many starts are asked for at a time.
const maxPull = 512

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
				offered[o.Consumer] = l
				if l.pullers[o.Consumer] == nil {
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

func (w *Worker) openPuller(l *localExecutor, o offerLane) {
	p := &puller{executor: l, consumer: o.Consumer, taskType: o.Type}
	var err error
	p.lane, err = w.broker.Consume(o.Consumer, laneEvents{
		Delivered: func(d delivery) { w.handleDelivery(p, d) },
		PullEnded: func(unused int, refused bool) { w.handlePullEnded(p, unused, refused) },
	})
	if err != nil {
		w.log.Warn("a lane cannot be taken from", "lane", o.Consumer, "error", err)
		return
	}
	l.pullers[o.Consumer] = p
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
			if p.requested > 0 && now.Sub(p.requestedAt) > pullExpiry+2*time.Second {
				p.requested = 0 // the broker's word that it expired was lost
			}
			if n := l.pullCount(p); n > 0 && !now.Before(p.pausedUntil) {
				w.sendPull(p, n, now)
			}
		}
	}
}

// pullCount is how many to ask for. The free slots are shared among the lanes, at least
// one each: what comes beyond the slots is given back. Small change is left to
// gather, as long as something is asked for.
func (l *localExecutor) pullCount(p *puller) int {
	free := l.slots - l.used
	if free <= 0 || l.pullers[p.consumer] != p { // or its lane is not offered any more
		return 0
	}
	share := max(1, free/len(l.pullers))
	n := share - p.requested
	if n <= 0 || p.requested > 0 && n <= share/4 {
		return 0
	}
	return min(n, maxPull)
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
func (w *Worker) handleDelivery(p *puller, d delivery) {
	s, err := decodeStart(d.Data())
	w.mu.Lock()
	p.requested = max(p.requested-1, 0)
	if err != nil || s.task.Type != p.taskType {
		w.mu.Unlock()
		w.counters.garbled.Add(1)
		w.log.Warn("a start that makes no sense was thrown away", "consumer", p.consumer)
		d.Discard()
		return
	}
	_, known := w.runs[s.task.Token]
	full := w.takesNothing() || len(w.runs) >= maxRuns || p.executor.used >= p.executor.slots
	later := s.task.Suspect && w.suspect != nil
	if !known && !full && !later {
		p.executor.used++
		r := &run{start: s, executor: p.executor, receivedAt: time.Now()}
		w.runs[s.task.Token] = r
		if s.task.Suspect {
			w.suspect = r
		}
	}
	more := p.executor.pullCount(p) > 0
	w.mu.Unlock()
	switch {
	case known: // delivered twice: it must not come a third time
		d.Acknowledge()
	case full:
		d.GiveBack(0)
	case later: // for another worker, or for this one when the suspect here has ended
		d.GiveBack(time.Second)
	default:
		if err := d.Accept(s.task.Token); err != nil {
			w.dropUnaccepted(s.task.Token)
		}
	}
	if more {
		wake(w.pullWanted)
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
		time.AfterFunc(time.Second+10*time.Millisecond, func() { wake(w.pullWanted) })
		return
	}
	wake(w.pullWanted)
}

// handleAcceptConfirmed is the broker's confirmation that a start is out of its hands. Only now
// may the host be asked: what it answers go to must not be handed out again.
func (w *Worker) handleAcceptConfirmed(t token) {
	w.mu.Lock()
	r := w.runs[t]
	ask := r != nil && r.phase == accepting
	if ask {
		r.phase, r.reportedAt = asking, time.Now()
	}
	w.mu.Unlock()
	if ask {
		w.queueItem(&item{kind: kindAsk, token: t})
	}
}
