package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/taskhost/taskhost/host/task"
)

// Types are the task types that are known, by name; of tasks, those of the scope are counted.
func (e *Engine) Types(s task.Scope) []task.TypeStatus { return e.registry.Types(s) }

// Type is one of them; not_found if there is none of that name.
func (e *Engine) Type(s task.Scope, name string) (task.TypeStatus, error) {
	for _, t := range e.registry.Types(s) {
		if t.Name == name {
			return t, nil
		}
	}
	return task.TypeStatus{}, task.Errorf(task.CodeNotFound, "no task type is named %q", name)
}

// PutType keeps what a client says of a type, in place of what it said before, and puts it
// in force. created says that there was no such type.
func (e *Engine) PutType(ctx context.Context, s task.Scope, spec task.TypeSpec) (t task.TypeStatus, created bool, err error) {
	if created, err = e.registry.PutType(ctx, spec); err != nil {
		return t, false, err
	}
	t, err = e.Type(s, spec.Name)
	return t, created, err
}

// ControlType pauses or resumes a type. The pause is on record and in force when it
// returns, and outlasts the host.
func (e *Engine) ControlType(ctx context.Context, s task.Scope, name, action string) (task.TypeStatus, error) {
	if err := e.registry.ControlType(ctx, name, action); err != nil {
		return task.TypeStatus{}, err
	}
	return e.Type(s, name)
}

// DeleteType forgets what clients said of a type; conflict while there are tasks of it.
// With force these are canceled and deleted, whoever owns them, which takes as long as the
// slowest of them takes to stop.
func (e *Engine) DeleteType(ctx context.Context, s task.Scope, name string, force bool) error {
	if err := e.registry.CheckDeletable(name); err != nil {
		return err
	}
	for {
		if err := e.emptyType(ctx, s, name, force); err != nil {
			return err
		}
		err := e.registry.DeleteType(ctx, name)
		if task.CodeOf(err) == task.CodeConflict && force && ctx.Err() == nil {
			continue // a task was submitted meanwhile
		}
		return err
	}
}

// emptyType refuses a type of which there are tasks, or with force cancels and deletes them.
func (e *Engine) emptyType(ctx context.Context, s task.Scope, name string, force bool) error {
	all := task.Scope{Owner: s.Owner, All: true}
	ofType := task.Filter{Types: []string{name}}
	if !force {
		ofType.Limit = 1
		page, err := e.store.List(ctx, all, ofType)
		if err == nil && len(page.Tasks) > 0 {
			err = task.Errorf(task.CodeConflict, "there are tasks of type %q, such as %s: delete them first, or use force, which cancels and deletes them", name, page.Tasks[0].ID)
		}
		return err
	}
	// Those that run are asked to end first, all of them, and then waited for.
	ofType.States = unfinished
	if err := e.eachTask(ctx, all, ofType, func(page []task.Task) error {
		_, err := e.cancelAll(ctx, all, page)
		return err
	}); err != nil {
		return err
	}
	ofType.States = nil
	return e.eachTask(ctx, all, ofType, func(page []task.Task) error {
		for part := range slices.Chunk(page, actedAtOnce) {
			errs := make([]error, len(part))
			var deleting sync.WaitGroup
			for i, t := range part {
				deleting.Go(func() { errs[i] = e.deleteWhenFinal(ctx, all, t.ID) })
			}
			deleting.Wait()
			if err := errors.Join(errs...); err != nil {
				return fmt.Errorf("delete the tasks of type %q: %w", name, err)
			}
		}
		return nil
	})
}

// deleteWhenFinal removes a task that is final, or about to be.
func (e *Engine) deleteWhenFinal(ctx context.Context, s task.Scope, id task.ID) error {
	_, err := e.Wait(ctx, s, id)
	if err == nil {
		err = e.commitDelete(ctx, s, id)
	}
	if c := task.CodeOf(err); c == task.CodeNotFound || c == task.CodeNotFinal { // retried meanwhile: it is met again
		return nil
	}
	return err
}
