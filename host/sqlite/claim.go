package sqlite

import (
	"context"

	"github.com/taskhost/taskhost/host/lane"
	"github.com/taskhost/taskhost/host/task"
)

// Claim implements task.Queue.
func (s *Store) Claim(ctx context.Context, c task.Claim) ([]task.Claimed, error) {
	if c.Max <= 0 || !s.anyReady(c.Shares) {
		return nil, ctx.Err()
	}
	for {
		o := &claimOp{claim: c}
		if err := s.w.do(ctx, o); err != nil {
			return nil, err
		}
		if len(o.taken) > 0 || o.aside < asideAtOnce {
			return o.taken, nil
		}
	}
}

func (s *Store) anyReady(shares []task.Share) bool {
	for i := range shares {
		if s.lanes.Ready(shares[i].Lanes) > 0 {
			return true
		}
	}
	return false
}

type claimOp struct {
	claim task.Claim
	taken []task.Claimed
	aside int // tasks that were met and may not begin yet
}

// asideAtOnce bounds how many tasks a claim sets aside, so that others are not kept waiting.
const asideAtOnce = 1000

func (o *claimOp) size() (rows, bytes int) { return 2 * o.claim.Max, 0 }

// run begins attempts at the first of what the lanes of all shares hold.
func (o *claimOp) run(w *writer) error {
	o.taken = o.taken[:0]
	o.aside = 0
	merge, err := w.lanes.Merge(&o.claim, w.readReady)
	if err != nil {
		return err
	}
	for len(o.taken) < o.claim.Max && o.aside < asideAtOnce {
		head, ok, err := merge.Next()
		if err != nil {
			return err
		}
		if !ok {
			break
		}
		began, err := w.claim(o, &head, merge)
		if err != nil {
			return err
		}
		if began {
			merge.Took(head.Share)
		}
	}
	return w.writeBeginnings(o.taken)
}

// claim begins an attempt at the head of a lane; false if it is ready there no more. It is
// for writeBeginnings to write it.
func (w *writer) claim(o *claimOp, head *lane.Head, merge *lane.Merge) (bool, error) {
	l := head.Lane
	seq := head.Entry.Seq
	was, ready, err := w.readyTask(head, merge)
	if err != nil || !ready {
		return false, err // canceled, moved, or given another priority, since the window was read
	}
	if aside, err := w.setAside(&was, l); aside || err != nil {
		o.aside++
		return false, err
	}
	c := new(task.Begin(&was, o.claim.Executor, o.claim.NewToken(), o.claim.Deferred, o.claim.Now))
	c.Task.Version++
	w.feed.note(seq, c.Task.Version, &c.Task, c.Event)
	if err := w.moved(&c.Task, task.Pending, c.Task.State, micros(o.claim.Now)); err != nil {
		return false, err
	}
	w.lanes.Move(l, lane.Ready, l, lane.Active)
	w.lanes.MoveReason(l, task.WaitQueued, l, c.Task.Waiting)
	w.lanes.Hold(seq, l, &c.Task)
	o.taken = append(o.taken, task.Claimed{Change: c, Share: head.Share})
	return true, w.enterFlight(seq)
}
