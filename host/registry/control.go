package registry

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// ControlExecutor pauses, resumes, drains or restarts an executor. A pause is on record
// when it returns, and outlasts the host. What would change nothing about the executor as
// it is now is refused with conflict, and the error names what would.
func (g *Registry) ControlExecutor(ctx context.Context, name, action string) (task.ExecutorStatus, error) {
	x := g.byName[name]
	if x == nil {
		return task.ExecutorStatus{}, task.Errorf(task.CodeNotFound, "no executor is named %q", name)
	}
	var err error
	switch action {
	case "pause":
		err = g.pauseExecutor(ctx, x)
	case "resume":
		err = g.resumeExecutor(ctx, x)
	case "drain", "restart":
		err = g.controlProcess(ctx, x, action)
	default:
		err = task.Errorf(task.CodeInvalidRequest, "%q is no action on an executor: pause, resume, drain and restart are", action)
	}
	if err != nil {
		return task.ExecutorStatus{}, err
	}
	return x.Status(), nil
}

func (g *Registry) pauseExecutor(ctx context.Context, x *Executor) error {
	s := x.sourceStatus()
	switch {
	case x.paused.Load():
		return task.Errorf(task.CodeConflict, "executor %q is paused already: resume has it start attempts again", x.Name)
	case startsNothing(s.State):
		return task.Errorf(task.CodeConflict, "executor %q is %s and starts nothing that could be paused: %s", x.Name, s.State, x.wayBack(&s))
	}
	return g.setPaused(ctx, x, true)
}

func (g *Registry) resumeExecutor(ctx context.Context, x *Executor) error {
	if x.paused.Load() {
		return g.setPaused(ctx, x, false)
	}
	s := x.sourceStatus()
	if startsNothing(s.State) {
		return task.Errorf(task.CodeConflict, "executor %q is not paused, but %s: %s", x.Name, s.State, x.wayBack(&s))
	}
	return task.Errorf(task.CodeConflict, "executor %q is not paused: %s", x.Name, x.why())
}

// startsNothing says of an executor's state that attempts are started only after
// something was done about it, or time has passed.
func startsNothing(s task.ExecutorState) bool {
	return s == task.ExecutorStopped || s == task.ExecutorDraining || s == task.ExecutorQuarantined
}

// wayBack says what has an executor that starts nothing start attempts again.
func (x *Executor) wayBack(s *task.ExecutorStatus) string {
	switch {
	case x.Process == nil && s.State == task.ExecutorStopped:
		return s.Reason + "; put its block right and start the host anew"
	case x.Process == nil:
		return s.Reason
	case s.State == task.ExecutorQuarantined:
		return "restart starts it at once, drain has it stay away"
	case s.State == task.ExecutorDraining:
		return "restart brings it back, once it is drained"
	}
	return "restart brings it back"
}

// setPaused takes effect at once, and is taken back if it can't be put on record.
func (g *Registry) setPaused(ctx context.Context, x *Executor, paused bool) error {
	was := x.paused.Swap(paused)
	if err := g.save(ctx, x); err != nil {
		x.paused.Store(was)
		return fmt.Errorf("keep that executor %q is paused or not: %w", x.Name, err)
	}
	x.Wake()
	did := "an operator resumed an executor"
	if paused {
		did = "an operator paused an executor"
	}
	g.log.Info(did, "executor", x.Name, "attempts", x.used.Load())
	return nil
}

// controlProcess drains or restarts, and tells the log when it begins and how it ends: it
// may take as long as what runs.
func (g *Registry) controlProcess(ctx context.Context, x *Executor, action string) error {
	if x.Process == nil {
		return x.withoutProcess(action)
	}
	do := x.Process.Restart
	if action == "drain" {
		do = x.Process.Drain
	}
	began := time.Now()
	g.log.Info("an operator's "+action+" of an executor begins", "executor", x.Name, "attempts", x.used.Load())
	err := do(ctx)
	if err == nil {
		g.log.Info("an operator's "+action+" of an executor is done", "executor", x.Name, "took", time.Since(began))
		return nil
	}
	g.log.Warn("an operator's "+action+" of an executor is not done", "executor", x.Name, "took", time.Since(began), "error", err)
	if task.CodeOf(err) == task.CodeConflict {
		return err
	}
	return task.Errorf(task.CodeExecutorUnavailable, "%s executor %q: %v", action, x.Name, err)
}

// withoutProcess says what can be done instead about an executor that has no process.
func (x *Executor) withoutProcess(action string) error {
	s := x.sourceStatus()
	switch {
	case s.State == task.ExecutorStopped:
		return task.Errorf(task.CodeConflict, "executor %q has no process to %s: %s", x.Name, action, x.wayBack(&s))
	case action == "drain":
		return task.Errorf(task.CodeConflict, "executor %q is built in and has no process to drain: pause has it start no more attempts", x.Name)
	}
	return task.Errorf(task.CodeConflict, "executor %q is built in and has no process to restart: it begins anew with the host", x.Name)
}

// ControlNode drains or resumes the nodes of that name, and gives the first of them.
// Conflict if they are so already.
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
		if err := c.ControlNode(ctx, name, action); err != nil {
			return n, nodeError(name, action, err)
		}
		did := "an operator drains a worker"
		if action == "resume" {
			did = "an operator resumed a worker"
		}
		g.log.Info(did, "executor", x.Name, "worker", name, "attempts", len(n.Running))
		if now, ok := findNode(x.LiveNodes(ctx), name); ok {
			return now, nil
		}
		n.Draining = action == "drain" // it was gone, and is not shown any more
		return n, nil
	}
	return task.Node{}, task.Errorf(task.CodeNotFound, "no worker is named %q", name)
}

// nodeError gives what a NodeController answers the code that clients see.
func nodeError(name, action string, err error) error {
	code := task.CodeExecutorUnavailable
	switch {
	case errors.Is(err, sdk.ErrUnknownNode): // it was forgotten meanwhile
		code = task.CodeNotFound
	case errors.Is(err, sdk.ErrNodeUnchanged), errors.Is(err, sdk.ErrUnknownAction):
		code = task.CodeConflict
	}
	return task.Errorf(code, "%s worker %q: %v", action, name, err)
}
