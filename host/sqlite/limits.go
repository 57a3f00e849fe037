package sqlite

import (
	"context"
	"time"

	"github.com/taskhost/taskhost/host/lane"
	"github.com/taskhost/taskhost/host/task"
)

const (
	sqlRates   = `SELECT type, spent FROM type_rate`
	sqlRatePut = `INSERT INTO type_rate (type, spent) VALUES (?, ?) ON CONFLICT (type) DO UPDATE SET spent = excluded.spent`
)

var (
	sqlHeld     = named(`SELECT seq, lane, labels FROM task WHERE seq >= ? AND seq < ? AND (state BETWEEN {running} AND {reverting} OR waiting = {dispatched})`)
	sqlMoveLane = named(`UPDATE task SET lane = ? WHERE seq = ? AND waiting = {queued}`)
)

// SetStartLimits implements task.LimitStore.
func (s *Store) SetStartLimits(ctx context.Context, byType map[string]task.StartLimits) error {
	return s.w.do(ctx, &limitsOp{byType: byType})
}

// limitsOp puts limits in force. It is a group of its own, so that no open transaction has
// counted anything under the limits before.
type limitsOp struct{ byType map[string]task.StartLimits }

func (o *limitsOp) size() (rows, bytes int) { return groupRows + 1, 0 }

func (o *limitsOp) run(w *writer) error {
	var held []lane.Held
	for block, rows := range w.inFlight.rows {
		if *rows == 0 || len(o.byType) == 0 {
			continue
		}
		st := w.st.held
		st.bind().int(block << blockShift).int((block + 1) << blockShift)
		if err := st.each(func(r row) bool {
			l := w.lanes.ByRow(r.int(1)) // a lane with a task that is held is always there
			if l == nil {
				return true
			}
			h := lane.Held{Seq: r.int(0), Lane: l, Task: task.Task{Type: l.Type, Owner: l.Owner}}
			_ = unmarshal(r.blob(2), &h.Task.Labels) // what is damaged has none, and is shown as damaged
			held = append(held, h)
			return true
		}); err != nil {
			return err
		}
	}
	w.lanes.SetLimits(o.byType, held)
	return nil
}

// OpenRates implements task.LimitStore.
func (s *Store) OpenRates(now time.Time) (opened bool, next time.Time) { return s.lanes.OpenRates(now) }

// StartBlock implements task.LimitStore.
func (s *Store) StartBlock(taskType, owner string, value func(label string) (string, bool)) task.StartBlock {
	return s.lanes.Block(taskType, owner, value)
}

// holdBack has those of new tasks wait that were begun as they were made and may not begin
// yet, by the limits of their types.
func (w *writer) holdBack(tasks []*task.Task) {
	for _, t := range w.lanes.MayBegin(tasks, keyOfNew) {
		task.UnBegin(t)
	}
}

// keyOfNew is the lane that a new task would wait in, but for its limits.
func keyOfNew(t *task.Task) lane.Key { return keyOf(t, t.Route.Canonical()) }

// setAside moves the task at the head of a lane to that of tasks that are under the same
// limit, which is reached; false if none is.
func (w *writer) setAside(t *task.Task, l *lane.Lane) (bool, error) {
	values := w.lanes.FullValues(t, l.Values)
	if values == l.Values {
		return false, nil
	}
	k := lane.KeyOf(&l.Lane)
	k.Values = values
	to, err := w.lane(k)
	if err != nil {
		return false, err
	}
	st := w.st.moveLane
	st.bind().int(to.Row).int(t.Seq)
	if err := st.run(); err != nil {
		return false, err
	}
	w.lanes.Move(l, lane.Ready, to, lane.Ready)
	to.Window.Add(entryOf(int64(t.Priority), t.Place, t.Seq))
	return true, nil
}

// writeRates writes how far rates are used up, once a transaction. It is part of the commit.
func (w *writer) writeRates() error {
	for name, spent := range w.lanes.Spent() {
		st := w.st.ratePut
		st.bind().value(name).int(int64(spent))
		if err := st.run(); err != nil {
			return err
		}
	}
	return nil
}
