package engine

import (
	"context"
	"fmt"

	"github.com/taskhost/taskhost/host/task"
)

// recover takes up what an earlier host process left: attempts that outlive
// their host are joined again, all others are settled as lost. Processes of the
// dead host have been ended before (the supervisor does that when it opens), so
// nothing that is settled here still runs.
func (e *Engine) recover(ctx context.Context) error {
	var after int64
	for {
		held, err := e.store.Held(ctx, after, 500)
		if err != nil {
			return fmt.Errorf("read what the last host left running: %w", err)
		}
		if len(held) == 0 {
			return nil
		}
		var lost []task.Task
		for _, t := range held {
			after = max(after, t.Seq)
			r := e.reg.byName[t.Executor]
			// One that runs and was handed on has a handle; without it an executor of another kind held it
			// under this name, and nobody can join it.
			orphan := t.State != task.Pending && len(t.Handle) == 0
			if r != nil && r.outlives() && (!orphan || !r.offer.Load().Info.Deferred) {
				r.used.Add(1)
				e.launch(r, t, true)
				continue
			}
			lost = append(lost, t)
		}
		if err := e.settleLost(ctx, lost); err != nil {
			return err
		}
	}
}

func (e *Engine) settleLost(ctx context.Context, lost []task.Task) error {
	changes := make([]task.Change, 0, len(lost))
	for _, t := range lost {
		o := task.Outcome{Kind: task.OutcomeLost, Code: task.FailureExecutorLost, Message: "the host ended while the attempt ran"}
		if t.State == task.Pending { // handed on, and surely not started: its start would be on record
			o = task.Outcome{Kind: task.OutcomeReleased, Message: "the host ended before the attempt started"}
		}
		c, err := task.Settle(t, o, e.reg.limitsOf(t.Type).Backoff, now(), chance())
		if err != nil {
			return fmt.Errorf("settle task %s, which the last host left: %w", t.ID, err)
		}
		changes = append(changes, c)
	}
	if len(changes) == 0 {
		return nil
	}
	for i, err := range e.store.Apply(ctx, changes) {
		if err != nil {
			return fmt.Errorf("settle task %s, which the last host left: %w", changes[i].Task.ID, err)
		}
	}
	e.log.Info("settled attempts that ended with the last host", "tasks", len(changes))
	e.reg.rebuild()
	return nil
}
