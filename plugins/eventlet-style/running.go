package eventlet

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/taskhost/taskhost/sdk"
)

// overdueAfter is how long a script may take to return once its context has ended, before
// the log says that it has not.
const overdueAfter = 5 * time.Second

// runningScript is a running script. Nobody can end a goroutine from outside: one that
// does not return keeps its slot, and all that can be done is to say so.
type runningScript struct {
	pool         *pool
	ctx          context.Context
	id           string
	taskType     string
	attempt      int
	unwatch      func() bool
	state        atomic.Int32
	overdueSince time.Time // when it became overdue; set before state says so
}

// The states of a watched script.
const (
	stateRunning int32 = iota
	stateOverdue       // it is overdue, and the log says so
	stateReturned
)

// watch begins to watch the script of t. It costs no more than a registration with ctx until
// that ends.
func (p *pool) watch(ctx context.Context, t *sdk.Task) *runningScript {
	w := &runningScript{pool: p, ctx: ctx, id: t.ID, taskType: t.Type, attempt: t.Attempt}
	w.unwatch = context.AfterFunc(ctx, func() {
		time.AfterFunc(p.overdueAfter, w.reportOverdue)
	})
	return w
}

// reportOverdue says, once, that the script has not returned.
func (w *runningScript) reportOverdue() {
	w.overdueSince = time.Now()
	count := w.pool.overdue.Add(1)
	if !w.state.CompareAndSwap(stateRunning, stateOverdue) {
		w.pool.overdue.Add(-1)
		return
	}
	w.pool.log.Warn("a script has not returned although its context ended; it keeps its slot until it does",
		"task", w.id, "type", w.taskType, "attempt", w.attempt, "cause", context.Cause(w.ctx),
		"after", w.pool.overdueAfter.String(), "overdue", count, "slots", cap(w.pool.slots))
}

// returned ends the watch, and says so of a script that was overdue.
func (w *runningScript) returned() {
	w.unwatch()
	if w.state.Swap(stateReturned) != stateOverdue {
		return
	}
	w.pool.log.Info("an overdue script has returned; its slot is free",
		"task", w.id, "type", w.taskType, "attempt", w.attempt,
		"overdue_for", (w.pool.overdueAfter + time.Since(w.overdueSince)).Round(time.Millisecond).String(),
		"overdue", w.pool.overdue.Add(-1), "slots", cap(w.pool.slots))
}
