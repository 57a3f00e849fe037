// Package lane keeps in memory what a store with a queue must know of its lanes: how
// many tasks each holds, and the head of its queue; and it merges the queues of many
// lanes by priority and age. It reads no table and has no clock: a store moves tasks
// between the counts as it writes them, and hands in what its table holds beyond a head.
package lane

import (
	"sync/atomic"

	"github.com/taskhost/taskhost/host/task"
)

// Counter is which of its lane's counts has a task.
type Counter uint8

// The counters. A final task is in none.
const (
	Uncounted Counter = iota
	Ready             // queued: the lane's window may offer it
	Waiting           // pending for another reason
	Active            // an attempt holds it: dispatched, running, canceling or reverting
)

// CounterOf is the counter of a task in that state, waiting for that reason.
func CounterOf(s task.State, w task.Waiting) Counter {
	switch {
	case s.Active() || s == task.Pending && w == task.WaitDispatched:
		return Active
	case s != task.Pending:
		return Uncounted
	case w == task.WaitQueued:
		return Ready
	}
	return Waiting
}

// Counts are numbers of tasks by Counter; that of Uncounted is 0.
type Counts [Active + 1]int64

// Key is what makes a lane: two tasks with equal keys wait in the same one.
type Key struct {
	Type     string
	Owner    string
	Route    string // the route's labels as canonical JSON; "" for none
	Executor string // pinned; "" for none
	Suspect  bool
	Child    bool
	Values   string // of labels by whose value a limit was reached, as canonical JSON; "" for none
}

// KeyOf is the key of a lane.
func KeyOf(l *task.Lane) Key {
	return Key{Type: l.Type, Owner: l.Owner, Route: l.Route, Executor: l.Executor, Suspect: l.Suspect, Child: l.Child, Values: l.Values}
}

// Lane is a lane in memory: one that came into its Set with a task, and in which
// tasks are pending or held by an attempt, or were until DropEmpty. It belongs to
// its Set, and with it to one goroutine; what the Set's readers see of it are its
// task.Lane, which never changes, and its committed counts.
type Lane struct {
	task.Lane
	// Row is the store's own name for the lane: the same whenever the lane comes back.
	Row int64
	// Window is the head of its queue.
	Window Window
	// reasons are its pending tasks by why they wait, those that are queued apart.
	reasons reasons

	turn    *ownerTurn
	ended   int64                    // attempts since a Merge last looked
	waiting *int64                   // of all lanes of its type, in the open transaction: see Set.Waiting
	sums    *owner                   // of all lanes of its owner
	counts  [Active + 1]atomic.Int64 // committed
	delta   Counts                   // of the open transaction, on top of counts
	changed bool                     // the lane is in Set.changed
	limits  atomic.Pointer[laneLimits]
}

// ready is how many of its tasks are ready, with those of the open transaction.
func (l *Lane) ready() int64 { return l.counts[Ready].Load() + l.delta[Ready] }

// idle says that nothing is ready or under way, and nothing has ended since a Merge last looked.
func (l *Lane) idle() bool {
	return l.ended == 0 && l.ready() == 0 && l.counts[Active].Load()+l.delta[Active] == 0
}

// count is what readers see of the counts.
func (l *Lane) count() task.LaneCount {
	return task.LaneCount{Ready: l.counts[Ready].Load(), Waiting: l.counts[Waiting].Load(), Active: l.counts[Active].Load()}
}

// add counts tasks in the open transaction, by a counter that counts.
func (l *Lane) add(c Counter, n int64) {
	l.delta[c] += n
	if c == Active {
		l.sums.active += n
		return
	}
	*l.waiting += n
	l.sums.waiting += n
}

// clearDelta begins the next transaction.
func (l *Lane) clearDelta() {
	l.changed = false
	clear(l.delta[:])
	clear(l.reasons.delta[:])
}
