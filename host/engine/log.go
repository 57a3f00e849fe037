package engine

import (
	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/host/task"
)

// logChange has the log tell of each task that fails, in one line, and at debug of every
// transition.
func (e *Engine) logChange(c *task.Change) {
	if c.Event == nil {
		return // a checkpoint, or a handle
	}
	t := &c.Task
	switch {
	case t.Error == nil:
	case t.State == task.Failed:
		e.log.Info("task failed", failureArgs(t)...)
		return
	case t.State == task.RevertFailed:
		e.log.Info("undoing a task failed", failureArgs(t)...)
		return
	}
	if e.log.IsDebug() {
		e.log.Debug("task changed", transitionArgs(c)...)
	}
}

// failureArgs are what the log tells of a failed task. Its details may be long, and are
// read in the task.
func failureArgs(t *task.Task) []any {
	return []any{"task", t.ID, "type", t.Type, "executor", t.Executor, "attempt", t.Attempt, "code", t.Error.Code, "message", hclog.Quote(t.Error.Message)}
}

// transitionArgs are what the log tells of a transition, without what it does not have.
func transitionArgs(c *task.Change) []any {
	t := &c.Task
	args := []any{"task", t.ID, "type", t.Type}
	if c.Event.From != task.None {
		args = append(args, "from", c.Event.From)
	}
	args = append(args, "to", t.State)
	if t.Waiting != task.WaitNone {
		args = append(args, "waiting", t.Waiting)
	}
	if t.Executor != "" {
		args = append(args, "executor", t.Executor)
	}
	args = append(args, "attempt", t.Attempt, "by", c.Event.By)
	if c.Event.Message != "" {
		args = append(args, "message", hclog.Quote(c.Event.Message))
	}
	return args
}

// logStack puts the stack of a script that panicked among the attempt's own lines, where
// whoever wrote the script looks.
func (a *attempt) logStack(o *task.Outcome) {
	if stack, ok := o.Details["stack"].(string); ok {
		a.line(hclog.Error, o.Message, []string{"stack", stack})
	}
}
