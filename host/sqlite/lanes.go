package sqlite

import (
	"context"
	"fmt"

	"github.com/taskhost/taskhost/host/lane"
	"github.com/taskhost/taskhost/host/task"
)

// Lanes implements task.Queue.
func (s *Store) Lanes(after task.LaneID) []task.Lane { return s.lanes.List(after) }

// Ready implements task.Queue. It is from memory, exact as of the last commit, and
// never an error.
func (s *Store) Ready(_ context.Context, ids []task.LaneID) (int64, error) {
	return s.lanes.Ready(ids), nil
}

// Count implements task.Queue, as Ready does.
func (s *Store) Count(_ context.Context, ids []task.LaneID) ([]task.LaneCount, error) {
	return s.lanes.Count(ids), nil
}

// DropEmptyLanes implements task.Queue. The rows of the lanes stay: final tasks
// say by them of what type they are and whose.
func (s *Store) DropEmptyLanes(ctx context.Context) (int, error) {
	o := &dropLanesOp{}
	err := s.w.do(ctx, o)
	return o.n, err
}

type dropLanesOp struct{ n int }

func (o *dropLanesOp) size() (rows, bytes int) { return 1, 0 }

// run leaves it to the commit: what comes later in the group may still go into
// a lane that is empty now.
func (o *dropLanesOp) run(w *writer) error {
	w.dropLanes = append(w.dropLanes, o)
	return nil
}

// lane finds a lane or makes it.
func (w *writer) lane(k lane.Key) (*lane.Lane, error) {
	if l := w.lanes.ByKey(k); l != nil {
		return l, nil
	}
	st := w.st.laneRow
	st.bind().value(k.Type).value(k.Owner).value(k.Route).value(k.Executor).int(flag(k.Suspect)).int(flag(k.Child)).value(k.Values)
	found, err := st.one()
	if err != nil {
		return nil, err
	}
	if found {
		return w.lanes.Add(st.row.int(0), k), nil
	}
	w.lastLane++
	st = w.st.laneInsert
	st.bind().int(w.lastLane).value(k.Type).value(k.Owner).value(k.Route).value(k.Executor).int(flag(k.Suspect)).int(flag(k.Child)).value(k.Values)
	if err := st.run(); err != nil {
		return nil, err
	}
	return w.lanes.Add(w.lastLane, k), nil
}

// laneOf is the lane that a row of table task names.
func (w *writer) laneOf(row int64) (*lane.Lane, error) {
	if l := w.lanes.ByRow(row); l != nil {
		return l, nil
	}
	st := w.st.laneOf
	st.bind().int(row)
	found, err := st.one()
	if err != nil {
		return nil, err
	}
	if !found {
		return nil, fmt.Errorf("a task is in lane %d, which does not exist", row)
	}
	r := st.row
	return w.lanes.Add(row, lane.Key{Type: r.text(0), Owner: r.text(1), Route: r.text(2), Executor: r.text(3), Suspect: r.int(4) != 0, Child: r.int(5) != 0, Values: r.text(6)}), nil
}

// keyOf is the key of the lane of a task whose route is that document.
func keyOf(t *task.Task, route string) lane.Key {
	return lane.Key{Type: t.Type, Owner: t.Owner, Route: route, Executor: t.Pinned, Suspect: t.Suspect, Child: t.Place != 0}
}

// entryOf is the place of a ready task in the queue of its lane.
func entryOf(priority, place, seq int64) lane.Entry {
	if place == 0 {
		place = seq
	}
	return lane.Entry{Priority: priority, Place: place, Seq: seq}
}

// flag is a truth as it is stored.
func flag(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
