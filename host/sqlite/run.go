package sqlite

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"

	"github.com/taskhost/taskhost/host/lane"
	"github.com/taskhost/taskhost/host/task"
)

// A run is tasks whose order keys follow one another and to which the same happens: one
// statement writes them all, where a statement for each costs twice as much and more. What
// each has of its own, 16 bytes of it, is cut out of w.each by the statement.

// follows says that t can be the n-th after first of a run.
func follows(t, first *task.Task, n int) bool {
	return t.Seq == first.Seq+int64(n) && t.Attempt == first.Attempt && t.Version == first.Version
}

// writeBeginnings writes what Begin changed: one narrow update for each run of tasks that
// differ in their tokens alone, and the events if the rows do not tell them.
func (w *writer) writeBeginnings(taken []task.Claimed) error {
	all := w.changes[:0]
	for i := range taken {
		all = append(all, &taken[i].Change)
	}
	w.changes = all
	sortBySeq(all)
	for len(all) > 0 {
		first := &all[0].Task
		n := 1
		for n < len(all) && follows(&all[n].Task, first, n) {
			n++
		}
		if err := w.writeRunBegin(all[:n]); err != nil {
			return err
		}
		all = all[n:]
	}
	clear(w.changes)
	return nil
}

// sortBySeq puts changes in the order of the rows, those of one task as they are.
func sortBySeq(changes []*task.Change) {
	slices.SortStableFunc(changes, func(a, b *task.Change) int { return cmp.Compare(a.Task.Seq, b.Task.Seq) })
}

func (w *writer) writeRunBegin(run []*task.Change) error {
	t := &run[0].Task
	told := toldAtBegin(t, run[0].Event)
	w.each = w.each[:0]
	for _, c := range run {
		w.each = append(w.each, c.Task.Token[:]...)
		if told.any() {
			continue
		}
		if err := w.event(c.Task.Seq, c.Task.Version, c.Event); err != nil {
			return err
		}
	}
	st := w.st.taskBegin
	st.bind().int(t.Seq).int(t.Seq + int64(len(run)) - 1).int(t.Version).blob(w.each).
		int(int64(t.State)).int(int64(t.Waiting)).int(int64(t.Attempt)).opt(told.begun).text(t.Executor).opt(micros(t.StartedAt)).int(micros(t.UpdatedAt)).
		opt(micros(told.handed))
	n, err := st.changed()
	if err == nil && n != int64(len(run)) { // they are read from the table the next time
		err = fmt.Errorf("%d of %d tasks from %d on are not as they were kept", int64(len(run))-n, len(run), t.Seq)
	}
	return err
}

// runFrom are the changes from that place of the order on that are plain, that are alike and
// that one statement can write; none if it is not more than one.
func (o *applyOp) runFrom(w *writer, at int, plain func(*task.Change) bool, alike func(t, first *task.Task, n int) bool) []*task.Change {
	first := &o.changes[o.order[at]]
	if o.singly || len(o.broken) > 0 || !plain(first) {
		return nil
	}
	limited := w.lanes.HolderLane(first.Task.Seq)
	run := append(w.changes[:0], first)
	for _, i := range o.order[at+1:] {
		c := &o.changes[i]
		if !plain(c) || o.routes[i] != o.routes[o.order[at]] || w.lanes.HolderLane(c.Task.Seq) != limited || !alike(&c.Task, &first.Task, len(run)) {
			break
		}
		run = append(run, c)
	}
	w.changes = run
	if len(run) == 1 {
		return nil
	}
	return run
}

// startAlike says that t, which was started, can be the n-th after first of a run.
func startAlike(t, first *task.Task, n int) bool {
	return follows(t, first, n) && keyOf(t, "") == keyOf(first, "") && t.Node == first.Node && bytes.Equal(t.Handle, first.Handle) &&
		t.StartedAt.Equal(first.StartedAt) && t.UpdatedAt.Equal(first.UpdatedAt)
}

