package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// ActionType is the type of the tasks that carry out actions.
const ActionType = task.OwnTypes + "action"

// actions are how an action is done to one task, for who asks.
var actions = map[string]func(ctx context.Context, e *Engine, s task.Scope, a *task.Action, id task.ID) error{
	task.ActionCancel: func(ctx context.Context, e *Engine, s task.Scope, _ *task.Action, id task.ID) error {
		_, err := e.Cancel(ctx, s, id)
		return err
	},
	task.ActionRetry: func(ctx context.Context, e *Engine, s task.Scope, _ *task.Action, id task.ID) error {
		_, err := e.Retry(ctx, s, id)
		return err
	},
	task.ActionDelete: func(ctx context.Context, e *Engine, s task.Scope, _ *task.Action, id task.ID) error {
		return e.Delete(ctx, s, id)
	},
	task.ActionPause: func(ctx context.Context, e *Engine, s task.Scope, _ *task.Action, id task.ID) error {
		_, err := e.askToRest(ctx, s, id)
		return err
	},
	task.ActionResume: func(ctx context.Context, e *Engine, s task.Scope, _ *task.Action, id task.ID) error {
		_, err := e.Resume(ctx, s, id)
		return err
	},
	task.ActionMove: func(ctx context.Context, e *Engine, s task.Scope, a *task.Action, id task.ID) error {
		_, err := e.Move(ctx, s, id, a.Executor())
		return err
	},
	task.ActionPriority: func(ctx context.Context, e *Engine, s task.Scope, a *task.Action, id task.ID) error {
		_, err := e.Reprioritize(ctx, s, id, a.Priority())
		return err
	},
}

// checkAction says what is wrong with an action.
func (e *Engine) checkAction(a *task.Action) error {
	if err := a.Check(); err != nil || a.Action != task.ActionMove {
		return err
	}
	if x := e.registry.Executor(a.Executor()); a.Executor() != "" && (x == nil || x.Own) {
		return task.BadActionTarget("is %s, which is no executor's name", a.To)
	}
	return nil
}

// CountAction is how many tasks an action would be done to now.
func (e *Engine) CountAction(ctx context.Context, s task.Scope, a task.Action) (n int64, err error) {
	if err := e.checkAction(&a); err != nil {
		return 0, err
	}
	if a.Narrow() {
		return 0, nil
	}
	err = e.eachTask(ctx, s, a.Filter, func(page []task.Task) error {
		for i := range page {
			if !passesBy(&a, &page[i]) {
				n++
			}
		}
		return nil
	})
	return n, err
}

// passesBy says that an action is not done to t though it matches: actions are done to no
// actions, themselves among them, and what was trashed is no failure to be tried again.
func passesBy(a *task.Action, t *task.Task) bool {
	return task.HostsOwn(t.Type) || a.Action == task.ActionRetry && t.Trashed()
}

// SubmitAction has an action carried out, by a task whose progress tells how far it is and
// whose cancel stops it. What matches when it comes to it is what it is done to.
func (e *Engine) SubmitAction(ctx context.Context, s task.Scope, a task.Action, idem *task.Idempotency) (t task.Task, replayed bool, err error) {
	if err := e.checkAction(&a); err != nil {
		return t, false, err
	}
	a.All = s.All
	input, err := json.Marshal(a)
	if err != nil {
		return t, false, err
	}
	tasks, replayed, err := e.replayed(ctx, s, idem)
	if err == nil && !replayed {
		n := roomFor(1)
		n.idem = idem
		n.batch[0].own = true
		if err = e.prepare(ctx, &n.batch[0], s, &task.Spec{Type: ActionType, Input: input}, e.now()); err == nil {
			tasks, replayed, err = e.accept(ctx, s, n)
		}
	}
	if err == nil && tasks[0].State == task.None {
		err = task.ErrDeletedSince(tasks[0].ID)
	}
	if err != nil {
		return t, false, err
	}
	return tasks[0], replayed, nil
}

