package engine

import (
	"context"
	"errors"

	"github.com/taskhost/taskhost/host/task"
)

// errNotHeld: this attempt holds the task no more, and may not change it.
var errNotHeld = errors.New("this attempt no longer holds the task")

// lostRace says of an error of a change that somebody else was quicker to change, to end
// or to delete the task, which is no failure.
func lostRace(err error) bool {
	switch task.CodeOf(err) {
	case task.CodeConflict, task.CodeAlreadyFinal, task.CodeNotFound:
		return true
	}
	return false
}

// held is the task as last committed, and whether the attempt holds it.
func (a *attempt) held() (task.Task, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return *a.task, a.hold == holding
}

// holds says whether the attempt holds its task.
func (a *attempt) holds() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.hold == holding
}

// change decides on the task and commits, one change of the attempt at a time. Where
// somebody else has changed the task, it is decided anew on what is there now, for as long
// as the attempt holds it; errNotHeld after that. An empty change commits nothing.
func (a *attempt) change(ctx context.Context, decide func(*task.Task) (task.Change, error)) (task.Task, error) {
	select {
	case a.turn <- struct{}{}:
	case <-ctx.Done():
		return task.Task{}, ctx.Err()
	}
	defer func() { <-a.turn }()
	for {
		if !a.holds() {
			return task.Task{}, errNotHeld
		}
		c, err := decide(a.task)
		if err != nil || c.Empty() {
			return *a.task, err
		}
		err = a.engine.commit(ctx, &c)
		switch task.CodeOf(err) {
		case "":
			a.changed(&c.Task)
			return c.Task, nil
		case task.CodeConflict, task.CodeNotFound:
			err = a.reread(ctx)
		}
		if err != nil {
			return *a.task, err
		}
	}
}

// tryDecide takes the attempt's turn and decides on a change of its task, which is to be given to
// decided once it is committed or was refused. It waits for nobody: false, and the turn is not taken,
// if somebody else has it, if the attempt holds the task no more, or if there is nothing to commit.
func (a *attempt) tryDecide(decide func(*task.Task) (task.Change, error)) (task.Change, bool) {
	select {
	case a.turn <- struct{}{}:
	default:
		return task.Change{}, false
	}
	if a.holds() {
		if c, err := decide(a.task); err == nil && !c.Empty() {
			return c, true
		}
	}
	<-a.turn
	return task.Change{}, false
}

// decided takes up what became of a change that tryDecide gave, and gives the turn back.
func (a *attempt) decided(c *task.Change, err error) {
	if err == nil {
		a.changed(&c.Task)
	}
	<-a.turn
}

// changed takes up what was committed. The attempt is settled when its token is gone, and
// what becomes of the task from then on is no matter of its.
func (a *attempt) changed(t *task.Task) {
	if t.Token != a.token {
		a.endHold(settled)
		return
	}
	a.mu.Lock()
	*a.task = *t
	a.mu.Unlock()
}

// reread looks who else changed the task.
func (a *attempt) reread(ctx context.Context) error {
	t, err := a.engine.store.Get(ctx, task.Scope{All: true}, a.id)
	switch {
	case task.CodeOf(err) == task.CodeNotFound:
		a.endHold(settled)
	case err != nil:
		return err
	default:
		a.changed(&t)
	}
	return nil
}

// endHold ends the attempt's hold of its task. Nothing of it, no timer either, may change
// the task from now on.
func (a *attempt) endHold(how hold) {
	a.mu.Lock()
	was := a.hold
	if was == holding {
		a.hold = how
	}
	a.stopClock()
	a.mu.Unlock()
	if was != holding {
		return
	}
	a.notes.close()
	a.share.Release(1)
	if a.share.Suspect() { // the next may run, though this one's goroutine may not have come back
		a.executor.Wake()
	}
}