// isPlainStart says that a change is the common beginning of a dispatched attempt, for which a
// narrower statement does.
func isPlainStart(c *task.Change) bool {
	t := &c.Task
	return c.From == task.Pending && t.State == task.Running && c.Event != nil && !c.SetError && !c.SetResult && !c.SetCheckpoint &&
		isTold(c.Event, beginning(t, t.Version+1))
}

// start makes the common beginning of dispatched attempts of a run: of all or, if it says false,
// not of all, and then nothing of it is to stay. The lane is that of succeed.
func (w *writer) start(run []*task.Change, route string) (bool, error) {
	t := &run[0].Task
	n := w.attemptLane(t, route)
	if n == nil {
		return false, nil
	}
	st := w.st.taskStart
	st.bind().text(t.Node).blob(t.Handle).int(micros(t.StartedAt)).int(micros(t.UpdatedAt)).int(t.Seq).int(t.Seq + int64(len(run)) - 1).
		int(int64(run[0].FromAttempt)).int(t.Version).int(n.Row)
	changed, err := st.changed()
	if err != nil || changed != int64(len(run)) {
		return false, err
	}
	for _, c := range run {
		w.lanes.MoveReason(n, task.WaitDispatched, n, task.WaitNone) // its lane counts it as active as before
		if err := w.changed(c); err != nil {
			return false, err
		}
	}
	return true, nil
}

// alike says that t, which succeeded, can be the n-th after first of a run.
func alike(t, first *task.Task, n int) bool {
	return follows(t, first, n) && keyOf(t, "") == keyOf(first, "") && keptFor(t) == keptFor(first) &&
		resultKind(t.Result, t.ResultType) == resultKind(first.Result, first.ResultType)
}

// keptFor is for how many microseconds a task is kept once it is final; -1 for ever.
func keptFor(t *task.Task) int64 {
	if t.ExpiresAt.IsZero() {
		return -1
	}
	return micros(t.ExpiresAt) - micros(t.FinishedAt)
}

// succeed makes the common end of the attempts of a run: of all or, if it says false, not of
// all, and then nothing of it is to stay. The lane must be the one that the tasks name, or that
// in which limits count them.
func (w *writer) succeed(run []*task.Change, route string) (bool, error) {
	t := &run[0].Task
	n := w.attemptLane(t, route)
	if n == nil {
		return false, nil
	}
	w.each = w.each[:0]
	for _, c := range run {
		w.each = strconv.AppendInt(w.each, micros(c.Task.FinishedAt), 10)
	}
	st := w.st.taskSucceed
	st.bind().int(t.Seq).int(t.Seq + int64(len(run)) - 1).int(t.Version).blob(w.each).int(keptFor(t)).
		int(resultKind(t.Result, t.ResultType)).int(int64(run[0].FromAttempt)).int(n.Row)
	changed, err := st.changed()
	if err != nil || changed != int64(len(run)) {
		return false, err
	}
	for _, c := range run {
		if err := w.endAttempt(c.Task.Seq); err != nil {
			return false, err
		}
		if err := w.changed(c); err != nil {
			return false, err
		}
		w.lanes.Move(n, lane.Active, n, lane.Uncounted)
		if err := w.writeSideTables(c, resultNone); err != nil {
			return false, err
		}
	}
	return true, nil
}

// isPlainSuccess says that a change is the common end of an attempt, for which a narrower
// statement does. Its time has 16 digits from the year 2001 to 2286.
func isPlainSuccess(c *task.Change) bool {
	t := &c.Task
	return c.From == task.Running && t.State == task.Succeeded && c.Event != nil && isTold(c.Event, ending(t, 0)) &&
		!c.SetError && t.Handle == nil && !c.SetCheckpoint && t.Progress == (task.Progress{}) &&
		micros(t.FinishedAt) >= 1e15 && micros(t.FinishedAt) < 1e16 && micros(t.UpdatedAt) == micros(t.FinishedAt)
}
