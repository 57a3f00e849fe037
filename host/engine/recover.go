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
		held, err := e.store.InFlight(ctx, e.store.Host().ID, after, 500)
		if err != nil {
			return fmt.Errorf("read what the last host left running: %w", err)
		}
		if len(held) == 0 {
			return nil
		}
		var lost []task.Task
		for _, t := range held {
			after = max(after, t.Seq)
			x := e.registry.Executor(t.Executor)
			// One that runs and was handed on has a handle; without it an executor of another kind held it
			// under this name, and nobody can join it.
			orphan := t.State != task.Pending && len(t.Handle) == 0
			if x == nil || !x.Outlives() || orphan && x.Deferred() {
				lost = append(lost, t)
				continue
			}
			s := x.ShareOf(&t)
			s.Hold()
			x.Hold()
			e.launch(x, s, &t, true)
		}
		if err := e.settleLost(ctx, lost); err != nil {
			return err
		}
	}
}

func (e *Engine) settleLost(ctx context.Context, lost []task.Task) error {
	changes := make([]task.Change, 0, len(lost))
	for i := range lost {
		t := &lost[i]
		c, err := task.Settle(t, new(e.lostOutcome(t)), e.registry.LimitsOf(t.Type).Backoff, e.now(), chance())
		if err != nil {
			return fmt.Errorf("settle task %s, which the last host left: %w", t.ID, err)
		}
		changes = append(changes, c)
	}
	for i, err := range e.commitAll(ctx, changes) {
		if err != nil {
			return fmt.Errorf("settle task %s, which the last host left: %w", changes[i].Task.ID, err)
		}
	}
	if len(changes) > 0 {
		e.log.Info("settled attempts that ended with the last host", "tasks", len(changes))
	}
	return nil
}

// lostOutcome is what became of an attempt that ended with its host. That says nothing
// against a task which ran in a process of its own. One that ran in the host's may have
// ended it: it is suspect once it was there a second time.
func (e *Engine) lostOutcome(t *task.Task) task.Outcome {
	if t.State == task.Pending { // handed on, and surely not started: its start would be on record
		return task.Outcome{Kind: task.OutcomeReleased, Message: "the host ended before the attempt started"}
	}
	x := e.registry.Executor(t.Executor)
	inHost := x != nil && x.InHost()
	return task.Outcome{Kind: task.OutcomeLost, Code: task.FailureExecutorLost, Message: "the host ended while the attempt ran",
		Suspect: inHost && t.Lost > 0}
}
