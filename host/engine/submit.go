package engine

import (
	"context"
	"fmt"
	"maps"
	"time"

	"github.com/google/uuid"

	"github.com/taskhost/taskhost/host/task"
)

// Submit accepts all specs or none: they are on disk when it returns. Of a task that is
// there already, because it has the key or was submitted before, and that was deleted
// meanwhile, the answer has the id alone. A task that finds a free slot, with nothing eligible waiting before it, is written
// as running and begins at once.
func (e *Engine) Submit(ctx context.Context, s task.Scope, specs []task.Spec, idem *task.Idempotency) ([]task.Task, bool, error) {
	if first, replayed, err := e.replayed(ctx, s, idem); err != nil || replayed {
		return first, replayed, err
	}
	n, err := e.prepareAll(ctx, s, specs)
	if err != nil {
		return nil, false, err
	}
	n.idem = idem
	return e.accept(ctx, s, n)
}

// replayed finds the tasks of an earlier submission under the same key.
func (e *Engine) replayed(ctx context.Context, s task.Scope, idem *task.Idempotency) ([]task.Task, bool, error) {
	if err := e.accepts(); err != nil || idem == nil {
		return nil, false, err
	}
	r, err := e.findSubmission(ctx, *idem)
	if err != nil || r.Replayed == nil {
		return nil, false, err
	}
	return e.replay(ctx, s, r.Replayed)
}

// prepareAll checks specs and makes their tasks, before the gate: a check of an input may take seconds.
func (e *Engine) prepareAll(ctx context.Context, s task.Scope, specs []task.Spec) (newTasks, error) {
	n := roomFor(len(specs))
	at := e.now()
	for i := range specs {
		if err := e.prepare(ctx, &n.batch[i], s, &specs[i], at); err != nil {
			return n, task.WithTaskNumber(err, i, len(specs))
		}
	}
	return n, nil
}

// accepts says why nothing is accepted any more.
func (e *Engine) accepts() error {
	if e.ctx.Err() != nil {
		return &task.Error{Code: task.CodeStoreUnavailable, Message: "the host is shutting down; try again soon", RetryAfter: 5 * time.Second}
	}
	return nil
}

// prepare makes the task that a spec asks for in the place that n has for it.
func (e *Engine) prepare(ctx context.Context, n *newTask, s task.Scope, spec *task.Spec, at time.Time) error {
	if err := refuseOwnType(spec.Type); err != nil && !n.own {
		return err
	}
	ty, x, err := e.registry.Lookup(spec.Type, spec.Executor)
	if err != nil {
		return err
	}
	id, err := NewID()
	if err != nil {
		return err
	}
	n.taskType, n.executor = ty, x
	if *n.task, err = task.New(id, s.Owner, *spec, ty.Limits, at); err != nil {
		return err
	}
	host := e.ctx
	if !spec.Spawner.IsZero() {
		host = context.WithoutCancel(host) // see newTasks.spawned
	}
	if err = ty.Check(ctx, host, n.task.Input); err != nil {
		if host.Err() != nil {
			return e.accepts()
		}
		return err
	}
	return e.seal(n)
}

// accept puts prepared tasks on record and sets going those that have a slot.
func (e *Engine) accept(ctx context.Context, s task.Scope, n newTasks) ([]task.Task, bool, error) {
	batch := n.batch
	e.launches.enter()
	defer e.launches.leave()
	closing := e.accepts()
	if closing != nil && !n.spawned {
		return nil, false, closing
	}
	var unserved *newTask // the task before, if it found no slot
	for i := range batch {
		if closing == nil {
			unserved = e.reserveSlot(&batch[i], unserved)
		}
	}
	n.idem = e.keyedIdem(n.idem, batch)
	receipt, err := e.commitNew(ctx, n)
	if err != nil || receipt.Replayed != nil {
		for i := range batch {
			batch[i].giveBack()
		}
		if err != nil {
			return nil, false, err
		}
		return e.replay(ctx, s, receipt.Replayed)
	}
	for i := range batch {
		n := &batch[i]
		switch conflict := n.task.OnConflict; {
		case !n.task.Existing().IsZero():
			n.giveBack()
			if *n.task, err = e.first(ctx, s, conflict.Existing); err != nil {
				*n.task = task.Task{ID: conflict.Existing} // the others are accepted
			}
			n.task.OnConflict = conflict
		case n.share == nil:
		case n.task.Token.IsZero(): // a limit of its type was reached meanwhile
			n.giveBack()
		default:
			e.launch(n.executor, n.share, new(*n.task), false)
		}
		if len(batch) == 1 { // of many the ids are what is answered
			e.current(ctx, s, n.task)
			continue
		}
		e.registry.SetWaitReason(n.task)
	}
	return n.tasks, false, nil
}

// giveBack gives back the slot that was reserved for a task.
func (n *newTask) giveBack() {
	if n.share != nil {
		n.share.Release(1)
		n.executor.Release(1)
	}
}

// reserveSlot begins the task's first attempt where a slot is free and nothing that could use it
// waits, such as unserved, the task before it that found none; nil if it did. It gives the task if
// that looked for a slot and found none either.
func (e *Engine) reserveSlot(n, unserved *newTask) *newTask {
	x := n.executor
	if unserved != nil && unserved.sharesWith(n) {
		return n
	}
	if x == nil || n.task.Waiting != task.WaitQueued || !n.task.Resources.None() || !e.registry.MayBegin(n.task) || !x.Ready() || !e.registry.Runs(x, n.task) {
		return nil
	}
	if n.share = x.ReserveFor(n.task, e.ready); n.share == nil {
		return n
	}
	n.task.BeginNew(x.Name, newToken(), x.Deferred())
	return nil
}

// sharesWith says that the same slots may be had for both tasks, which one owner submits.
func (n *newTask) sharesWith(o *newTask) bool {
	return n.executor == o.executor && n.task.Type == o.task.Type && maps.Equal(n.task.Route, o.task.Route)
}

// replay gives the tasks of an earlier submission; of one that was deleted since, the id alone.
func (e *Engine) replay(ctx context.Context, s task.Scope, ids []task.ID) ([]task.Task, bool, error) {
	out := make([]task.Task, len(ids))
	for i, id := range ids {
		t, err := e.first(ctx, s, id)
		if err == nil {
			out[i], err = e.shown(ctx, t)
		}
		if err != nil {
			return nil, false, fmt.Errorf("the first submission under this Idempotency-Key: %w", err)
		}
	}
	return out, true, nil
}

// first reads a task that a submission is answered with that did not make it; its id alone
// if it was deleted meanwhile.
func (e *Engine) first(ctx context.Context, s task.Scope, id task.ID) (task.Task, error) {
	t, err := e.store.Get(ctx, s, id)
	if task.CodeOf(err) == task.CodeNotFound {
		return task.Task{ID: id}, nil
	}
	return t, err
}

// refuseOwnType refuses to whoever asks a type that is the host's own.
func refuseOwnType(name string) error {
	if !task.HostsOwn(name) {
		return nil
	}
	return &task.Error{Code: task.CodeUnknownType, Message: fmt.Sprintf("task type %q is the host's own: nobody submits tasks of it", name),
		Fields: []task.FieldError{{Path: []string{"type"}, Message: "is the host's own"}}}
}

// NewID makes an id, of a task or of anything else.
func NewID() (task.ID, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return task.ID{}, fmt.Errorf("make an id: %w", err)
	}
	return task.ID(id), nil
}
