package engine

import (
	"context"
	"time"

	"github.com/taskhost/taskhost/host/group"
	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// All changes of tasks are committed by the functions of this file. Each tells what
// became true (committed, deleted) only after it is on disk; watchers and the
// executors that have work now follow from that, and whatever else one task's change
// means for others is to hang on it too.

// commit makes one change. Its task has the new version then.
func (e *Engine) commit(ctx context.Context, c *task.Change) error {
	changes := []task.Change{*c}
	if err := e.store.Apply(ctx, changes)[0]; err != nil {
		return err
	}
	*c = changes[0] // the store says whether a task that is ready waits for a resource
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
	task     *task.Task
	taskType *registry.Type
	executor *registry.Executor
	own      bool            // of a type that is the host's own
	sealed   bool            // some of its input is secret
	share    *registry.Share // of which a place, and with it a slot, is reserved; nil if the task is to wait
}

// newTasks are tasks that are accepted together, all or none.
type newTasks struct {
	batch []newTask
	tasks []task.Task  // those of the batch, in one piece
	group *group.Group // that they make, if they do
	idem  *task.Idempotency
	// spawned says that an attempt which runs makes them: they are taken also while a host
	// that is about to end lets it finish, and wait for the next one.
	spawned bool
}

// roomFor has room for so many tasks.
func roomFor(count int) newTasks {
	n := newTasks{batch: make([]newTask, count), tasks: make([]task.Task, count)}
	for i := range n.batch {
		n.batch[i].task = &n.tasks[i]
	}
	return n
}

// commitNew puts new tasks on record, all or none.
func (e *Engine) commitNew(ctx context.Context, n newTasks) (receipt task.Receipt, err error) {
	tasks := make([]*task.Task, len(n.batch))
	for i := range n.batch {
		tasks[i] = n.batch[i].task
	}
	s := task.Submission{Tasks: tasks, Idempotency: n.idem}
	if n.group != nil {
		receipt, err = e.store.CreateGroup(ctx, n.group, s)
	} else {
		receipt, err = e.store.Insert(ctx, s)
	}
	if err != nil || receipt.Replayed != nil {
		return receipt, err
	}
	for _, t := range tasks {
		e.inserted(t)
	}
	e.wakeRates()
	return receipt, nil
}

// inserted tells what follows from the commit of a new task.
func (e *Engine) inserted(t *task.Task) {
	if !t.Existing().IsZero() {
		return
	}
	if t.OnConflict != nil && t.OnConflict.Canceled != nil {
		e.replaced(t.OnConflict.Canceled)
	}
	e.changed(t, &task.Event{At: t.CreatedAt, To: t.State, Attempt: t.Attempt, By: t.Creator()})
}

// replaced tells what follows from the cancel of a task whose key a new one has taken.
func (e *Engine) replaced(c *task.Change) {
	e.committed(c)
	if c.FromAttempt > 0 { // it may have been handed on, and not begun
		go e.withdraw(c.Task.ID, c.FromAttempt, sdk.ErrCancel) // who tells this may be in the gate that it waits at
	}
}

// commitDecision makes changes of several tasks, all or none.
func (e *Engine) commitDecision(t task.Transaction) error {
	if err := e.store.Commit(e.ctx, t); err != nil {
		return err
	}
	for i := range t.Changes {
		t.Changes[i].Task.Version++
		e.committed(&t.Changes[i])
	}
	for _, n := range t.Inserts {
		e.inserted(n)
	}
	return nil
}

// commitClaim begins attempts at waiting tasks.
func (e *Engine) commitClaim(ctx context.Context, c task.Claim) ([]task.Claimed, error) {
	claimed, err := e.store.Claim(ctx, c)
	for i := range claimed {
		e.committed(claimed[i].Change)
	}
	e.claimed()
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
		e.deleted(id, s.Actor())
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

// mayBeDecided says that a signal may have been given with the change that made a task
// what it is: it is final and belongs to something, it waits for children, or it was
// canceled and may have some.
func mayBeDecided(t *task.Task) bool {
	switch {
	case t.State == task.Canceling, t.State == task.Canceled, t.State == task.Pending && t.Waiting == task.WaitChildren:
		return true
	}
	return t.State.Final() && (!t.Group.IsZero() || !t.Parent.IsZero() || !t.Resources.None())
}

// committed tells what follows from a change that is on record.
func (e *Engine) committed(c *task.Change) {
	if c.Delay > 0 && c.Task.Waiting == task.WaitScheduled {
		e.delays.add(c)
	}
	e.letGo(c)
	e.changed(&c.Task, c.Event)
}

// changed tells what follows from a task being on record as it is now, by that transition if it is
// one: its watchers hear of it, and a task that waits wakes whoever runs it now. Which executor
// that is is asked after the commit: config may have moved the type while it was under way.
func (e *Engine) changed(t *task.Task, ev *task.Event) {
	if countsAsFailed(t) {
		e.failures.add(t.ID)
	}
	if ev != nil { // else a checkpoint, or a handle
		e.publish(t, ev)
		e.logChange(t, ev)
	}
	if mayBeDecided(t) {
		e.wakeSignals()
	}
	if t.State.Final() && !t.Resources.None() {
		e.granted()
	}
	if t.State != task.Pending {
		return
	}
	switch t.Waiting {
	case task.WaitQueued:
		e.registry.ServeNew() // its lane may be new
		if x := e.registry.Serving(t); x != nil {
			x.Wake()
		}
	case task.WaitScheduled:
		e.registry.ServeNew()
		e.wakeTimer()
	}
}
