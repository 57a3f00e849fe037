package engine

import (
	"context"
	"time"

	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/task"
)

// All changes of tasks are committed by the functions of this file. Each tells what
// became true (committed, deleted) only after it is on disk; watchers and the
// executors that have work now follow from that, and whatever else one task's change
// means for others is to hang on it too.

// commit makes one change. Its task has the new version then.
func (e *Engine) commit(ctx context.Context, c *task.Change) error {
	if err := e.store.Apply(ctx, []task.Change{*c})[0]; err != nil {
		return err
	}
	c.Task.Version++
	e.committed(c)
	return nil
}

// commitAll makes changes that do not depend on one another, and gives an error for each.
func (e *Engine) commitAll(ctx context.Context, changes []task.Change) []error {
	if len(changes) == 0 {
		return nil
	}
	errs := e.store.Apply(ctx, changes)
	for i, err := range errs {
		if err == nil {
			changes[i].Task.Version++
			e.committed(&changes[i])
		}
	}
	return errs
}

// newTask is a task on its way into the store.
type newTask struct {
	task     task.Task
	taskType *registry.Type
	executor *registry.Executor
	share    *registry.Share // of which a place, and with it a slot, is reserved; nil if the task is to wait
}

// commitNew puts new tasks on record, all or none.
func (e *Engine) commitNew(ctx context.Context, batch []newTask, idem *task.Idempotency) (task.Receipt, error) {
	tasks := make([]*task.Task, len(batch))
	for i := range batch {
		tasks[i] = &batch[i].task
	}
	receipt, err := e.store.Insert(ctx, task.Submission{Tasks: tasks, Idempotency: idem})
	if err != nil || receipt.Replayed != nil {
		return receipt, err
	}
	for i := range batch {
		n := &batch[i]
		e.committed(&task.Change{Task: n.task, Event: &task.Event{At: n.task.CreatedAt, To: n.task.State, Attempt: n.task.Attempt, By: n.task.Owner}})
	}
	return receipt, nil
}

// commitClaim begins attempts at waiting tasks.
func (e *Engine) commitClaim(ctx context.Context, c task.Claim) ([]task.Claimed, error) {
	claimed, err := e.store.Claim(ctx, c)
	for i := range claimed {
		e.committed(&claimed[i].Change)
	}
	return claimed, err
}

// commitDue makes scheduled tasks ready whose time has come, some hundreds at the most.
// It says how many, and when the next is due.
func (e *Engine) commitDue(ctx context.Context) (n int, next time.Time, err error) {
	n, next, err = e.store.Promote(ctx, e.now(), promoteAtOnce)
	if n > 0 { // whose they are is for the executors to find out
		e.log.Debug("scheduled tasks are due", "tasks", n)
		e.registry.ServeNew()
		e.registry.WakeAll()
	}
	return n, next, err
}

// commitRetired deletes tasks whose time to be kept is up; more says that it did not come
// to the end of them.
func (e *Engine) commitRetired(ctx context.Context) (more bool, err error) {
	gone, more, err := e.store.DeleteExpired(ctx, e.now(), retireAtOnce)
	for _, id := range gone {
		e.deleted(id, task.ByHost)
	}
	return more, err
}

// commitDelete deletes one final task.
func (e *Engine) commitDelete(ctx context.Context, s task.Scope, id task.ID) error {
	err := e.store.Delete(ctx, s, id)
	if err == nil {
		e.deleted(id, s.Owner)
	}
	return err
}

// deleted tells what follows from a task being there no more.
func (e *Engine) deleted(id task.ID, by string) {
	e.hub.gone(id)
	if e.log.IsDebug() {
		e.log.Debug("task deleted", "task", id, "by", by)
	}
}

// committed tells what follows from a change that is on record: its watchers hear of
// it, and a task that waits wakes whoever runs it now. Which executor that is is asked
// after the commit: config may have moved the type while it was under way.
func (e *Engine) committed(c *task.Change) {
	e.publish(c)
	e.logChange(c)
	if c.Task.State != task.Pending {
		return
	}
	switch c.Task.Waiting {
	case task.WaitQueued:
		e.registry.ServeNew() // its lane may be new
		if x := e.registry.Serving(&c.Task); x != nil {
			x.Wake()
		}
	case task.WaitScheduled:
		e.registry.ServeNew()
		if c.Delay > 0 {
			e.delays.add(c)
		}
		e.wakeTimer()
	}
}
