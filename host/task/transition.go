package task

import "time"

// Begin makes t's next attempt, with token, on executor. A deferred executor
// has not begun yet: its task stays pending, dispatched, until Started.
func Begin(t *Task, executor string, token Token, deferred bool, now time.Time) (c Change) {
	c = changeOf(t)
	c.Task.begin(executor, token, deferred, now)
	c.Event = &Event{At: now, From: c.From, To: c.Task.State, Attempt: c.Task.Attempt, By: ByHost}
	if deferred {
		c.Event.Message = "dispatched to " + executor
	}
	return c
}

// BeginNew makes the first attempt of a new task, as Begin does, with the task itself.
func (t *Task) BeginNew(executor string, token Token, deferred bool) {
	t.begin(executor, token, deferred, t.CreatedAt)
}

func (t *Task) begin(executor string, token Token, deferred bool, now time.Time) {
	t.Attempt++
	t.Token, t.Executor, t.Node, t.Handle = token, executor, "", nil
	t.Progress, t.UpdatedAt = Progress{}, now
	if deferred {
		t.State, t.Waiting = Pending, WaitDispatched
	} else {
		t.State, t.Waiting, t.StartedAt = Running, WaitNone, now
	}
}

// Started says that the attempt of a dispatched task has begun on node. On a
// running task it only keeps handle and node.
func Started(t *Task, handle []byte, node string, now time.Time) (Change, error) {
	c := changeOf(t)
	c.SetHandle = true
	c.Task.Handle, c.Task.Node, c.Task.UpdatedAt = handle, node, now
	switch {
	case t.State == Running, t.State == Reverting: // the state says already that work is done
		return c, nil
	case t.State == Pending && t.Waiting == WaitDispatched:
		c.Task.State, c.Task.Waiting, c.Task.StartedAt = Running, WaitNone, now
		c.Event = &Event{At: now, From: Pending, To: Running, Attempt: t.Attempt, By: ByHost}
		if node != "" { // not every executor that hands attempts on has nodes
			c.Event.Message = "on " + node
		}
		return c, nil
	}
	return Change{}, Errorf(CodeConflict, "task %s is %s: its attempt cannot start", t.ID, t.State)
}

// Checkpointed keeps data for the next attempt.
func Checkpointed(t *Task, data []byte, now time.Time) (Change, error) {
	if !t.State.Active() {
		return Change{}, Errorf(CodeConflict, "task %s is %s: its attempt is over", t.ID, t.State)
	}
	c := changeOf(t)
	c.setCheckpoint(data)
	c.Task.Requeued = 0
	c.Task.UpdatedAt = now
	return c, nil
}

// Cancel is a request by someone that t end. A task that does not run is
// canceled at once; one that runs becomes canceling until its attempt's end is
// confirmed. already_final if it is done. A second request changes nothing: the
// Change is empty then.
func Cancel(t *Task, by string, now time.Time) (Change, error) {
	switch t.State {
	case Canceling:
		return Change{Task: *t}, nil
	case Running:
		c := changeOf(t)
		c.requested(by, now)
		err := c.enter(Canceling, by, "cancel requested", now)
		return c, err
	case Pending:
		c := changeOf(t)
		err := c.cancelWaiting(by, "canceled before it ran", "canceled by "+by, now)
		return c, err
	case Reverting:
		return Change{}, Errorf(CodeConflict, "task %s is being reverted, which cannot be canceled", t.ID)
	}
	return Change{}, Errorf(CodeAlreadyFinal, "task %s is already %s", t.ID, t.State)
}

// requested has c say who asked for the task's end.
func (c *Change) requested(by string, now time.Time) {
	c.Task.CancelRequestedAt = now
	c.Task.RequestedBy = by
}

// cancelWaiting ends a task that no attempt has begun of.
func (c *Change) cancelWaiting(by, message, reason string, now time.Time) error {
	c.requested(by, now)
	c.setError(&Failure{Code: FailureCanceled, Message: reason, Attempt: c.Task.Attempt, Details: map[string]any{"confirmed": true}})
	return c.enter(Canceled, by, message, now)
}

// Retry runs a failed, canceled or reverted task again with fresh budgets; the
// attempt's number goes on, and so does its checkpoint unless it was reverted.
func Retry(t *Task, by string, now time.Time) (Change, error) {
	if !t.State.Final() {
		return Change{}, Errorf(CodeNotFinal, "task %s is %s: only a failed, canceled or reverted task can be retried", t.ID, t.State)
	}
	if !Allowed(t.State, Pending) {
		return Change{}, Errorf(CodeConflict, "task %s is %s: only a failed, canceled or reverted task can be retried", t.ID, t.State)
	}
	c := changeOf(t)
	err := c.enter(Pending, by, "retry requested", now)
	n := &c.Task
	n.Waiting, n.RunAt, n.Failures, n.Lost = WaitQueued, now, 0, 0
	n.Suspect, n.Requeued = false, 0
	n.FinishedAt, n.ExpiresAt, n.CancelRequestedAt, n.StartedAt = time.Time{}, time.Time{}, time.Time{}, time.Time{}
	n.RequestedBy, n.Progress, n.Deadline = "", Progress{}, time.Time{}
	c.setError(nil)
	n.Result, n.ResultType, c.SetResult = nil, "", true
	if t.State == Reverted {
		n.Checkpoint, c.SetCheckpoint = nil, true
	}
	return c, err
}

