package engine

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

const (
	signalsAtOnce = 500
	// decisionsAtOnce are made together at the most.
	decisionsAtOnce = 64
	// signalRest is how long signals rest that could not be decided upon.
	signalRest = time.Second
)

// decideSignals has groups and parents decide what follows from the ends of tasks: see
// task.Signal. A wake-up makes it quick, and the poll behind it certain.
func (e *Engine) decideSignals() {
	poll := time.NewTimer(0)
	defer poll.Stop()
	for {
		select {
		case <-poll.C:
		case <-e.signalled:
		case <-e.ctx.Done():
			return
		}
		poll.Reset(e.decideAll())
	}
}

// decideAll decides upon all signals there are, and says when to look again.
func (e *Engine) decideAll() time.Duration {
	retry := e.retryFinishers()
	for {
		signals, err := e.store.Signals(e.ctx, signalsAtOnce)
		if err != nil {
			if e.ctx.Err() == nil {
				e.log.Error("cannot read what is to be decided; trying again", "error", err)
			}
			return signalRest
		}
		decided := e.decideEach(signals)
		if e.ctx.Err() != nil {
			return signalRest
		}
		if decided == 0 || len(signals) < signalsAtOnce && decided == len(signals) {
			// What was given meanwhile has woken this loop.
			if !retry.IsZero() {
				return min(e.polls.signals, max(retry.Sub(e.now()), 0))
			}
			return e.polls.signals
		}
	}
}

// decideEach decides upon signals, each of which is somebody else's, and says upon how many.
func (e *Engine) decideEach(signals []task.Signal) int {
	var decided atomic.Int64
	e.together(len(signals), func(i int) {
		if e.decided(signals[i]) {
			decided.Add(1)
		}
	})
	return int(decided.Load())
}

// together calls do with each number below n, many at a time, until the engine ends: what they
// commit shares commits then, where each alone would wait for the disk.
func (e *Engine) together(n int, do func(i int)) {
	var all sync.WaitGroup
	var next atomic.Int64
	for range min(n, decisionsAtOnce) {
		all.Go(func() {
			for i := int(next.Add(1)) - 1; i < n && e.ctx.Err() == nil; i = int(next.Add(1)) - 1 {
				do(i)
			}
		})
	}
	all.Wait()
}

// decided decides upon one signal, and says whether it is to be read again only if it was given anew.
func (e *Engine) decided(g task.Signal) bool {
	err := e.decide(g)
	switch task.CodeOf(err) {
	case "", task.CodeConflict: // somebody was quicker, or it was given anew: it is read again
		return true
	}
	if !lostRace(err) && e.ctx.Err() == nil {
		e.log.Error("cannot decide what follows from the end of tasks; trying again", "of", g.ID, "error", err)
	}
	return false
}

// decide decides upon one signal, and uses it up with the commit of what was decided.
func (e *Engine) decide(g task.Signal) error {
	switch g.Kind {
	case task.SignalGroup:
		return e.finishGroup(g)
	case task.SignalResource:
		return e.grantResource(g)
	case task.SignalChildrenDone:
		return e.wakeParent(g)
	case task.SignalCancelDown:
		return e.cancelChildren(g)
	}
	return task.Errorf(task.CodeInternal, "a signal of kind %d, which this host does not know", g.Kind)
}

// useUp takes a signal off the record upon which nothing is to be done.
func (e *Engine) useUp(g task.Signal) error {
	return e.store.Commit(e.ctx, task.Transaction{Signals: []task.Signal{g}})
}

// wakeSignals has decideSignals look. It never blocks.
func (e *Engine) wakeSignals() {
	select {
	case e.signalled <- struct{}{}:
	default:
	}
}
