package engine

import (
	"context"

	"github.com/taskhost/taskhost/host/task"
)

// wakeParent has a task go on whose children are final.
func (e *Engine) wakeParent(g task.Signal) error {
	t, err := e.store.Get(e.ctx, task.Scope{All: true}, g.ID)
	if task.CodeOf(err) == task.CodeNotFound {
		return e.useUp(g)
	}
	if err != nil {
		return err
	}
	c, err := task.ChildrenDone(t, e.now())
	if task.CodeOf(err) == task.CodeConflict { // it was canceled, or goes on already
		return e.useUp(g)
	}
	if err != nil {
		return err
	}
	return e.commitDecision(task.Transaction{Changes: []task.Change{c}, Signals: []task.Signal{g}})
}

// cancelChildren cancels what a canceled task has spawned. Children of children follow,
// each by a signal of its own.
func (e *Engine) cancelChildren(g task.Signal) error {
	parent, err := e.store.Get(e.ctx, task.Scope{All: true}, g.ID)
	if err != nil && task.CodeOf(err) != task.CodeNotFound {
		return err
	}
	everyone := task.Scope{All: true}
	if err := e.eachTask(e.ctx, everyone, task.Filter{Parent: g.ID, States: unfinished}, func(page []task.Task) error {
		_, err := e.cancelAll(e.ctx, task.Scope{All: true, By: task.Canceler(&parent, &page[0])}, page)
		return err
	}); err != nil {
		return err
	}
	return e.useUp(g)
}

// unfinished are the states of tasks that a cancel is for.
var unfinished = []task.State{task.Pending, task.Running}

// eachTask goes through all tasks that match, from the oldest, a page at a time.
func (e *Engine) eachTask(ctx context.Context, s task.Scope, f task.Filter, do func(page []task.Task) error) error {
	f.Ascending = true
	f.Limit = task.MaxListLimit
	for {
		p, err := e.store.List(ctx, s, f)
		if err != nil {
			return err
		}
		if len(p.Tasks) > 0 {
			if err := do(p.Tasks); err != nil {
				return err
			}
		}
		if f.Cursor = p.Next; p.Next.IsZero() {
			return nil
		}
	}
}

// cancelAll cancels tasks as lists give them, those that wait in one commit, and says how many it asked to
// end. One that is final by now is none of them, and no error.
func (e *Engine) cancelAll(ctx context.Context, s task.Scope, tasks []task.Task) (n int, err error) {
	var waiting []task.Change
	for _, t := range tasks {
		if t.State == task.Pending && t.Token.IsZero() {
			c, err := task.Cancel(t, s.Actor(), e.now())
			if err == nil {
				waiting = append(waiting, c)
				continue
			}
		}
		if err := e.cancelOne(ctx, s, t.ID, &n); err != nil {
			return n, err
		}
	}
	for i, err := range e.commitAll(ctx, waiting) {
		if err == nil {
			n++
			continue
		}
		if err := e.cancelOne(ctx, s, waiting[i].Task.ID, &n); err != nil { // it began meanwhile
			return n, err
		}
	}
	return n, nil
}

func (e *Engine) cancelOne(ctx context.Context, s task.Scope, id task.ID, n *int) error {
	_, err := e.Cancel(ctx, s, id)
	switch task.CodeOf(err) {
	case "":
		*n++
		return nil
	case task.CodeAlreadyFinal, task.CodeNotFound, task.CodeConflict:
		return nil
	}
	return err
}
