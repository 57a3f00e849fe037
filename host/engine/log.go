package engine

import (
	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/host/task"
)

// logChange has the log tell of each task that fails, in one line, and at debug of every
// transition.
func (e *Engine) logChange(t *task.Task, ev *task.Event) {
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
		e.log.Debug("task changed", transitionArgs(t, ev)...)
	}
}

// failureArgs are what the log tells of a failed task. Its details may be long, and are
// read in the task.
func failureArgs(t *task.Task) []any {
	return []any{"task", t.ID, "type", t.Type, "executor", t.Executor, "attempt", t.Attempt, "code", t.Error.Code, "message", hclog.Quote(t.Error.Message)}
}

// transitionArgs are what the log tells of a transition, without what it does not have.
func transitionArgs(t *task.Task, ev *task.Event) []any {
	args := []any{"task", t.ID, "type", t.Type}
	if ev.From != task.None {
		args = append(args, "from", ev.From)
	}
	args = append(args, "to", t.State)
	if t.Waiting != task.WaitNone {
		args = append(args, "waiting", t.Waiting)
	}
	if t.Executor != "" {
		args = append(args, "executor", t.Executor)
	}
	args = append(args, "attempt", t.Attempt, "by", ev.By)
	if ev.Message != "" {
		args = append(args, "message", hclog.Quote(ev.Message))
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
