package sqlite

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

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
	all := w.run.changes[:0]
	for i := range taken {
		all = append(all, taken[i].Change)
	}
	w.run.changes = all
	sortBySeq(all)
	for len(all) > 0 {
		first := &all[0].Task
		n := 1
		// One that is handed on has when its last attempt began until the next does.
		for n < len(all) && follows(&all[n].Task, first, n) && all[n].Task.StartedAt.Equal(first.StartedAt) {
			n++
		}
		if err := w.writeRunBegin(all[:n]); err != nil {
			return err
		}
		all = all[n:]
	}
	clear(w.run.changes)
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

// run is changes that one statement makes, if they are more than one.
type run struct {
	changes []*task.Change
	lanes   []runLane
}

// runLane is a lane of some tasks of a run that follow one another.
type runLane struct {
	*lane.Lane
	until int // the place in the run behind them
}

// runLanes is in how many lanes the tasks of a run are at the most.
const runLanes = 4

// laneOfRun is, in a statement that writes a run, the lane that a row must be in, by parameters from
// that number on: a lane, and the order key before which its tasks are; of the last the lane alone.
func laneOfRun(parameter int) string {
	var b strings.Builder
	b.WriteString("CASE")
	for range runLanes - 1 {
		fmt.Fprintf(&b, " WHEN seq < ?%d THEN ?%d", parameter+1, parameter)
		parameter += 2
	}
	fmt.Fprintf(&b, " ELSE ?%d END", parameter)
	return b.String()
}

// bindLanes binds what laneOfRun has of parameters.
func (r *run) bindLanes(a *arg) {
	first := r.changes[0].Task.Seq
	for i := range runLanes {
		n := &r.lanes[min(i, len(r.lanes)-1)]
		a.int(n.Row)
		if i < runLanes-1 {
			a.int(first + int64(n.until))
		}
	}
}

// each calls do with each change of a run and its lane.
func (r *run) each(do func(*lane.Lane, *task.Change) error) error {
	at := 0
	for i, c := range r.changes {
		if i == r.lanes[at].until {
			at++
		}
		if err := do(r.lanes[at].Lane, c); err != nil {
			return err
		}
	}
	return nil
}

// addToRun adds a change that is plain and alike; false if it is of one lane too many, or of none.
func (w *writer) addToRun(r *run, c *task.Change, route string) bool {
	last := len(r.changes) - 1
	if last < 0 || !w.sameLane(&c.Task, &r.changes[last].Task) {
		n := w.attemptLane(&c.Task, route)
		if n == nil || len(r.lanes) == runLanes {
			return false
		}
		r.lanes = append(r.lanes, runLane{Lane: n})
	}
	r.changes = append(r.changes, c)
	r.lanes[len(r.lanes)-1].until = len(r.changes)
	return true
}

// sameLane says that attemptLane gives the same for two tasks with one route.
func (w *writer) sameLane(t, o *task.Task) bool {
	return keyOf(t, "") == keyOf(o, "") && w.lanes.HolderLane(t.Seq) == w.lanes.HolderLane(o.Seq)
}

// runFrom are the changes from that place of the order on that are plain, that are alike and
// that one statement can make; none if it is not more than one.
func (o *applyOp) runFrom(w *writer, at int, plain func(*task.Change) bool, alike func(t, first *task.Task, n int) bool) run {
	first := &o.changes[o.order[at]]
	if o.singly || len(o.broken) > 0 || !plain(first) {
		return run{}
	}
	r := w.newRun()
	for _, i := range o.order[at:] {
		c := &o.changes[i]
		if !plain(c) || o.routes[i] != o.routes[o.order[at]] || !alike(&c.Task, &first.Task, len(r.changes)) || !w.addToRun(&r, c, o.routes[i]) {
			break
		}
	}
	w.run = r
	if len(r.changes) == 1 {
		return run{}
	}
	return r
}

// newRun is one without changes, in room that is used again.
func (w *writer) newRun() run { return run{w.run.changes[:0], w.run.lanes[:0]} }

// runOf is one change as a run; without any if its lane is none that is known.
func (w *writer) runOf(c *task.Change, route string) run {
	r := w.newRun()
	w.addToRun(&r, c, route)
	return r
}

// startAlike says that t, which was started, can be the n-th after first of a run.
func startAlike(t, first *task.Task, n int) bool {
	return follows(t, first, n) && t.Node == first.Node && bytes.Equal(t.Handle, first.Handle) &&
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
// not of all, and then nothing of it is to stay. The lanes are those of succeed.
func (w *writer) start(r run) (bool, error) {
	if len(r.changes) == 0 {
		return false, nil
	}
	t := &r.changes[0].Task
	st := w.st.taskStart
	a := st.bind().int(t.Seq).int(t.Seq + int64(len(r.changes)) - 1).int(t.Version).int(int64(r.changes[0].FromAttempt)).
		text(t.Node).blob(t.Handle).int(micros(t.StartedAt)).int(micros(t.UpdatedAt))
	r.bindLanes(a)
	changed, err := st.changed()
	if err != nil || changed != int64(len(r.changes)) {
		return false, err
	}
	err = r.each(func(n *lane.Lane, c *task.Change) error {
		w.lanes.MoveReason(n, task.WaitDispatched, n, task.WaitNone) // its lane counts it as active as before
		return w.changed(c)
	})
	return err == nil, err
}

// alike says that t, which succeeded, can be the n-th after first of a run.
func alike(t, first *task.Task, n int) bool {
	return follows(t, first, n) && keptFor(t) == keptFor(first) &&
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
// all, and then nothing of it is to stay. Their lanes must be those that the tasks name, or those
// in which limits count them.
func (w *writer) succeed(r run) (bool, error) {
	if len(r.changes) == 0 {
		return false, nil
	}
	t := &r.changes[0].Task
	w.each = w.each[:0]
	for _, c := range r.changes {
		w.each = strconv.AppendInt(w.each, micros(c.Task.FinishedAt), 10)
	}
	st := w.st.taskSucceed
	a := st.bind().int(t.Seq).int(t.Seq + int64(len(r.changes)) - 1).int(t.Version).int(int64(r.changes[0].FromAttempt)).
		blob(w.each).int(keptFor(t)).int(resultKind(t.Result, t.ResultType))
	r.bindLanes(a)
	changed, err := st.changed()
	if err != nil || changed != int64(len(r.changes)) {
		return false, err
	}
	err = r.each(func(n *lane.Lane, c *task.Change) error {
		if err := w.endAttempt(c.Task.Seq); err != nil {
			return err
		}
		w.lanes.Move(n, lane.Active, n, lane.Uncounted)
		if err := w.changed(c); err != nil {
			return err
		}
		return w.writeSideTables(c, resultNone)
	})
	return err == nil, err
}

// isPlainSuccess says that a change is the common end of an attempt, for which a narrower
// statement does. Its time has 16 digits from the year 2001 to 2286.
func isPlainSuccess(c *task.Change) bool {
	t := &c.Task
	return c.From == task.Running && t.State == task.Succeeded && c.Event != nil && isTold(c.Event, ending(t, 0)) &&
		!c.SetError && t.Handle == nil && !c.SetCheckpoint && t.Progress == (task.Progress{}) &&
		micros(t.FinishedAt) >= 1e15 && micros(t.FinishedAt) < 1e16 && micros(t.UpdatedAt) == micros(t.FinishedAt)
}
