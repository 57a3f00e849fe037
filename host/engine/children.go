package engine

import (
	"context"
	"fmt"
	"slices"

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
	c, err := task.ChildrenDone(&t, e.now())
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

// retryChildren has the failed and canceled children of a task wait again that is about to
// be retried, theirs before them: each finds them so when it runs.
func (e *Engine) retryChildren(ctx context.Context, s task.Scope, parent *task.Task) error {
	if parent.Attempt == 0 { // it never ran, and so has none
		return nil
	}
	return e.eachTask(ctx, s, task.Filter{Parent: parent.ID, States: []task.State{task.Failed, task.Canceled}}, func(page []task.Task) error {
		for i := range page {
			if _, err := e.Retry(ctx, s, page[i].ID); err != nil && !lostRace(err) && task.CodeOf(err) != task.CodeNotFinal {
				return fmt.Errorf("retry its child %s: %w", page[i].ID, err)
			}
		}
		return nil
	})
}

// below are all that a task has spawned, and what those have, nearest first.
func (e *Engine) below(ctx context.Context, s task.Scope, id task.ID) (all []task.Task, err error) {
	for next := 0; ; next++ {
		err := e.eachTask(ctx, s, task.Filter{Parent: id}, func(page []task.Task) error {
			for _, t := range page {
				all = append(all, task.Task{ID: t.ID, State: t.State})
			}
			return nil
		})
		if err != nil || next == len(all) {
			return all, err
		}
		id = all[next].ID
	}
}

// deleteBelow removes what a task that is about to be deleted has spawned, the furthest first.
// not_final, and nothing is removed, if any of it goes on.
func (e *Engine) deleteBelow(ctx context.Context, s task.Scope, id task.ID, below []task.Task) error {
	if t, err := e.store.Get(ctx, s, id); err != nil || !t.State.Final() {
		return err // what there is to say of the task itself is said when it is deleted
	}
	for _, t := range below {
		if t.State.Final() {
			continue
		}
		return task.Errorf(task.CodeNotFinal, "task %s, which was spawned by task %s or below it, is %s: cancel it first, or wait until it is done", t.ID, id, t.State)
	}
	for _, t := range slices.Backward(below) {
		if err := e.commitDelete(ctx, s, t.ID); err != nil && task.CodeOf(err) != task.CodeNotFound {
			return err
		}
	}
	return nil
}

// Tree reads a task with those that it has spawned, and theirs, up to limit of them in all:
// those that are nearest to it.
func (e *Engine) Tree(ctx context.Context, s task.Scope, id task.ID, limit int) (*task.Tree, error) {
	t, err := e.Get(ctx, s, id)
	if err != nil {
		return nil, err
	}
	root := &task.Tree{Task: t}
	for queue := []*task.Tree{root}; len(queue) > 0; queue = queue[1:] {
		n := queue[0]
		if n.Task.Attempt == 0 { // it never ran, and so has no children
			continue
		}
		f := task.Filter{Parent: n.Task.ID, Ascending: true, Limit: min(max(limit-1, 1), task.MaxListLimit)}
		for {
			p, err := e.List(ctx, s, f)
			if err != nil {
				return nil, err
			}
			for _, c := range p.Tasks {
				if limit--; limit <= 0 {
					n.More = true
					break
				}
				n.Children = append(n.Children, &task.Tree{Task: c})
			}
			if f.Cursor = p.Next; n.More || p.Next.IsZero() {
				break
			}
		}
		queue = append(queue, n.Children...)
	}
	return root, nil
}

// unfinished are the states of tasks that a cancel is for.
var unfinished = []task.State{task.Pending, task.Running}

// eachTask goes through all tasks that match, from the oldest, a page at a time.
func (e *Engine) eachTask(ctx context.Context, s task.Scope, f task.Filter, do func(page []task.Task) error) error {
	f.Ascending = true
	f.Limit = task.MaxListLimit
	e.placed(&f)
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
			c, err := task.Cancel(&t, s.Actor(), e.now())
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
