package worker

import (
	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/sdk"
)

// logStart has the log tell at debug that an attempt begins.
func (w *Worker) logStart(r *run) {
	if w.log.IsDebug() {
		w.log.Debug("attempt begins", r.logArgs()...)
	}
}

// logOutcome has the log tell of each attempt that failed, in one line, and at debug of
// every end. What becomes of the task is for its host to say.
func (w *Worker) logOutcome(r *run, o *sdk.Outcome) {
	switch {
	case o.Kind == sdk.OutcomeFailed:
		message := o.Message
		if r.start.Task.Secret { // which may stand in it; the host tells it without
			message = "(not shown here: the task's input holds secrets)"
		}
		w.log.Info("attempt failed", append(r.logArgs(), "code", o.Code, "message", hclog.Quote(message))...)
	case w.log.IsDebug():
		w.log.Debug("attempt ends", append(r.logArgs(), "outcome", o.Kind)...)
	}
}

func (r *run) logArgs() []any {
	t := &r.start.Task
	return []any{"task", t.ID, "type", t.Type, "executor", r.executor.Name, "attempt", t.Attempt}
}
