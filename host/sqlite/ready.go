package sqlite

import (
	"math"
	"slices"
	"strconv"

	"github.com/taskhost/taskhost/host/lane"
	"github.com/taskhost/taskhost/host/task"
)

// readyBytes are of a task's input, labels, resources and route at the most: one with more is not
// kept, but read when it is claimed.
const readyBytes = 512

// windowReads read the ready tasks of a lane beyond its window, in the order in which they
// are claimed: the younger ones of the priority where it ends, then those of lower priorities.
type windowReads struct {
	same, below           *stmt
	childSame, childBelow *stmt // of a lane of children
}

// What is read of them: their places in the queue, by an index alone; or all that there may be
// of a task that has had no attempt and has no checkpoint, with the input if it is small.
var (
	sqlReadyPlaces = `SELECT t.seq, t.priority FROM task t WHERE`
	sqlChildPlaces = `SELECT t.seq, t.priority, t.place FROM task t WHERE`
	sqlReadyTasks  = `SELECT ` + columnNames(readyColumns[:len(readyColumns)-1]) + `, CASE WHEN length(i.data) <= ` + strconv.Itoa(readyBytes) + ` THEN i.data END,
t.attempt > 0 OR m.checkpoint IS NOT NULL OR coalesce(length(i.data), 0) + coalesce(length(t.labels), 0) + coalesce(length(t.resources), 0) > ` + strconv.Itoa(readyBytes) + `, t.lane
FROM task t LEFT JOIN input i ON i.task = t.seq LEFT JOIN task_detail m ON m.task = t.seq WHERE`
	sqlReadySame       = named(` t.waiting = {queued} AND t.lane = +? AND t.priority = +? AND t.seq > +? ORDER BY t.seq LIMIT +?`)
	sqlReadyBelow      = named(` t.waiting = {queued} AND t.lane = +? AND t.priority < +? ORDER BY t.priority DESC, t.seq LIMIT +?`)
	sqlReadyChildSame  = named(` t.waiting = {queued} AND t.lane = +? AND t.place IS NOT NULL AND t.priority = +? AND (t.place, t.seq) > (+?, +?) ORDER BY t.place, t.seq LIMIT +?`)
	sqlReadyChildBelow = named(` t.waiting = {queued} AND t.lane = +? AND t.place IS NOT NULL AND t.priority < +? ORDER BY t.priority DESC, t.place, t.seq LIMIT +?`)
	readyCount         = len(readyColumns) + 2
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

// readReady is a lane.Read.
func (w *writer) readReady(l *lane.Lane, limit int) ([]lane.Entry, error) {
	w.batch = w.batch[:0]
	end, ok := l.Window.End()
	err := w.readQueue(w.st.readyPlaces, l, end, ok, limit, func(r row) {
		e := lane.Entry{Priority: r.int(1), Place: r.int(0), Seq: r.int(0)}
		if l.Child {
			e.Place = r.int(2)
		}
		w.batch = append(w.batch, e)
	})
	return w.batch, err
}

// keepReady reads the tasks at the head of a lane, up to limit of them, and keeps them.
func (w *writer) keepReady(head *lane.Head, limit int) error {
	l := head.Lane
	before := head.Entry
	before.Seq--
	if !l.Child {
		before.Place--
	}
	last := head.Entry
	err := w.readQueue(w.st.readyTasks, l, before, true, limit, func(r row) {
		t, keep := readReadyTask(r, l)
		last = entryOf(int64(t.Priority), t.Place, t.Seq)
		if keep {
			w.ready.keep(t.Seq, &t, l)
		}
	})
	l.Window.TasksTo(last)
	return err
}

// readReadyTask reads what sqlReadyTasks gives of a task that is ready, or is about to be; keep
// says whether that is all there is, and little enough to be kept.
func readReadyTask(r row, l *lane.Lane) (t task.Task, keep bool) {
	t = decode(r, &l.Lane, readyColumns)
	t.State = task.Pending
	t.Waiting = task.WaitQueued
	more := r.int(readyCount - 2)
	return t, more == 0 && len(l.Route) <= readyBytes
}

// readQueue has each called with the rows of the ready tasks of l, up to limit of them, behind
// that place in the queue; from its beginning if there is none.
func (w *writer) readQueue(reads windowReads, l *lane.Lane, behind lane.Entry, place bool, limit int, each func(row)) error {
	left := int64(limit)
	next := func(r row) bool { left--; each(r); return true }
	same, lower := reads.same, reads.below
	if l.Child {
		same, lower = reads.childSame, reads.childBelow
	}
	below := int64(math.MaxInt64)
	if place {
		below = behind.Priority
		a := same.bind().int(l.Row).int(behind.Priority).int(behind.Place)
		if l.Child {
			a.int(behind.Seq)
		}
		a.int(left)
		if err := same.each(next); err != nil {
			return err
		}
	}
	if left <= 0 {
		return nil
	}
	lower.bind().int(l.Row).int(below).int(left)
	return lower.each(next)
}

// readyTask is the task at the head of a lane, as it is on record; false if it is ready
// there no more.
func (w *writer) readyTask(head *lane.Head, merge *lane.Merge) (t task.Task, ready bool, err error) {
	seq := head.Entry.Seq
	if !w.ready.have(seq) && head.Lane.Window.TasksFrom(head.Entry) {
		if n := merge.Together(readyKept); n > 1 {
			if err := w.keepReady(head, n); err != nil {
				return t, false, err
			}
		}
	}
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
