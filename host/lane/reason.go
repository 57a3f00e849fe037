package lane

import (
	"sync/atomic"

	"github.com/taskhost/taskhost/host/task"
)

// reasons count a lane's pending tasks by why they wait, as Lane does its tasks.
type reasons struct {
	counts [task.WaitChildren + 1]atomic.Int64 // committed
	delta  task.ReasonCounts                   // of the open transaction, on top of counts
}

// MoveReason counts a task that waited for one reason in a lane and waits for another in
// another, or in the same. What waits for nothing, or is queued, is not counted.
func (s *Set) MoveReason(from *Lane, was task.Waiting, to *Lane, is task.Waiting) {
	if was > task.WaitQueued {
		s.change(from).reasons.delta[was]--
	}
	if is > task.WaitQueued {
		s.change(to).reasons.delta[is]++
	}
}

// IncludeReasons counts tasks that a lane had before the set was made.
func (s *Set) IncludeReasons(l *Lane, n task.ReasonCounts) {
	s.change(l).reasons.delta = n
}

// Row is the store's own name for a lane; 0 if it is gone.
func (s *Set) Row(id task.LaneID) int64 {
	if l := find(*s.published.Load(), id); l != nil {
		return l.Row
	}
	return 0
}

// Reasons is why so many tasks of a lane wait; of none if it is gone.
func (s *Set) Reasons(id task.LaneID) (n task.ReasonCounts) {
	if l := find(*s.published.Load(), id); l != nil {
		for w := range n {
			n[w] = l.reasons.counts[w].Load()
		}
	}
	return n
}
