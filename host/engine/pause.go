package engine

import (
	"context"
	"errors"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// Pause has a task rest until Resume: one that waits at once, one that runs if its script
// agrees, by resting until it is resumed. Pause returns when that one rests; conflict if it
// still runs when ctx ends, and already final if it ended instead. What was asked stands.
func (e *Engine) Pause(ctx context.Context, s task.Scope, id task.ID) (task.Task, error) {
	t, err := e.askToRest(context.WithoutCancel(ctx), s, id)
	if err != nil || t.State != task.Running {
		return t, err
	}
	number := t.Attempt
	t, err = e.waitUntil(ctx, s, id, func(t *task.Task) bool { return t.State != task.Running || t.Attempt != number })
	switch {
	case err != nil:
		return t, err
	case t.State == task.Running && t.Attempt == number:
		return t, task.Errorf(task.CodeConflict, "task %s still runs: its script was asked to rest and has not agreed yet", id)
	case t.State.Final():
		return t, task.Errorf(task.CodeAlreadyFinal, "task %s is %s: it ended before it rested", id, t.State)
	}
	return t, nil
}

// askToRest has a task that waits rest, and asks the script of one that runs, which is
// returned as it is.
func (e *Engine) askToRest(ctx context.Context, s task.Scope, id task.ID) (task.Task, error) {
	for {
		t, err := e.change(ctx, s, id, func(t *task.Task) (task.Change, error) {
			if t.State == task.Running { // its attempt is asked below
				return task.Change{}, mayRest(t)
			}
			return task.Pause(t, s.Actor(), e.now())
		})
		if err != nil || t.State != task.Running {
			return t, err
		}
		a := e.attemptOf(id)
		if a == nil {
			e.launches.await()
			a = e.attemptOf(id)
		}
		if a != nil && a.number == t.Attempt {
			a.pause(s.Actor())
			return t, nil
		}
		if now, err := e.store.Get(ctx, s, id); err != nil || now.Version == t.Version { // held by another host, or about to end
			return t, err
		}
	}
}

// mayRest is an error if a task that runs must not be asked to rest: most scripts stop when they are asked,
// and begin anew when they are resumed.
func mayRest(t *task.Task) error {
	if t.MaxLost > 0 {
		return nil
	}
	return task.Errorf(task.CodeConflict, "task %s runs and must never run twice (its max_lost is 0): it can be paused only while it waits", t.ID)
}

// pause asks the script to rest. It is not bound to, nor bounded in time: a cancel and
// the timeout still are.
func (a *attempt) pause(by string) {
	a.mu.Lock()
	a.pausedBy = by
	a.mu.Unlock()
	a.ctx.End(sdk.ErrPause)
}

// Resume has a task wait for its turn again that was paused, or that rests until it is
// resumed.
func (e *Engine) Resume(ctx context.Context, s task.Scope, id task.ID) (task.Task, error) {
	return e.change(ctx, s, id, func(t *task.Task) (task.Change, error) { return task.Resume(t, s.Actor(), e.now()) })
}

// Move pins a waiting task to an executor that offers its type; "" leaves it to config again.
func (e *Engine) Move(ctx context.Context, s task.Scope, id task.ID, executor string) (task.Task, error) {
	return e.change(ctx, s, id, func(t *task.Task) (task.Change, error) {
		if executor != "" {
			if _, _, err := e.registry.Lookup(t.Type, executor); err != nil {
				return task.Change{}, err
			}
		}
		return task.Move(t, executor, e.now())
	})
}

// Reprioritize gives a waiting task another priority.
func (e *Engine) Reprioritize(ctx context.Context, s task.Scope, id task.ID, priority int) (task.Task, error) {
	return e.change(ctx, s, id, func(t *task.Task) (task.Change, error) { return task.Reprioritize(t, priority, e.now()) })
}

// isSettledAlready says that an action has nothing to do for a task: what it is asked to
// become it is, or it can't become it any more.
func isSettledAlready(err error) bool {
	switch task.CodeOf(err) {
	case task.CodeAlreadyFinal, task.CodeNotFinal, task.CodeNotFound, task.CodeConflict:
		return true
	}
	return errors.Is(err, errNotHeld)
}
