package engine

import (
	"errors"
	"time"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// end ends the attempt's context with a cause, and bounds how long it may take
// to come back.
func (a *attempt) end(cause error) {
	a.ctx.End(cause) // only the first cause counts
	if errors.Is(cause, sdk.ErrDetach) {
		return // Close has a bound of its own
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.graceTimer == nil && !a.isBack {
		a.graceTimer = time.AfterFunc(a.grace(), func() { a.settleUnresponsive(cause) })
	}
}

// grace is how long the attempt may take to come back once its context has ended.
func (a *attempt) grace() time.Duration {
	return max(a.engine.opts.CancelGrace, a.executor.StopsWithin)
}

// startClock lets the attempt's time run, from now: what the store took to write its
// start down is not the attempt's.
func (a *attempt) startClock() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, limited := a.ctx.Deadline(); limited || a.isBack {
		return
	}
	a.ctx.Limit(attemptTime(a.task, a.rejoin, a.engine.now), func() { a.end(sdk.ErrTimeout) })
}

// attemptTime is how long the current attempt of t may still run. Of one that was started
// by an earlier host only the record's times are known, on a clock that may have been set
// since: it is never given more than its timeout.
func attemptTime(t *task.Task, rejoin bool, now func() time.Time) time.Duration {
	d := t.Timeout
	if rejoin {
		d -= max(now().Sub(t.StartedAt), 0)
	}
	if !t.Deadline.IsZero() {
		d = min(d, t.Deadline.Sub(now()))
	}
	return max(d, 0)
}
