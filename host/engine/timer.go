package engine

import (
	"context"
	"time"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

const (
	promoteAtOnce = 500
	retireAtOnce  = 500
	retireEvery   = 10 * time.Second
	retireRest    = 20 * time.Millisecond // between batches: others' work goes first
	overdueEvery  = time.Second
	flushEvery    = 250 * time.Millisecond // so a task's progress is written four times a second at most
)

func (e *Engine) pokeTimer() {
	select {
	case e.due <- struct{}{}:
	default:
	}
}

// promote makes scheduled tasks ready when they are due, by a timer on the
// smallest run_at.
func (e *Engine) promote() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-e.due:
		case <-e.ctx.Done():
			return
		}
		timer.Reset(e.promoteDue())
	}
}

// promoteDue promotes all that is due and says when to look again.
func (e *Engine) promoteDue() time.Duration {
	for {
		at := now()
		n, next, err := e.store.Promote(e.ctx, at, promoteAtOnce)
		if err != nil {
			if e.ctx.Err() == nil {
				e.log.Error("cannot promote scheduled tasks; trying again", "error", err)
			}
			return time.Second
		}
		if n > 0 {
			for _, r := range e.reg.runners {
				r.poke()
			}
		}
		if n == promoteAtOnce {
			continue
		}
		if next.IsZero() {
			return time.Minute
		}
		return min(max(time.Until(next), time.Millisecond), time.Minute)
	}
}

// retire deletes tasks whose time is up and fails pending ones past their deadline.
func (e *Engine) retire() {
	retire := time.NewTicker(retireEvery)
	overdue := time.NewTicker(overdueEvery)
	defer retire.Stop()
	defer overdue.Stop()
	for {
		select {
		case <-retire.C:
			e.retireExpired()
		case <-overdue.C:
			e.failOverdue()
		case <-e.ctx.Done():
			return
		}
	}
}

func (e *Engine) retireExpired() {
	for {
		_, more, err := e.store.Retire(e.ctx, now(), retireAtOnce)
		if err != nil && e.ctx.Err() == nil {
			e.log.Error("cannot retire tasks; trying again", "error", err)
		}
		if err != nil || !more {
			return
		}
		select {
		case <-time.After(retireRest):
		case <-e.ctx.Done():
			return
		}
	}
}

func (e *Engine) failOverdue() {
	late, err := e.store.Overdue(e.ctx, now(), promoteAtOnce)
	if err != nil {
		if e.ctx.Err() == nil {
			e.log.Error("cannot look for overdue tasks; trying again", "error", err)
		}
		return
	}
	for _, t := range late {
		held := false
		t, err := e.change(e.ctx, task.Scope{All: true}, t.ID, func(t task.Task) (task.Change, error) {
			if t.State != task.Pending { // it began meanwhile, and its own clock runs
				return task.Change{}, nil
			}
			held = !t.Token.IsZero()
			return task.Overdue(t, now())
		})
		if err == nil && held { // handed on, and not begun in time
			e.withdraw(t.ID, t.Attempt, sdk.ErrTimeout)
		}
		if err != nil && task.CodeOf(err) != task.CodeConflict && task.CodeOf(err) != task.CodeAlreadyFinal {
			e.log.Error("cannot fail an overdue task; trying again", "task", t.ID, "error", err)
		}
	}
}

// flush writes progress and log lines, coalesced.
func (e *Engine) flush() {
	tick := time.NewTicker(flushEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			e.flushNotes()
		case <-e.ctx.Done():
			return
		}
	}
}

func (e *Engine) flushNotes() {
	e.dirtyMu.Lock()
	dirty := e.dirty
	if len(dirty) == 0 { // it stays in use: nobody may look through it unlocked
		e.dirtyMu.Unlock()
		return
	}
	e.dirty = map[*attempt]struct{}{}
	e.dirtyMu.Unlock()
	var notes []task.ProgressNote
	for a := range dirty {
		a.noteMu.Lock()
		a.marked = false
		if a.moved {
			notes = append(notes, task.ProgressNote{Seq: a.seq, Attempt: a.n, Progress: a.progress, At: now()})
			a.moved = false
		}
		a.noteMu.Unlock()
		a.writeLogs()
	}
	if len(notes) == 0 {
		return
	}
	if err := e.store.Note(context.Background(), notes); err != nil {
		e.log.Warn("progress not written", "tasks", len(notes), "error", err)
	}
}
