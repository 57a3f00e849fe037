package engine

import (
	"context"

	"github.com/taskhost/taskhost/host/task"
)

// Get reads a task whole.
func (e *Engine) Get(ctx context.Context, s task.Scope, id task.ID) (task.Task, error) {
	t, err := e.store.Get(ctx, s, id)
	if err != nil {
		return t, err
	}
	return e.shown(ctx, t)
}

// shown is a stored task as clients see it.
func (e *Engine) shown(ctx context.Context, t task.Task) (_ task.Task, err error) {
	if t.Waiting == task.WaitResource {
		t.BlockedBy, err = e.store.BlockedBy(ctx, t.Seq)
	}
	e.registry.SetWaitReason(&t)
	return t, err
}

// current makes a task that was just committed what clients see of it. One that joined the queue of a
// resource may have been given it meanwhile, by a later operation of the same commit even, so it
// is read anew.
func (e *Engine) current(ctx context.Context, s task.Scope, t *task.Task) {
	if t.Waiting == task.WaitResource {
		if now, err := e.Get(ctx, s, t.ID); err == nil {
			now.OnConflict = t.OnConflict
			*t = now
			return
		}
	}
	e.registry.SetWaitReason(t)
}

// ByKey reads the task of that type and key.
func (e *Engine) ByKey(ctx context.Context, s task.Scope, taskType, key string) (task.Task, error) {
	t, err := e.store.ByKey(ctx, s, taskType, key)
	if err != nil {
		return t, err
	}
	return e.shown(ctx, t)
}

// ByPrefix reads the only task whose id begins so.
func (e *Engine) ByPrefix(ctx context.Context, s task.Scope, prefix string) (task.Task, error) {
	lo, hi, err := task.PrefixRange(prefix)
	if err != nil {
		return task.Task{}, err
	}
	ids, err := e.store.ByPrefix(ctx, s, lo, hi)
	switch {
	case err != nil:
		return task.Task{}, err
	case len(ids) == 0:
		return task.Task{}, task.Errorf(task.CodeNotFound, "no task's id begins with %q", prefix)
	case len(ids) > 1:
		return task.Task{}, task.Errorf(task.CodeConflict, "more than one task's id begins with %q (%s, %s): say more of it", prefix, ids[0], ids[1])
	}
	return e.Get(ctx, s, ids[0])
}

// List reads one page.
func (e *Engine) List(ctx context.Context, s task.Scope, f task.Filter) (task.Page, error) {
	e.placed(&f)
	p, err := e.store.List(ctx, s, f)
	for i := range p.Tasks {
		e.registry.SetWaitReason(&p.Tasks[i])
	}
	return p, err
}

// placed completes a filter by executor: which types that serves is config.
func (e *Engine) placed(f *task.Filter) {
	if f.Executor != "" {
		f.Placed = e.registry.ServedBy(f.Executor)
	}
}

// History is the task's events with a higher Seq than after.
func (e *Engine) History(ctx context.Context, s task.Scope, id task.ID, after int64) ([]task.Event, error) {
	return e.store.History(ctx, s, id, after)
}

// Logs are the task's log lines.
func (e *Engine) Logs(ctx context.Context, s task.Scope, id task.ID, f task.LogFilter) ([]task.LogLine, error) {
	return e.store.Logs(ctx, s, id, f)
}
