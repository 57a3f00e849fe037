package engine

import (
	"context"
	"errors"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// change reads a task, decides and commits, again and again for as long as
// someone else changes it in between.
func (e *Engine) change(ctx context.Context, s task.Scope, id task.ID, decide func(*task.Task) (task.Change, error)) (task.Task, error) {
	for {
		t, err := e.store.Get(ctx, s, id)
		if err != nil {
			return t, err
		}
		c, err := decide(&t)
		if err != nil {
			e.registry.SetWaitReason(&t)
			return t, err
		}
		if c.Empty() {
			return e.shown(ctx, t)
		}
		err = e.commit(ctx, &c)
		if task.CodeOf(err) == task.CodeConflict {
			continue
		}
		if err != nil {
			return t, err
		}
		e.current(ctx, s, &c.Task)
		return c.Task, nil
	}
}

// Cancel asks the task to end. One that runs is canceling until its attempt's
// end is confirmed, or the grace is over.
func (e *Engine) Cancel(ctx context.Context, s task.Scope, id task.ID) (task.Task, error) {
	if _, err := e.store.Get(ctx, s, id); err != nil { // may the caller see it?
		return task.Task{}, err
	}
	if a := e.attemptOf(id); a != nil {
		t, err := a.requestCancel(ctx, s.Actor())
		if !errors.Is(err, errNotHeld) {
			e.registry.SetWaitReason(&t)
			return t, err
		}
	}
	var held bool
	t, err := e.change(ctx, s, id, func(t *task.Task) (task.Change, error) {
		held = !t.Token.IsZero()
		return task.Cancel(t, s.Actor(), e.now())
	})
	if err == nil && held {
		e.withdraw(id, t.Attempt, sdk.ErrCancel) // it began between the look and the commit
	}
	return t, err
}

// requestCancel cancels by way of the running attempt; errNotHeld if it is over, and the
// task to be looked at anew.
func (a *attempt) requestCancel(ctx context.Context, by string) (task.Task, error) {
	t, err := a.change(ctx, func(t *task.Task) (task.Change, error) { return task.Cancel(t, by, a.engine.now()) })
	if err == nil {
		a.end(sdk.ErrCancel)
	}
	return t, err
}

// withdraw tells the attempt of that number, which has lost its task or is to
// stop, and which may be about to begin.
func (e *Engine) withdraw(id task.ID, number int, cause error) {
	a := e.attemptOf(id)
	if a == nil || a.number != number {
		e.launches.await()
		a = e.attemptOf(id)
	}
	if a != nil && a.number == number {
		a.end(cause)
	}
}

// Retry runs a failed, canceled or reverted task again with fresh budgets, and with it those
// of its children that failed or were canceled.
func (e *Engine) Retry(ctx context.Context, s task.Scope, id task.ID) (task.Task, error) {
	below := false
	return e.change(ctx, s, id, func(t *task.Task) (task.Change, error) {
		c, err := e.retry(t, s.Actor())
		if err == nil && !below { // first, so that the task finds them so when it runs
			below = true
			err = e.retryChildren(ctx, s, t)
		}
		return c, err
	})
}

// retry has a task wait again, under the queue limit of its type.
func (e *Engine) retry(t *task.Task, by string) (task.Change, error) {
	c, err := task.Retry(t, by, e.now())
	limits := e.registry.LimitsOf(t.Type)
	c.Task.QueueLimit = limits.QueueLimit
	c.Task.Deadline = limits.DeadlineFrom(c.Task.RunAt)
	return c, err
}

// Delete removes a final task and all that belongs to it, its children too. not_final if it
// is not, or one of those is not.
func (e *Engine) Delete(ctx context.Context, s task.Scope, id task.ID) error {
	below, err := e.below(ctx, s, id)
	if err == nil && len(below) > 0 {
		err = e.deleteBelow(ctx, s, id, below)
	}
	if err != nil {
		return err
	}
	return e.commitDelete(ctx, s, id)
}