// ownExecutor runs the host's own tasks. Its name is none that a config can give.
func (e *Engine) ownExecutor() registry.Binding {
	lost := task.MaxTries
	x, err := sdk.NewScripts(sdk.Script{
		TypeInfo: sdk.TypeInfo{Name: ActionType, Description: "does something to all tasks that match a filter", Defaults: sdk.Defaults{Timeout: 7 * 24 * time.Hour, MaxLost: &lost}},
		Run:      e.runAction,
	})
	if err != nil {
		panic(err) // a name or a schema of this file
	}
	return registry.Binding{Name: "taskhost:own", Plugin: "taskhost", Slots: 4, Executor: x, Own: true}
}

// actionState is how far an action is, as its checkpoint keeps it.
type actionState struct {
	Cursor task.ID `json:"cursor"`
	Done   int64   `json:"done"`
	Failed int64   `json:"failed"`
	Error  string  `json:"error,omitempty"` // of the last that failed
}

// runAction carries an action out, from where the last attempt was: each task once more at
// the most, which does it no harm.
func (e *Engine) runAction(ctx context.Context, t sdk.Task, r sdk.Reporter) (sdk.Result, error) {
	var a task.Action
	if err := json.Unmarshal(t.Input, &a); err != nil {
		return sdk.Result{}, sdk.Permanent(fmt.Errorf("read the action: %w", err))
	}
	id, err := task.ParseID(t.ID)
	if err != nil {
		return sdk.Result{}, err
	}
	own, err := e.store.Get(ctx, task.Scope{All: true}, id)
	if err != nil {
		return sdk.Result{}, err
	}
	s := task.Scope{Owner: own.Owner, All: a.All, By: task.Via(own.Owner, "action", id)}
	var at actionState
	if len(t.Checkpoint) > 0 {
		if err := json.Unmarshal(t.Checkpoint, &at); err != nil {
			return sdk.Result{}, sdk.Permanent(fmt.Errorf("read how far the action was: %w", err))
		}
	}
	if !a.Narrow() {
		if err := e.actOnAll(ctx, s, &a, &at, r); err != nil {
			return sdk.Result{}, err
		}
	}
	data, err := json.Marshal(map[string]any{"done": at.Done, "failed": at.Failed, "error": at.Error})
	return sdk.Result{ContentType: sdk.ContentJSON, Data: data}, err
}

// actOnAll goes through what matches, from the oldest. What comes to match meanwhile and
// is younger than where it is, is met too.
func (e *Engine) actOnAll(ctx context.Context, s task.Scope, a *task.Action, at *actionState, r sdk.Reporter) error {
	total, err := e.CountAction(ctx, s, *a)
	if err != nil {
		return err
	}
	total += at.Done
	a.Filter.Cursor = at.Cursor
	return e.eachTask(ctx, s, a.Filter, func(page []task.Task) error {
		for part := range slices.Chunk(page, actedAtOnce) {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			e.actOn(ctx, s, a, at, part)
			r.Progress(at.Done, max(total, at.Done), "")
		}
		at.Cursor = page[len(page)-1].ID
		data, err := json.Marshal(at)
		if err != nil {
			return err
		}
		return r.Checkpoint(data)
	})
}

// actedAtOnce is to how many tasks an action is done at once: their commits share an fsync.
const actedAtOnce = 500

// actOn does an action to some tasks, and waits for it.
func (e *Engine) actOn(ctx context.Context, s task.Scope, a *task.Action, at *actionState, tasks []task.Task) {
	errs := make([]error, len(tasks))
	var acting sync.WaitGroup
	for i := range tasks {
		if passesBy(a, &tasks[i]) {
			errs[i] = errNotHeld
			continue
		}
		acting.Go(func() { errs[i] = actions[a.Action](ctx, e, s, a, tasks[i].ID) })
	}
	acting.Wait()
	for _, err := range errs {
		switch {
		case err == nil:
			at.Done++
		case !isSettledAlready(err):
			at.Failed++
			at.Error = err.Error()
		}
	}
}
