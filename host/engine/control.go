package engine

import (
	"context"
	"fmt"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// SetTypes puts another config of task types in force: see registry.Registry.SetTypes.
func (e *Engine) SetTypes(types map[string]task.TypeConfig) { e.registry.SetTypes(types) }

// SetDrainTimeout sets how long Close, when it is called, lets attempts finish; 5 s if
// d is 0.
func (e *Engine) SetDrainTimeout(d time.Duration) {
	if d <= 0 {
		d = 5 * time.Second
	}
	e.drainTimeout.Store(int64(d))
}

// MaxInput is the largest input that a type in force takes, in bytes.
func (e *Engine) MaxInput() int64 { return e.registry.MaxInput() }

// Executors are all executors, in the config's order.
func (e *Engine) Executors() []task.ExecutorStatus { return e.registry.Statuses(e.ctx) }

// ControlExecutor pauses, resumes, drains or restarts an executor. A pause is on record
// when it returns, and outlasts the host.
func (e *Engine) ControlExecutor(ctx context.Context, name, action string) (task.ExecutorStatus, error) {
	return e.registry.ControlExecutor(ctx, name, action)
}

// ControlNode drains or resumes the nodes of that name, and gives the first of them.
func (e *Engine) ControlNode(ctx context.Context, name, action string) (task.Node, error) {
	return e.registry.ControlNode(ctx, name, action)
}

// Ready says whether tasks can be accepted and run; the error, why not.
func (e *Engine) Ready(ctx context.Context) (_ task.Readiness, err error) {
	checks := map[string]string{"store": "ok"}
	if e.ctx.Err() != nil {
		err = task.Errorf(task.CodeStoreUnavailable, "the host is shutting down")
		checks["host"] = "shutting down"
	}
	if _, lerr := e.store.List(ctx, task.Scope{All: true}, task.Filter{Limit: 1}); lerr != nil {
		checks["store"] = lerr.Error()
		err = fmt.Errorf("the store cannot be read: %w", lerr)
	}
	ready, all := 0, 0
	why := "there are none"
	for _, x := range e.registry.Executors() {
		if !x.Listed() {
			continue
		}
		all++
		s := x.Status()
		line := string(s.State)
		if s.Reason != "" {
			line += ": " + s.Reason
		}
		checks["executor "+x.Name] = line
		if x.Ready() {
			ready++
		} else {
			why = fmt.Sprintf("%q is %s", x.Name, line)
		}
	}
	if ready == 0 && err == nil {
		err = task.Errorf(task.CodeExecutorUnavailable, "no executor can run anything: %s", why)
	}
	return task.Readiness{Degraded: ready < all, Checks: checks}, err
}
