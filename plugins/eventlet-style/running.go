package eventlet

import (
	"context"
	"sync"
	"time"

	"github.com/taskhost/taskhost/sdk"
)

// overdueAfter is how long a script may take to return once its context has ended, before
// the log says that it has not.
const overdueAfter = 5 * time.Second

// runningScripts are those of a pool, which looks now and then whether some are overdue: to be
// called when a context ends would cost more than a short script.
type runningScripts struct {
	mu  sync.Mutex
	all map[*runningScript]struct{}
	// looking says that somebody will look: not while none runs.
	looking bool
}

// runningScript is a running script. Nobody can end a goroutine from outside: one that
// does not return keeps its slot, and all that can be done is to say so.
type runningScript struct {
	ctx      context.Context
	id       string
	taskType string
	attempt  int

	// What follows is guarded by the mutex of runningScripts.

	// endedAt is when the context was first seen to have ended; zero before.
	endedAt time.Time
	// overdue says that the log says so.
	overdue bool
}

// watch begins to watch the script of t.
func (p *pool) watch(ctx context.Context, t *sdk.Task) *runningScript {
	w := &runningScript{ctx: ctx, id: t.ID, taskType: t.Type, attempt: t.Attempt}
	p.running.mu.Lock()
	defer p.running.mu.Unlock()
	p.running.all[w] = struct{}{}
	if !p.running.looking {
		p.lookAgain()
	}
	return w
}

// lookAgain has the scripts looked at soon. p.running.mu is held.
func (p *pool) lookAgain() {
	p.running.looking = true
	time.AfterFunc(max(p.overdueAfter/5, time.Millisecond), p.findOverdue)
}

// findOverdue says, once of each, which scripts have not returned in time.
func (p *pool) findOverdue() {
	p.running.mu.Lock()
	defer p.running.mu.Unlock()
	now := time.Now()
	for w := range p.running.all {
		switch {
		case w.overdue, w.ctx.Err() == nil:
		case w.endedAt.IsZero():
			w.endedAt = now
		case now.Sub(w.endedAt) >= p.overdueAfter:
			w.overdue = true
			p.log.Warn("a script has not returned although its context ended; it keeps its slot until it does",
				"task", w.id, "type", w.taskType, "attempt", w.attempt, "cause", context.Cause(w.ctx),
				"after", p.overdueAfter.String(), "overdue", p.overdue.Add(1), "slots", cap(p.slots))
		}
	}
	p.running.looking = false
	if len(p.running.all) > 0 {
		p.lookAgain()
	}
}

// returned ends the watch, and says so of a script that was overdue.
func (p *pool) returned(w *runningScript) {
	p.running.mu.Lock()
	delete(p.running.all, w)
	overdue := w.overdue
	p.running.mu.Unlock()
	if !overdue {
		return
	}
	p.log.Info("an overdue script has returned; its slot is free",
		"task", w.id, "type", w.taskType, "attempt", w.attempt,
		"overdue_for", time.Since(w.endedAt).Round(time.Millisecond).String(),
		"overdue", p.overdue.Add(-1), "slots", cap(p.slots))
}
