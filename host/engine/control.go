package engine

import (
	"context"
	"fmt"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// ControlExecutor pauses, resumes, drains or restarts an executor. A pause is on record
// when it returns, and outlasts the host.
func (e *Engine) ControlExecutor(ctx context.Context, name, action string) (task.ExecutorStatus, error) {
	x := e.registry.byName[name]
	if x == nil {
		return task.ExecutorStatus{}, task.Errorf(task.CodeNotFound, "no executor is named %q", name)
	}
	var err error
	switch action {
	case "pause", "resume":
		err = e.registry.pause(ctx, x, action == "pause")
	case "drain", "restart":
		err = x.controlProcess(ctx, action)
	default:
		err = task.Errorf(task.CodeInvalidRequest, "%q is no action on an executor: pause, resume, drain and restart are", action)
	}
	if err != nil {
		return task.ExecutorStatus{}, err
	}
	return x.describe(), nil
}

// pause takes effect at once, and is taken back if it can't be put on record.
func (g *registry) pause(ctx context.Context, x *executor, paused bool) error {
	was := x.paused.Swap(paused)
	if err := g.save(ctx, x); err != nil {
		x.paused.Store(was)
		return fmt.Errorf("keep that executor %q is paused or not: %w", x.Name, err)
	}
	x.wake()
	return nil
}

func (x *executor) controlProcess(ctx context.Context, action string) error {
	if x.Control == nil {
		return task.Errorf(task.CodeConflict, "executor %q is built in and has no process to %s", x.Name, action)
	}
	if err := x.Control(ctx, action); err != nil {
		return task.Errorf(task.CodeExecutorUnavailable, "%s executor %q: %v", action, x.Name, err)
	}
	return nil
}

// ControlNode does "drain" to a worker.
func (e *Engine) ControlNode(ctx context.Context, name, action string) (task.Node, error) {
	for _, x := range e.registry.executors {
		for _, n := range x.describe().Nodes {
			if n.Name != name {
				continue
			}
			c, ok := x.Impl.(sdk.NodeController)
			if !ok {
				return n, task.Errorf(task.CodeConflict, "executor %q cannot %s its nodes", x.Name, action)
			}
			if err := c.ControlNode(ctx, name, action); err != nil {
				return n, task.Errorf(task.CodeExecutorUnavailable, "%s worker %q: %v", action, name, err)
			}
			n.Draining = n.Draining || action == "drain"
			return n, nil
		}
	}
	return task.Node{}, task.Errorf(task.CodeNotFound, "no worker is named %q", name)
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
	ready := 0
	why := "there are none"
	for _, x := range e.registry.executors {
		s := x.describe()
		line := string(s.State)
		if s.Reason != "" {
			line += ": " + s.Reason
		}
		checks["executor "+x.Name] = line
		if x.ready() {
			ready++
		} else {
			why = fmt.Sprintf("%q is %s", x.Name, line)
		}
	}
	if ready == 0 && err == nil {
		err = task.Errorf(task.CodeExecutorUnavailable, "no executor can run anything: %s", why)
	}
	return task.Readiness{Degraded: ready < len(e.registry.executors), Checks: checks}, err
}
