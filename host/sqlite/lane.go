package sqlite

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync/atomic"

	"github.com/taskhost/taskhost/host/task"
)

// phase is where a lane counts a task.
type phase uint8

const (
	phaseDone phase = iota
	phaseReady
	phaseWaiting
	phaseActive
)

func phaseOf(s task.State, w task.Waiting) phase {
	switch {
	case s.Active() || s == task.Pending && w == task.WaitDispatched:
		return phaseActive
	case s != task.Pending:
		return phaseDone
	case w == task.WaitQueued:
		return phaseReady
	}
	return phaseWaiting
}

// lane is a lane in memory: one in which tasks are pending or held. The counts
// are for everyone; the rest is the writer's.
type lane struct {
	task.Lane
	row    int64 // its id in the tables: the same whenever the lane comes back
	counts [phaseActive + 1]atomic.Int64

	delta  [phaseActive + 1]int64 // of the open transaction
	dirty  bool                   // delta is in lanes.dirty
	window window
}

// laneKey is what makes a lane.
type laneKey struct {
	typ, owner, route, executor string
	suspect                     bool
}

func keyOf(l *task.Lane) laneKey {
	return laneKey{l.Type, l.Owner, l.Route, l.Executor, l.Suspect}
}

// lanes are those in memory, in the order of their IDs. Readers see the published
// ones; the writer also those that the open transaction made.
type lanes struct {
	published atomic.Pointer[[]*lane]

	all     []*lane // the writer's; a longer slice over the same array as published
	byKey   map[laneKey]*lane
	byRow   map[int64]*lane
	dirty   []*lane
	last    task.LaneID // the ID given last
	seen    task.LaneID // and the last of those that readers can know
	lastRow int64       // the row given last
}

func newLanes() *lanes {
	l := &lanes{byKey: map[laneKey]*lane{}, byRow: map[int64]*lane{}}
	l.publish()
	return l
}

func (l *lanes) publish() {
	all := l.all
	l.published.Store(&all)
	l.seen = l.last
}

// add makes a lane known to the writer, under an ID of its own.
func (l *lanes) add(row int64, k laneKey) *lane {
	l.last++
	n := &lane{row: row, Lane: task.Lane{ID: l.last, Type: k.typ, Owner: k.owner, Route: k.route, Executor: k.executor, Suspect: k.suspect}}
	l.all = append(l.all, n)
	l.byKey[k] = n
	l.byRow[row] = n
	return n
}

// dropEmpty forgets the lanes that count nothing, and says how many. There must be no
// open transaction.
func (l *lanes) dropEmpty() int {
	var keep []*lane
	for _, n := range l.all {
		if n.count() != (task.LaneCount{}) {
			keep = append(keep, n)
			continue
		}
		delete(l.byKey, keyOf(&n.Lane))
		delete(l.byRow, n.row)
	}
	dropped := len(l.all) - len(keep)
	if dropped > 0 {
		l.all = keep
		l.publish()
	}
	return dropped
}

// find is the lane of that ID; nil if there is none.
func find(all []*lane, id task.LaneID) *lane {
	if len(all) == 0 {
		return nil
	}
	// Its place, if there are no gaps before it.
	if i := int64(id - all[0].ID); i >= 0 && i < int64(len(all)) && all[i].ID == id {
		return all[i]
	}
	if i := after(all, id-1); i < len(all) && all[i].ID == id {
		return all[i]
	}
	return nil
}

// after is the place of the first lane with an ID above id.
func after(all []*lane, id task.LaneID) int {
	i, _ := slices.BinarySearchFunc(all, id+1, func(n *lane, id task.LaneID) int { return cmp.Compare(n.ID, id) })
	return i
}

// move counts a task that left one phase of a lane for another of a lane.
func (l *lanes) move(from *lane, p phase, to *lane, q phase) {
	if p != phaseDone {
		l.touch(from).delta[p]--
	}
	if q != phaseDone {
		l.touch(to).delta[q]++
	}
}

func (l *lanes) touch(n *lane) *lane {
	if !n.dirty {
		n.dirty = true
		l.dirty = append(l.dirty, n)
	}
	return n
}

// commit makes the open transaction's lanes and counts visible.
func (l *lanes) commit() {
	if len(*l.published.Load()) != len(l.all) {
		l.publish()
	}
	for _, n := range l.dirty {
		for p := range n.delta {
			if n.delta[p] != 0 {
				n.counts[p].Add(n.delta[p])
			}
		}
		n.clean()
	}
	l.dirty = l.dirty[:0]
}

// rollback forgets them, and all windows: they may hold what was undone.
func (l *lanes) rollback() {
	for _, n := range l.dirty {
		n.clean()
	}
	l.dirty = l.dirty[:0]
	keep := *l.published.Load()
	for _, n := range l.all[len(keep):] {
		delete(l.byKey, keyOf(&n.Lane))
		delete(l.byRow, n.row)
	}
	l.last = l.seen
	// Appending anew must not write over a lane that readers could come to see.
	l.all = keep[:len(keep):len(keep)]
	for _, n := range l.all {
		n.window.reset()
	}
}

func (n *lane) clean() {
	n.dirty = false
	clear(n.delta[:])
}

func (n *lane) count() task.LaneCount {
	return task.LaneCount{Ready: n.counts[phaseReady].Load(), Waiting: n.counts[phaseWaiting].Load(), Active: n.counts[phaseActive].Load()}
}

// get is a published lane; nil if there is none of that id.
func (l *lanes) get(id task.LaneID) *lane { return find(*l.published.Load(), id) }

// Lanes implements task.Queue.
func (s *Store) Lanes(id task.LaneID) []task.Lane {
	all := *s.lanes.published.Load()
	all = all[after(all, id):]
	if len(all) == 0 {
		return nil
	}
	out := make([]task.Lane, 0, len(all))
	for _, n := range all {
		out = append(out, n.Lane)
	}
	return out
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
func (w *writer) lane(k laneKey) (*lane, error) {
	if n := w.lanes.byKey[k]; n != nil {
		return n, nil
	}
	suspect := int64(0)
	if k.suspect {
		suspect = 1
	}
	st := w.st.laneRow
	st.bind().value(k.typ).value(k.owner).value(k.route).value(k.executor).int(suspect)
	found, err := st.one()
	if err != nil {
		return nil, err
	}
	if found {
		return w.lanes.add(st.row.int(0), k), nil
	}
	w.lanes.lastRow++
	st = w.st.laneInsert
	st.bind().int(w.lanes.lastRow).value(k.typ).value(k.owner).value(k.route).value(k.executor).int(suspect)
	if err := st.run(); err != nil {
		return nil, err
	}
	return w.lanes.add(w.lanes.lastRow, k), nil
}

// laneOf is the lane that a row of table task names.
func (w *writer) laneOf(row int64) (*lane, error) {
	if n := w.lanes.byRow[row]; n != nil {
		return n, nil
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
	return w.lanes.add(row, laneKey{r.text(0), r.text(1), r.text(2), r.text(3), r.int(4) != 0}), nil
}

// Ready implements task.Queue.
func (s *Store) Ready(ids []task.LaneID) int64 {
	var sum int64
	for _, id := range ids {
		if n := s.lanes.get(id); n != nil {
			sum += n.counts[phaseReady].Load()
		}
	}
	return sum
}

// Count implements task.Queue.
func (s *Store) Count(id task.LaneID) task.LaneCount {
	if n := s.lanes.get(id); n != nil {
		return n.count()
	}
	return task.LaneCount{}
}
