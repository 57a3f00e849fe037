package sqlite

import (
	"github.com/taskhost/taskhost/host/task"
)

// A task's row tells part of its history by itself, so that a task whose life is plain has
// no row in table history: that it was made, always; and while its column begun is set, how
// the attempt that runs began, and how it ended if it succeeded. Everything else is in table
// history from the commit in which it happens, and so is then what the row told until then.

// creation is how a task was made that was not made running.
func creation(t *task.Task) task.Event {
	return task.Event{Seq: 1, At: t.CreatedAt, To: task.Pending, By: t.Creator()}
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

// toldBy are the events that a row tells: a task that is running or has succeeded, whose
// attempt began with version begun.
func toldBy(t *task.Task, begun int64) []task.Event {
	events := []task.Event{beginning(t, begun)}
	if t.State == task.Succeeded {
		events = append(events, ending(t, t.Version))
	}
	return events
}

// writeTold puts into the history what the row told by itself until now.
func (w *writer) writeTold(old *guard, seq int64, owner string) error {
	if old.begun == 0 {
		return nil
	}
	t := old.toldTask(owner)
	for _, e := range toldBy(&t, old.begun) {
		if err := w.event(seq, e.Seq, &e); err != nil {
			return err
		}
	}
	return nil
}