// Pause has a pending task rest until Resume: it keeps its place in the queue, and the
// resources that it has. conflict if an attempt holds it, or if it waits for its children;
// already_final if it is done. One that rests already stays so: the Change is empty then.
func Pause(t *Task, by string, now time.Time) (Change, error) {
	switch {
	case t.State.Final():
		return Change{}, Errorf(CodeAlreadyFinal, "task %s is already %s", t.ID, t.State)
	case t.State != Pending || t.Waiting == WaitDispatched:
		return Change{}, Errorf(CodeConflict, "task %s is %s: an attempt holds it", t.ID, t.State)
	case t.Waiting == WaitChildren:
		return Change{}, Errorf(CodeConflict, "task %s waits for its children: pause them", t.ID)
	case t.Waiting == WaitPaused:
		return Change{Task: *t}, nil
	}
	c := changeOf(t)
	c.Task.Waiting = WaitPaused
	err := c.enter(Pending, by, "paused", now)
	return c, err
}

// Resume has a task wait for its turn again that was paused, or that rests until it is
// resumed. conflict if it is not.
func Resume(t *Task, by string, now time.Time) (Change, error) {
	if t.State.Final() {
		return Change{}, Errorf(CodeAlreadyFinal, "task %s is already %s", t.ID, t.State)
	}
	if t.State != Pending || t.Waiting != WaitPaused {
		return Change{}, Errorf(CodeConflict, "task %s is %s and not paused", t.ID, t.State)
	}
	c := changeOf(t)
	c.Task.Waiting = WaitQueued
	if t.RunAt.After(now) {
		c.Task.Waiting = WaitScheduled
	}
	err := c.enter(Pending, by, "resumed", now)
	return c, err
}

// Move pins a waiting task to an executor, or to none if it is "". conflict if an attempt
// holds it.
func Move(t *Task, executor string, now time.Time) (Change, error) {
	c, err := reorder(t, now)
	c.Task.Pinned = executor
	return c, err
}

// Reprioritize gives a waiting task another priority. conflict if an attempt holds it.
func Reprioritize(t *Task, priority int, now time.Time) (Change, error) {
	c, err := reorder(t, now)
	c.Task.Priority = priority
	return c, err
}

// reorder begins a change of where a task waits, which is no transition.
func reorder(t *Task, now time.Time) (Change, error) {
	if t.State.Final() {
		return Change{}, Errorf(CodeAlreadyFinal, "task %s is already %s", t.ID, t.State)
	}
	if t.State != Pending || t.Waiting == WaitDispatched {
		return Change{}, Errorf(CodeConflict, "task %s is %s: an attempt holds it", t.ID, t.State)
	}
	c := changeOf(t)
	c.Task.UpdatedAt = now
	return c, nil
}

// Due makes a scheduled task ready now, whatever its RunAt says: for a retry whose delay
// is over on the host's own clock, while the system's was set back. It is no transition.
func Due(t *Task, now time.Time) (Change, error) {
	if t.State != Pending || t.Waiting != WaitScheduled {
		return Change{}, Errorf(CodeConflict, "task %s is %s and does not wait for a time", t.ID, t.State)
	}
	c := changeOf(t)
	c.Task.Waiting = WaitQueued
	c.Task.RunAt = now
	c.Task.UpdatedAt = now
	return c, nil
}

// waitsForNothing is how often in a row a task may yield until its children are final, and
// find them so, before it rests: those that its attempts spawn may be as quick.
const waitsForNothing = 3

// ChildrenDone has a task go on that waited for its children, which are final. One that
// waits again and again for what is final already rests longer each time, unless it saves
// something new.
func ChildrenDone(t *Task, now time.Time) (Change, error) {
	if t.State != Pending || t.Waiting != WaitChildren {
		return Change{}, Errorf(CodeConflict, "task %s is %s and does not wait for children", t.ID, t.State)
	}
	c := changeOf(t)
	c.Task.Requeued++
	if now.Sub(t.UpdatedAt) >= RequeueMin {
		c.Task.Requeued = 0
	}
	if n := c.Task.Requeued - waitsForNothing; n > 0 {
		c.Delay = restAfter(n - 1)
	}
	err := c.waitUntil(now.Add(c.Delay), childrenFinal, now)
	return c, err
}

const childrenFinal = "its children are final"

// Overdue fails a pending task whose deadline has passed.
func Overdue(t *Task, now time.Time) (Change, error) {
	c := changeOf(t)
	c.setError(&Failure{Code: FailureTimeout, Message: "the task's deadline passed before it was done", Attempt: t.Attempt})
	err := c.enter(Failed, ByHost, "deadline passed", now)
	return c, err
}
