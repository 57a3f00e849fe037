package engine

import (
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// The limits of types and of owners on when attempts begin are kept by the store, in the commit that
// begins one. What is here has whoever may go on look again as soon as it may.

// letGo wakes whoever may begin an attempt because this change ended one, and a limit
// counts it no more. Which executor that is the limit does not tell.
func (e *Engine) letGo(c *task.Change) {
	if c.FromAttempt == 0 || !e.registry.Bounded(c.Task.Type, c.Task.Owner) || !c.Task.Token.IsZero() {
		return
	}
	e.registry.ServeNew()
	e.registry.WakeAll()
}

// claimed tells what follows from a claim under limits: tasks that may not begin yet may
// have been moved to lanes that are new, and some of a rate used up.
func (e *Engine) claimed() {
	if limited, _ := e.registry.AnyLimited(); limited && e.registry.ServeNew() {
		e.registry.WakeAll()
	}
	e.wakeRates()
}

// openRates wakes the executors when the rate of a type lets an attempt begin, by a timer
// on the next.
func (e *Engine) openRates() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-e.rated:
		case <-e.ctx.Done():
			return
		}
		opened, next := e.store.OpenRates(e.now())
		if opened {
			e.registry.WakeAll()
		}
		wait := e.polls.dispatch
		if !next.IsZero() {
			wait = min(wait, next.Sub(e.now()))
		}
		timer.Reset(max(wait, time.Millisecond))
	}
}

// wakeRates has openRates look, if there is a rate. It never blocks.
func (e *Engine) wakeRates() {
	if _, rates := e.registry.AnyLimited(); !rates {
		return
	}
	select {
	case e.rated <- struct{}{}:
	default:
	}
}
