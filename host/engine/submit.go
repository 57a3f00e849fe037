package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/taskhost/taskhost/host/task"
)

// Submit accepts all specs or none: they are on disk when it returns. A task
// that finds a free slot, with nothing eligible waiting before it, is written
// as running and begins at once.
func (e *Engine) Submit(ctx context.Context, s task.Scope, specs []task.Spec, idem *task.Idempotency) ([]task.Task, bool, error) {
	if err := e.accepts(); err != nil {
		return nil, false, err
	}
	if idem != nil {
		if r, err := e.store.Replayed(ctx, *idem); err != nil {
			return nil, false, err
		} else if r.Replayed != nil {
			return e.replay(ctx, s, r.Replayed)
		}
	}
	batch := make([]birth, len(specs))
	ptrs := make([]*task.Task, len(specs))
	at := now()
	for i := range specs { // not under the lock: a check of an input may take seconds
		if err := e.draft(ctx, &batch[i], s, specs[i], at); err != nil {
			return nil, false, inBatch(err, i, len(specs))
		}
		ptrs[i] = &batch[i].t
	}
	e.begins.RLock()
	defer e.begins.RUnlock()
	if err := e.accepts(); err != nil {
		return nil, false, err
	}
	if err := e.room(batch); err != nil {
		return nil, false, err
	}
	for i := range batch {
		e.begin(&batch[i], at)
	}
	receipt, err := e.store.Insert(ctx, task.Submission{Tasks: ptrs, Idempotency: idem})
	if err != nil || receipt.Replayed != nil {
		for i := range batch {
			if batch[i].slot {
				batch[i].r.release(1)
			}
		}
		if err != nil {
			return nil, false, err
		}
		return e.replay(ctx, s, receipt.Replayed)
	}
	return e.born(batch), false, nil
}

// birth is a task on its way into the store.
type birth struct {
	t    task.Task
	typ  *typ
	r    *runner
	slot bool // reserved for it
}

// accepts says why nothing is accepted any more.
func (e *Engine) accepts() error {
	if e.ctx.Err() != nil {
		return &task.Error{Code: task.CodeStoreUnavailable, Message: "the host is shutting down; try again soon", RetryAfter: 5 * time.Second}
	}
	return nil
}

func (e *Engine) draft(ctx context.Context, b *birth, s task.Scope, spec task.Spec, at time.Time) error {
	ty, r, err := e.reg.lookup(spec.Type, spec.Executor)
	if err != nil {
		return err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return fmt.Errorf("make a task id: %w", err)
	}
	b.typ, b.r = ty, r
	if b.t, err = task.New(task.ID(id), s.Owner, spec, ty.limits, at); err != nil {
		return err
	}
	if err = ty.schema.check(ctx, e.ctx, spec.Type, b.t.Input); err != nil && e.accepts() != nil {
		return e.accepts()
	}
	return err
}

// room refuses what would overfill a queue. Two submits at once may pass
// together: the limit protects, it does not ration.
func (e *Engine) room(batch []birth) error {
	adding, limits := map[string]int64{}, map[string]int64{}
	for i := range batch {
		if limit := batch[i].typ.limits.QueueLimit; limit > 0 {
			adding[batch[i].t.Type]++
			limits[batch[i].t.Type] = limit
		}
	}
	for name, n := range adding {
		if waiting := e.reg.waiting(name); waiting+n > limits[name] {
			return &task.Error{Code: task.CodeQueueFull, RetryAfter: 5 * time.Second,
				Message: fmt.Sprintf("%d tasks of type %q wait already, the queue_limit is %d; try again later", waiting, name, limits[name])}
		}
	}
	return nil
}

// begin reserves a slot where one is free and nothing eligible waits for it.
func (e *Engine) begin(b *birth, at time.Time) {
	r := b.r
	if b.t.Waiting != task.WaitQueued || !r.ready() || !r.runs(b.t.Type, b.t.Route) || e.store.Ready(r.lanes.Load().all) > 0 || r.reserve(1) == 0 {
		return
	}
	b.slot = true
	b.t = task.Begin(b.t, r.Name, newToken(), r.offer.Load().Info.Deferred, at)
}

// born sets going what is now on record.
func (e *Engine) born(batch []birth) []task.Task {
	out := make([]task.Task, len(batch))
	for i := range batch {
		b := &batch[i]
		out[i] = e.shown(b.t)
		switch {
		case b.slot:
			e.launch(b.r, b.t, false)
		case b.t.Waiting == task.WaitScheduled:
			e.pokeTimer()
		}
	}
	e.reg.serveNew()
	for i := range batch {
		if !batch[i].slot {
			batch[i].r.poke()
		}
	}
	return out
}

func (e *Engine) replay(ctx context.Context, s task.Scope, ids []task.ID) ([]task.Task, bool, error) {
	out := make([]task.Task, len(ids))
	for i, id := range ids {
		t, err := e.store.Get(ctx, s, id)
		if task.CodeOf(err) == task.CodeNotFound {
			return nil, false, task.Errorf(task.CodeConflict, "this Idempotency-Key was used before, and task %s of that submission was deleted since: nothing was submitted now; use a new key to submit anew", id)
		}
		if err != nil {
			return nil, false, fmt.Errorf("the first submission under this Idempotency-Key: %w", err)
		}
		out[i] = e.shown(t)
	}
	return out, true, nil
}

// inBatch says which task of a batch is at fault.
func inBatch(err error, i, of int) error {
	te, ok := err.(*task.Error)
	if !ok || of == 1 {
		return err
	}
	at := fmt.Sprintf("/tasks/%d", i)
	out := *te
	out.Message = at + ": " + te.Message
	out.Fields = nil
	for _, f := range te.Fields {
		out.Fields = append(out.Fields, task.FieldError{Pointer: at + f.Pointer, Message: f.Message})
	}
	return &out
}
