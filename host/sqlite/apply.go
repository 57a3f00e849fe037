package sqlite

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/taskhost/taskhost/host/lane"
	"github.com/taskhost/taskhost/host/task"
)

// Apply implements task.Ledger. The whole row of the task is written, with these
// exceptions: what a submit fixed (type, owner, key, labels, route and budgets) stays; Error, Result, Checkpoint and Handle only with their Set flag;
// and a zero Progress leaves what was noted, unless the task was final.
func (s *Store) Apply(ctx context.Context, changes []task.Change) []error {
	if len(changes) == 0 {
		return nil
	}
	o := newApplyOp(changes)
	if err := s.w.do(ctx, o); err != nil {
		for i := range o.errs {
			o.errs[i] = err
		}
	}
	return o.errs
}

type applyOp struct {
	changes []task.Change
	routes  []string // of the tasks, as lanes name them
	errs    []error
	order   []int         // the changes in the order of their rows, those of one task as they came
	singly  bool          // each by a statement of its own
	broken  map[int]error // changes that are not to be made: the schema refused them in an earlier run, or worse
}

func newApplyOp(changes []task.Change) *applyOp {
	o := &applyOp{changes: changes, routes: make([]string, len(changes)), errs: make([]error, len(changes)), order: make([]int, len(changes))}
	for i := range changes {
		o.order[i] = i
		// A route that can't be written was never stored: the guard will tell.
		o.routes[i], _ = document(changes[i].Task.Route)
		if err := checkTimes(&changes[i].Task); err != nil {
			o.refuse(i, err)
		}
	}
	slices.SortStableFunc(o.order, func(a, b int) int { return cmp.Compare(changes[a].Task.Seq, changes[b].Task.Seq) })
	return o
}

func (o *applyOp) refuse(i int, err error) {
	if o.broken == nil {
		o.broken = map[int]error{}
	}
	o.broken[i] = err
}

func (o *applyOp) size() (rows, bytes int) { return sizeOfChanges(o.changes) }

// sizeOfChanges is about how many rows changes write, and how many bytes of payload.
func sizeOfChanges(changes []task.Change) (rows, bytes int) {
	for i := range changes {
		c := &changes[i]
		rows += 2
		if c.SetResult {
			bytes += len(c.Task.Result)
		}
		if c.SetCheckpoint {
			bytes += len(c.Task.Checkpoint)
		}
	}
	return rows, bytes
}

func (o *applyOp) run(w *writer) error {
	for at := 0; at < len(o.order); at++ {
		i := o.order[at]
		n, made, err := o.applyRun(w, at)
		switch {
		case err != nil && !isConstraint(err):
			return err
		case made:
			for _, done := range o.order[at : at+n] {
				o.errs[done] = nil
			}
			at += n - 1
			continue
		case n > 0:
			o.singly = true // then it is seen whose guard does not hold
			return errRunAgain
		}
		if o.errs[i] = o.broken[i]; o.errs[i] != nil {
			continue
		}
		refused, err := w.apply(&o.changes[i], o.routes[i])
		if err != nil {
			// Should the schema refuse it, the others are to be made without it.
			if isConstraint(err) {
				o.refuse(i, constraintError(err))
				return errRunAgain
			}
			return err
		}
		o.errs[i] = refused
	}
	clear(w.run.changes)
	return nil
}

// applyRun makes the changes from the one at a place of the order on, if they are more than one
// that a statement can make, n of them: all or, if it says that they are not made, with something
// of them left to be undone.
func (o *applyOp) applyRun(w *writer, at int) (n int, made bool, err error) {
	r := o.runFrom(w, at, isPlainSuccess, alike)
	if len(r.changes) > 0 {
		made, err = w.succeed(r)
	} else {
		r = o.runFrom(w, at, isPlainStart, startAlike)
		made, err = w.start(r)
	}
	return len(r.changes), made, err
}

// apply makes one change; refused says why its guard does not hold.
func (w *writer) apply(c *task.Change, route string) (refused, err error) {
	var done bool
	switch {
	case isPlainStart(c):
		done, err = w.start(w.runOf(c, route))
	case isPlainSuccess(c):
		done, err = w.succeed(w.runOf(c, route))
	}
	if done || err != nil {
		return nil, err
	}
	old, refused, err := w.checkGuard(c)
	if refused != nil || err != nil {
		return refused, err
	}
	return nil, w.change(c, &old)
}

