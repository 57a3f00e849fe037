package registry

import (
	"context"
	"errors"
	"fmt"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// ControlExecutor pauses, resumes, drains or restarts an executor. A pause is on record
// when it returns, and outlasts the host.
func (g *Registry) ControlExecutor(ctx context.Context, name, action string) (task.ExecutorStatus, error) {
	x := g.byName[name]
	if x == nil {
		return task.ExecutorStatus{}, task.Errorf(task.CodeNotFound, "no executor is named %q", name)
	}
	var err error
	switch action {
	case "pause", "resume":
		err = g.pause(ctx, x, action == "pause")
	case "drain", "restart":
		err = x.controlProcess(ctx, action)
	default:
		err = task.Errorf(task.CodeInvalidRequest, "%q is no action on an executor: pause, resume, drain and restart are", action)
	}
	if err != nil {
		return task.ExecutorStatus{}, err
	}
	g.log.Info("an operator's word on an executor", "executor", name, "action", action)
	return x.Status(), nil
}

// pause takes effect at once, and is taken back if it can't be put on record.
func (g *Registry) pause(ctx context.Context, x *Executor, paused bool) error {
	was := x.paused.Swap(paused)
	if err := g.save(ctx, x); err != nil {
		x.paused.Store(was)
		return fmt.Errorf("keep that executor %q is paused or not: %w", x.Name, err)
	}
	x.Wake()
	return nil
}

func (x *Executor) controlProcess(ctx context.Context, action string) error {
	if x.Process == nil {
		return task.Errorf(task.CodeConflict, "executor %q is built in and has no process to %s", x.Name, action)
	}
	do := x.Process.Restart
	if action == "drain" {
		do = x.Process.Drain
	}
	if err := do(ctx); err != nil {
		return task.Errorf(task.CodeExecutorUnavailable, "%s executor %q: %v", action, x.Name, err)
	}
	return nil
}

// ControlNode drains or resumes the nodes of that name, and gives the first of them.
func (g *Registry) ControlNode(ctx context.Context, name, action string) (task.Node, error) {
	if action != "drain" && action != "resume" {
		return task.Node{}, task.Errorf(task.CodeInvalidRequest, "%q is no action on a worker: drain and resume are", action)
	}
	for _, x := range g.executors {
		n, ok := findNode(x.LiveNodes(ctx), name)
		if !ok {
			continue
		}
		c, ok := x.Executor.(sdk.NodeController)
		if !ok || !x.offer.Load().Info.ControlsNodes {
			return n, task.Errorf(task.CodeConflict, "executor %q cannot %s its nodes", x.Name, action)
		}
		err := c.ControlNode(ctx, name, action)
		if errors.Is(err, sdk.ErrUnknownNode) { // it was forgotten meanwhile
			return n, task.Errorf(task.CodeNotFound, "%s worker %q: %v", action, name, err)
		}
		if err != nil {
			return n, task.Errorf(task.CodeExecutorUnavailable, "%s worker %q: %v", action, name, err)
		}
		g.log.Info("an operator's word on a worker", "executor", x.Name, "worker", name, "action", action)
		if now, ok := findNode(x.LiveNodes(ctx), name); ok {
			return now, nil
		}
		n.Draining = action == "drain" // it was gone, and is not shown any more
		return n, nil
	}
	return task.Node{}, task.Errorf(task.CodeNotFound, "no worker is named %q", name)
}
