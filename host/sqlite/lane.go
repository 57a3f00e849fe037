package sqlite

import (
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

// lane is a lane in memory. The counts are for everyone; the rest is the writer's.
type lane struct {
	task.Lane
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

// lanes are all lanes. Readers see the published ones, by ID - 1; the writer
// also those that the open transaction made.
type lanes struct {
	published atomic.Pointer[[]*lane]

	all   []*lane // the writer's; a longer slice over the same array as published
	byKey map[laneKey]*lane
	dirty []*lane
}

func newLanes() *lanes {
	l := &lanes{byKey: map[laneKey]*lane{}}
	l.publish()
	return l
}

func (l *lanes) publish() {
	all := l.all
	l.published.Store(&all)
}

// add makes a lane known to the writer.
func (l *lanes) add(t task.Lane) *lane {
	n := &lane{Lane: t}
	l.all = append(l.all, n)
	l.byKey[keyOf(&t)] = n
	return n
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
	}
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
func (l *lanes) get(id task.LaneID) *lane {
	all := *l.published.Load()
	if id < 1 || int(id) > len(all) {
		return nil
	}
	return all[id-1]
}

// Lanes implements task.Queue.
func (s *Store) Lanes(after task.LaneID) []task.Lane {
	all := *s.lanes.published.Load()
	if after < 0 {
		after = 0
	}
	if int(after) >= len(all) {
		return nil
	}
	out := make([]task.Lane, 0, len(all)-int(after))
	for _, n := range all[after:] {
		out = append(out, n.Lane)
	}
	return out
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