// checkGuard reads what the stored row of a change's task is now; refused says why the
// change's guard does not hold.
func (w *writer) checkGuard(c *task.Change) (old guard, refused, err error) {
	t := &c.Task
	st := w.st.taskGuard
	st.bind().int(t.Seq)
	found, err := st.one()
	if err != nil {
		return old, nil, err
	}
	if !found {
		return old, task.Errorf(task.CodeConflict, "task %s exists no more", t.ID), nil
	}
	old = readGuard(st.row)
	if old.state != c.From || old.attempt != int64(c.FromAttempt) || old.version != t.Version {
		return old, task.Errorf(task.CodeConflict, "task %s has changed meanwhile: it is %s, attempt %d, version %d, and not %s, attempt %d, version %d",
			t.ID, old.state, old.attempt, old.version, c.From, c.FromAttempt, t.Version), nil
	}
	if c.From.Final() && t.State == task.Pending { // retried by hand: it comes into the queue again
		if refused := w.checkQueues([]*task.Task{t}); refused != nil {
			return old, refused, nil
		}
	}
	return old, nil, nil
}

// attemptLane is the lane in which limits count a task that an attempt holds, or the one that
// it names; nil if there is none.
func (w *writer) attemptLane(t *task.Task, route string) *lane.Lane {
	if n := w.lanes.HolderLane(t.Seq); n != nil {
		return n
	}
	return w.lanes.ByKey(keyOf(t, route))
}

// guard is what a change must know of the stored row.
type guard struct {
	lane, attempt, version     int64
	state                      task.State
	waiting                    task.Waiting
	result                     int64
	progress                   task.Progress
	errorCode                  string
	errorAttempt               int64
	tells                      tells
	created, started, finished time.Time
	node, executor             string
	place                      int64
	parent                     task.ID
}

const (
	guardColumns = `lane, state, waiting, attempt, version, result, done, total, message, error_code, error_attempt,
begun, created_at, started_at, finished_at, node, place, executor, parent, handed_at`
	guardCount = 20
)

func readGuard(r row) guard {
	g := guard{
		lane: r.int(0), state: task.State(r.int(1)), waiting: task.Waiting(r.int(2)), attempt: r.int(3), version: r.int(4),
		result: r.int(5), progress: task.Progress{Done: r.int(6), Total: r.int(7), Message: r.text(8)},
		errorCode: r.text(9), errorAttempt: r.int(10),
		tells: tells{begun: r.int(11), handed: r.time(19)}, created: r.time(12), started: r.time(13), finished: r.time(14), node: r.text(15), place: r.int(16),
		executor: r.text(17),
	}
	copy(g.parent[:], r.blob(18))
	return g
}

// toldTask is of the stored row what toldBy reads.
func (g *guard) toldTask(owner string) task.Task {
	return task.Task{Owner: owner, State: g.state, Attempt: int(g.attempt), Version: g.version, Node: g.node, Executor: g.executor, Parent: g.parent,
		CreatedAt: g.created, StartedAt: g.started, FinishedAt: g.finished}
}

// change writes any change whose guard held.
func (w *writer) change(c *task.Change, old *guard) error {
	t := &c.Task
	w.ready.forget(t.Seq)
	from, err := w.laneOf(old.lane)
	if err != nil {
		return err
	}
	to := from
	if t.Suspect != from.Suspect || t.Pinned != from.Executor {
		k := lane.KeyOf(&from.Lane)
		k.Suspect = t.Suspect
		k.Executor = t.Pinned
		if to, err = w.lane(k); err != nil {
			return err
		}
	}
	if t.State == task.Pending && (t.Waiting == task.WaitQueued || t.Waiting == task.WaitResource) {
		if t.Waiting, err = w.waitForResources(t, t.Seq, micros(t.UpdatedAt)); err != nil {
			return err
		}
	}
	told, err := w.changeHistory(c, old, from.Owner)
	if err != nil {
		return err
	}
	if err := w.updateTask(c, old, to, told); err != nil {
		return err
	}
	if err := w.writeSideTables(c, old.result); err != nil {
		return err
	}
	was := lane.CounterOf(old.state, old.waiting)
	is := lane.CounterOf(t.State, t.Waiting)
	if err := w.changed(c); err != nil {
		return err
	}
	if !t.Group.IsZero() {
		w.groups.trashed(t.Group, old.state == task.Failed && old.errorCode == task.FailureTrashed, t.Trashed())
	}
	if t.State == task.Pending && t.Waiting == task.WaitChildren {
		if err := w.waitForChildren(t.ID, c.WaitFor); err != nil {
			return err
		}
	}
	w.lanes.Move(from, was, to, is)
	w.lanes.MoveReason(from, old.waiting, to, t.Waiting)
	if is == lane.Ready {
		to.Window.Add(entryOf(int64(t.Priority), old.place, t.Seq))
	}
	if was == lane.Active && is != lane.Active {
		if err := w.endAttempt(t.Seq); err != nil {
			return err
		}
	}
	if is == lane.Active && was != lane.Active {
		w.lanes.Hold(t.Seq, to, t)
		return w.enterFlight(t.Seq)
	}
	return nil
}

