package sqlite

import (
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// A task's row tells part of its history by itself, so that a task whose life is plain has
// no row in table history: that it was made, always; while its column handed_at is set, that
// its attempt was handed on; and while its column begun is, how the attempt that runs began,
// and how it ended if it succeeded. Everything else is in table history from the commit in
// which it happens, and so is then what the row told until then.

// tells is what a row tells by itself beside the task's creation.
type tells struct {
	begun  int64     // the version with which the attempt began; 0: the row does not tell
	handed time.Time // when it was handed on, with the version before; zero: the row does not tell
}

// any says that the row tells something.
func (r *tells) any() bool { return r.begun != 0 || !r.handed.IsZero() }

// creation is how a task was made that was not made running.
func creation(t *task.Task) task.Event {
	return task.Event{Seq: 1, At: t.CreatedAt, To: task.Pending, By: t.Creator()}
}

// handing is how the attempt was handed on that the task has, with that version.
func handing(t *task.Task, version int64, at time.Time) task.Event {
	if version == 1 {
		e := creation(t)
		e.Attempt = t.Attempt
		return e
	}
	return task.Event{Seq: version, At: at, From: task.Pending, To: task.Pending, Attempt: t.Attempt, By: task.ByHost, Message: "dispatched to " + t.Executor}
}

// beginning is how the attempt began that made the task running, with that version.
func beginning(t *task.Task, version int64) task.Event {
	if version == 1 {
		return task.Event{Seq: 1, At: t.CreatedAt, To: task.Running, Attempt: t.Attempt, By: t.Creator()}
	}
	e := task.Event{Seq: version, At: t.StartedAt, From: task.Pending, To: task.Running, Attempt: t.Attempt, By: task.ByHost}
	if t.Node != "" {
		e.Message = "on " + t.Node
	}
	return e
}

// ending is how a task succeeded, with that version.
func ending(t *task.Task, version int64) task.Event {
	return task.Event{Seq: version, At: t.FinishedAt, From: task.Running, To: task.Succeeded, Attempt: t.Attempt, By: task.ByExecutor(t.Executor)}
}

// isTold says that an event is what a row tells, but for its number.
func isTold(e *task.Event, told task.Event) bool {
	return micros(e.At) == micros(told.At) && e.From == told.From && e.To == told.To && e.Attempt == told.Attempt &&
		e.By == told.By && e.Message == told.Message
}

// toldAtInsert is what the row is to tell of a new task.
func toldAtInsert(t *task.Task) (r tells) {
	switch {
	case t.State == task.Running:
		r.begun = t.Version
	case t.Waiting == task.WaitDispatched:
		r.handed = t.CreatedAt
	}
	return r
}

// toldAtBegin is what the row is to tell of a claimed task, whose event this is.
func toldAtBegin(t *task.Task, e *task.Event) (r tells) {
	switch {
	case isTold(e, beginning(t, t.Version)):
		r.begun = t.Version
	case isTold(e, handing(t, t.Version, e.At)):
		r.handed = e.At
	}
	return r
}

// toldBy are the events that a task's row tells. One that was handed on and has not begun
// has the version with which it was.
func toldBy(t *task.Task, r tells) (events []task.Event) {
	if !r.handed.IsZero() {
		version := t.Version
		if r.begun != 0 {
			version = r.begun - 1
		}
		events = append(events, handing(t, version, r.handed))
	}
	if r.begun == 0 {
		return events
	}
	events = append(events, beginning(t, r.begun))
	if t.State == task.Succeeded {
		events = append(events, ending(t, t.Version))
	}
	return events
}

// writeTold puts into the history what the row told by itself until now.
func (w *writer) writeTold(old *guard, seq int64, owner string) error {
	if !old.tells.any() {
		return nil
	}
	t := old.toldTask(owner)
	for _, e := range toldBy(&t, old.tells) {
		if err := w.event(seq, e.Seq, &e); err != nil {
			return err
		}
	}
	return nil
}
