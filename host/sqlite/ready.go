package sqlite

import (
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/taskhost/taskhost/host/lane"
	"github.com/taskhost/taskhost/host/task"
)

const (
	readyKept  = 1 << 13 // tasks: 6 MiB
	readyBytes = 512     // of a task's input, labels and route at the most: one with more is read when it is claimed
)

// readyTasks keeps ready tasks as they are on record, so that a claim need not read them
// one by one: those that were inserted last, and those of the windows that were read last.
// It is the writer's. One that is claimed or changes is forgotten, and stays so if that is
// rolled back: it is read then.
type readyTasks []task.Task // each in its place: its order key modulo the length

// place is where a task with that order key is kept.
func (k *readyTasks) place(seq int64) *task.Task {
	if *k == nil {
		*k = make(readyTasks, readyKept)
	}
	return &(*k)[seq%readyKept]
}

// inserted takes up a task that was inserted ready.
func (k *readyTasks) inserted(t *task.Task, r *insertRow) {
	if len(t.Input)+len(t.Checkpoint)+len(r.labels)+len(r.lane.Route) > readyBytes || !t.Resources.None() {
		return
	}
	kept := k.place(r.seq)
	*kept = *t
	kept.Seq = r.seq
	kept.OnConflict = nil
	for _, at := range [...]*time.Time{&kept.CreatedAt, &kept.RunAt, &kept.UpdatedAt, &kept.Deadline} {
		*at = fromMicros(micros(*at)) // as it is on record
	}
}

// take gives the task with that order key if it is kept, and forgets it.
func (k readyTasks) take(seq int64) (t task.Task, kept bool) {
	if k == nil || k[seq%readyKept].Seq != seq {
		return t, false
	}
	t = k[seq%readyKept]
	k.forget(seq)
	return t, true
}

func (k readyTasks) forget(seq int64) {
	if k != nil && k[seq%readyKept].Seq == seq {
		k[seq%readyKept] = task.Task{}
	}
}

// What is read of the ready tasks beyond a window: all that there may be of a task that has
// had no attempt and has no checkpoint, with the input if it is small.
var (
	sqlReady = `SELECT ` + columnNames(readyColumns[:len(readyColumns)-1]) + `, CASE WHEN length(i.data) <= ` + strconv.Itoa(readyBytes) + ` THEN i.data END,
t.attempt > 0 OR m.checkpoint IS NOT NULL OR t.resources IS NOT NULL OR coalesce(length(i.data), 0) + coalesce(length(t.labels), 0) > ` + strconv.Itoa(readyBytes) + `
FROM task t LEFT JOIN input i ON i.task = t.seq LEFT JOIN task_detail m ON m.task = t.seq WHERE t.waiting = {queued} AND t.lane = +?`
	sqlReadySame       = named(sqlReady + ` AND t.priority = +? AND t.seq > +? ORDER BY t.seq LIMIT ?`)
	sqlReadyBelow      = named(sqlReady + ` AND t.priority < +? ORDER BY t.priority DESC, t.seq LIMIT ?`)
	sqlReadyChildSame  = named(sqlReady + ` AND t.place IS NOT NULL AND t.priority = +? AND (t.place, t.seq) > (+?, +?) ORDER BY t.place, t.seq LIMIT ?`)
	sqlReadyChildBelow = named(sqlReady + ` AND t.place IS NOT NULL AND t.priority < +? ORDER BY t.priority DESC, t.place, t.seq LIMIT ?`)
	readyCount         = len(readyColumns) + 1
)

// readyColumns are those that a submit fixes, and of those that change what a ready task
// has before its first attempt.
var readyColumns = func() (columns []taskColumn) {
	for _, c := range insertColumns {
		if c.use&onUpdate == 0 || slices.Contains([]string{"priority", "version", "run_at", "updated_at", "deadline"}, c.name) {
			columns = append(columns, c)
		}
	}
	return append(columns, inputColumn)
}()

// readReady is a lane.Read: it reads the ready tasks of l beyond its window from the
// index, first the younger ones of the priority where it ends, then the lower priorities.
func (w *writer) readReady(l *lane.Lane, limit int) ([]lane.Entry, error) {
	batch := w.batch[:0]
	read := func(st *stmt) error {
		return st.each(func(r row) bool {
			t := decode(r, &l.Lane, readyColumns)
			t.State = task.Pending
			t.Waiting = task.WaitQueued
			batch = append(batch, entryOf(int64(t.Priority), t.Place, t.Seq))
			if more := r.int(readyCount - 1); more == 0 && len(l.Route) <= readyBytes {
				*w.ready.place(t.Seq) = t
			}
			return true
		})
	}
	same, lower := w.st.readySame, w.st.readyBelow
	if l.Child {
		same, lower = w.st.readyChildSame, w.st.readyChildBelow
	}
	below := int64(math.MaxInt64)
	if end, ok := l.Window.End(); ok {
		below = end.Priority
		a := same.bind().int(l.Row).int(end.Priority).int(end.Place)
		if l.Child {
			a.int(end.Seq)
		}
		a.int(int64(limit))
		if err := read(same); err != nil {
			return nil, err
		}
	}
	if left := limit - len(batch); left > 0 {
		lower.bind().int(l.Row).int(below).int(int64(left))
		if err := read(lower); err != nil {
			return nil, err
		}
	}
	w.batch = batch
	return batch, nil
}

// readyTask is the task at the head of a lane, as it is on record; false if it is ready
// there no more.
func (w *writer) readyTask(head *lane.Head) (t task.Task, ready bool, err error) {
	seq := head.Entry.Seq
	if t, kept := w.ready.take(seq); kept {
		// It may have been read for another lane, to which it was moved since.
		l := &head.Lane.Lane
		return t, int64(t.Priority) == head.Entry.Priority && t.Pinned == l.Executor && t.Suspect == l.Suspect, nil
	}
	st := w.st.taskWhole
	st.bind().int(seq)
	found, err := st.one()
	if err != nil || !found {
		return t, false, err
	}
	t = decode(st.row, &head.Lane.Lane, taskColumns)
	ready = t.State == task.Pending && t.Waiting == task.WaitQueued && st.row.int(2) == head.Lane.Row && int64(t.Priority) == head.Entry.Priority
	return t, ready, nil
}