// changeHistory writes what the row will not tell by itself any more, and of the change
// what it does not tell. told is what the row is to tell.
func (w *writer) changeHistory(c *task.Change, old *guard, owner string) (told tells, err error) {
	t := &c.Task
	if old.tells.begun != 0 && t.Node == old.node && (c.Event == nil || isTold(c.Event, ending(t, 0))) {
		return old.tells, nil
	}
	if err := w.writeTold(old, t.Seq, owner); err != nil || c.Event == nil {
		return tells{}, err
	}
	return tells{}, w.event(t.Seq, t.Version+1, c.Event)
}

func (w *writer) updateTask(c *task.Change, old *guard, to *lane.Lane, told tells) error {
	t := &c.Task
	row := &w.row
	*row = taskRow{Task: t, seq: t.Seq, lane: to.Row, version: t.Version + 1, tells: told, progress: t.Progress,
		errorCode: old.errorCode, errorAttempt: old.errorAttempt, result: old.result}
	if t.Progress == (task.Progress{}) && !c.From.Final() {
		row.progress = old.progress
	}
	if c.SetError {
		row.errorCode = ""
		row.errorAttempt = 0
		if t.Error != nil {
			row.errorCode = t.Error.Code
			row.errorAttempt = int64(t.Error.Attempt)
		}
	}
	if c.SetResult {
		row.result = resultKind(t.Result, t.ResultType)
	}
	st := w.st.taskUpdate
	a := st.bind()
	bindColumns(updateColumns, a, row)
	a.value(c.SetHandle).blob(t.Handle).int(t.Seq)
	return st.run()
}

// writeSideTables writes what a change has for the other tables. wasResult is where the
// result was.
func (w *writer) writeSideTables(c *task.Change, wasResult int64) error {
	t := &c.Task
	if c.SetResult {
		if err := w.setResult(t, wasResult); err != nil {
			return err
		}
	}
	if c.SetCheckpoint {
		if err := w.setDetail(w.st.detailCheckpoint, t.Seq, t.Checkpoint); err != nil {
			return err
		}
	}
	if c.SetError {
		return w.setError(t)
	}
	return nil
}

func (w *writer) setResult(t *task.Task, was int64) error {
	if resultKind(t.Result, t.ResultType) == resultRow {
		data := t.Result
		if data == nil {
			data = []byte{}
		}
		st := w.st.resultPut
		st.bind().int(t.Seq).value(t.ResultType).blob(data)
		return st.run()
	}
	if was != resultRow {
		return nil
	}
	st := w.st.resultDelete
	st.bind().int(t.Seq)
	return st.run()
}

func (w *writer) setError(t *task.Task) error {
	message, details := "", []byte(nil)
	if t.Error != nil {
		message = t.Error.Message
		if len(t.Error.Details) > 0 {
			var err error
			if details, err = json.Marshal(t.Error.Details); err != nil {
				details, _ = json.Marshal(map[string]string{"unreadable": err.Error()})
			}
		}
	}
	pair := w.st.detailError
	st := pair.put
	if message == "" && details == nil {
		st = pair.clear
		st.bind().int(t.Seq)
		return st.run()
	}
	st.bind().int(t.Seq).text(message).text(string(details))
	return st.run()
}

// detailColumn are the statements that set a column of task_detail, making the row, and
// that clear it, making none.
type detailColumn struct{ put, clear *stmt }

// setDetail sets or clears a column of task_detail.
func (w *writer) setDetail(p detailColumn, seq int64, data []byte) error {
	if data == nil {
		p.clear.bind().int(seq)
		return p.clear.run()
	}
	p.put.bind().int(seq).blob(data)
	return p.put.run()
}

// SaveProgress implements task.Ledger.
func (s *Store) SaveProgress(ctx context.Context, notes []task.ProgressNote) error {
	if len(notes) == 0 {
		return nil
	}
	return s.w.do(ctx, &progressOp{notes})
}

type progressOp struct{ notes []task.ProgressNote }

func (o *progressOp) size() (rows, bytes int) { return len(o.notes), 0 }

func (o *progressOp) run(w *writer) error {
	st := w.st.taskProgress
	for i := range o.notes {
		n := &o.notes[i]
		st.bind().opt(n.Progress.Done).opt(n.Progress.Total).text(n.Progress.Message).int(micros(n.At)).int(n.Seq).int(int64(n.Attempt))
		if err := st.run(); err != nil {
			return err
		}
	}
	return nil
}
