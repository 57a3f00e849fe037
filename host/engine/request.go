package engine

import (
	"context"
	"fmt"
	"slices"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// change reads a task, decides and commits, again and again for as long as
// someone else changes it in between.
func (e *Engine) change(ctx context.Context, s task.Scope, id task.ID, decide func(task.Task) (task.Change, error)) (task.Task, error) {
	for {
		t, err := e.store.Get(ctx, s, id)
		if err != nil {
			return t, err
		}
		c, err := decide(t)
		if err != nil {
			return t, err
		}
		if c.Event == nil { // nothing to change
			return e.shown(t), nil
		}
		err = e.store.Apply(ctx, []task.Change{c})[0]
		if task.CodeOf(err) == task.CodeConflict {
			continue
		}
		if err != nil {
			return t, err
		}
		c.Task.Version++
		e.tell(&c)
		return e.shown(c.Task), nil
	}
}

// Cancel asks the task to end. One that runs is canceling until its attempt's
// end is confirmed, or the grace is over.
func (e *Engine) Cancel(ctx context.Context, s task.Scope, id task.ID) (task.Task, error) {
	if _, err := e.store.Get(ctx, s, id); err != nil { // may the caller see it?
		return task.Task{}, err
	}
	if a := e.attemptOf(id); a != nil {
		if t, ok, err := a.requestCancel(s.Owner); ok || err != nil {
			return e.shown(t), err
		}
	}
	held := false
	t, err := e.change(ctx, s, id, func(t task.Task) (task.Change, error) {
		held = !t.Token.IsZero()
		return task.Cancel(t, s.Owner, now())
	})
	if err == nil && held {
		e.withdraw(id, t.Attempt, sdk.ErrCancel) // it began between the look and the commit
	}
	return t, err
}

// withdraw tells the attempt of that number, which has lost its task or is to
// stop, and which may be about to begin.
func (e *Engine) withdraw(id task.ID, n int, cause error) {
	a := e.attemptOf(id)
	if a == nil || a.n != n {
		e.awaitBegins()
		a = e.attemptOf(id)
	}
	if a != nil && a.n == n {
		a.end(cause)
	}
}

// requestCancel cancels by way of the running attempt; false if the attempt is
// over, and the task to be looked at anew.
func (a *attempt) requestCancel(by string) (task.Task, bool, error) {
	a.mu.Lock()
	if a.over {
		a.mu.Unlock()
		return task.Task{}, false, nil
	}
	c, err := task.Cancel(a.t, by, now())
	if err == nil && c.Event != nil {
		if err = a.apply(c); task.CodeOf(err) == task.CodeConflict {
			a.mu.Unlock()
			return task.Task{}, false, nil
		}
	}
	if a.t.State.Final() { // it had not begun, and will not
		a.fence()
	}
	t := a.t
	a.mu.Unlock()
	if err == nil {
		a.end(sdk.ErrCancel)
	}
	return t, true, err
}

// Retry runs a failed, canceled or reverted task again with fresh budgets.
func (e *Engine) Retry(ctx context.Context, s task.Scope, id task.ID) (task.Task, error) {
	t, err := e.change(ctx, s, id, func(t task.Task) (task.Change, error) { return task.Retry(t, s.Owner, now()) })
	if err == nil {
		e.settled(e.serving(&t), &task.Change{Task: t})
	}
	return t, err
}

// serving is the runner that would run the task now; never nil.
func (e *Engine) serving(t *task.Task) *runner {
	if r := e.reg.byName[t.Pinned]; r != nil {
		return r
	}
	if t.Pinned != "" { // its executor is in the config no more
		return &runner{Executor: Executor{Name: t.Pinned}, wake: make(chan struct{}, 1)}
	}
	if ty := (*e.reg.types.Load())[t.Type]; ty != nil {
		return ty.server
	}
	return &runner{wake: make(chan struct{}, 1)}
}

// Delete removes a final task and all that belongs to it.
func (e *Engine) Delete(ctx context.Context, s task.Scope, id task.ID) error {
	if err := e.store.Delete(ctx, s, id); err != nil {
		return err
	}
	e.hub.gone(id)
	return nil
}

// shown is the task as clients see it: a queued one whose executor is not ready
// waits for the executor. Which serves it is config, so this is no stored state.
func (e *Engine) shown(t task.Task) task.Task {
	if t.State != task.Pending || t.Waiting != task.WaitQueued {
		return t
	}
	r := e.serving(&t)
	t.Executor = r.Name
	if r.Impl == nil || !r.ready() || !r.runs(t.Type, t.Route) {
		t.Waiting, t.WaitReason = task.WaitExecutor, r.waitReason(&t)
	}
	return t
}

// Get reads a task whole.
func (e *Engine) Get(ctx context.Context, s task.Scope, id task.ID) (task.Task, error) {
	t, err := e.store.Get(ctx, s, id)
	return e.shown(t), err
}

// ByKey reads the task of that type and key.
func (e *Engine) ByKey(ctx context.Context, s task.Scope, typ, key string) (task.Task, error) {
	t, err := e.store.ByKey(ctx, s, typ, key)
	return e.shown(t), err
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
	p, err := e.store.List(ctx, s, f)
	for i := range p.Tasks {
		p.Tasks[i] = e.shown(p.Tasks[i])
	}
	return p, err
}

// History is the task's events with a higher Seq than after.
func (e *Engine) History(ctx context.Context, s task.Scope, id task.ID, after int64) ([]task.Event, error) {
	return e.store.History(ctx, s, id, after)
}

// Logs are the task's log lines.
func (e *Engine) Logs(ctx context.Context, s task.Scope, id task.ID, f task.LogFilter) ([]task.LogLine, error) {
	return e.store.Logs(ctx, s, id, f)
}

// ControlExecutor pauses, resumes, drains or restarts an executor.
func (e *Engine) ControlExecutor(ctx context.Context, name, action string) (task.ExecutorStatus, error) {
	r := e.reg.byName[name]
	if r == nil {
		return task.ExecutorStatus{}, task.Errorf(task.CodeNotFound, "no executor is named %q", name)
	}
	switch {
	case action == "pause":
		r.paused.Store(true)
	case action == "resume":
		r.paused.Store(false)
		r.poke()
	case !slices.Contains([]string{"drain", "restart"}, action):
		return task.ExecutorStatus{}, task.Errorf(task.CodeInvalidRequest, "%q is no action on an executor: pause, resume, drain and restart are", action)
	case r.Control == nil:
		return task.ExecutorStatus{}, task.Errorf(task.CodeConflict, "executor %q is built in and has no process to %s", name, action)
	default:
		if err := r.Control(ctx, action); err != nil {
			return task.ExecutorStatus{}, task.Errorf(task.CodeExecutorUnavailable, "%s executor %q: %v", action, name, err)
		}
	}
	return r.describe(), nil
}

// Ready says whether tasks can be accepted, with a line for each part.
func (e *Engine) Ready(ctx context.Context) (map[string]string, error) {
	checks := map[string]string{"store": "ok"}
	var err error
	if e.ctx.Err() != nil {
		err = task.Errorf(task.CodeStoreUnavailable, "the host is shutting down")
		checks["host"] = "shutting down"
	}
	if _, lerr := e.store.List(ctx, task.Scope{All: true}, task.Filter{Limit: 1}); lerr != nil {
		checks["store"] = lerr.Error()
		err = fmt.Errorf("the store cannot be read: %w", lerr)
	}
	if r := e.reg.unheard(""); r != nil && err == nil {
		err = task.Errorf(task.CodeExecutorUnavailable, "executor %q is starting and has not said what it offers", r.Name)
	}
	for _, r := range e.reg.runners {
		s := r.describe()
		checks["executor "+r.Name] = string(s.State)
		if s.Reason != "" {
			checks["executor "+r.Name] += ": " + s.Reason
		}
	}
	return checks, err
}
