package sqlite

import (
	"container/heap"
	"context"

	"github.com/taskhost/taskhost/host/task"
)

// Claim implements task.Queue.
func (s *Store) Claim(ctx context.Context, c task.Claim) ([]task.Task, error) {
	if c.Max <= 0 || s.Ready(c.Lanes) == 0 {
		return nil, ctx.Err()
	}
	o := &claimOp{claim: c}
	if err := s.w.do(ctx, o); err != nil {
		return nil, err
	}
	return o.taken, nil
}

type claimOp struct {
	claim task.Claim
	taken []task.Task
}

func (o *claimOp) size() (rows, bytes int) { return 2 * o.claim.Max, 0 }

// run merges the heads of the lanes by priority and age.
func (o *claimOp) run(w *writer) error {
	o.taken = o.taken[:0]
	var heads laneHeads
	for _, id := range o.claim.Lanes {
		if id < 1 || int(id) > len(w.lanes.all) {
			continue
		}
		n := w.lanes.all[id-1]
		if n.counts[phaseReady].Load()+n.delta[phaseReady] <= 0 {
			continue
		}
		e, ok, err := w.head(n)
		if err != nil {
			return err
		}
		if ok {
			heads = append(heads, laneHead{e, n})
		}
	}
	heap.Init(&heads)
	for len(heads) > 0 && len(o.taken) < o.claim.Max {
		h := &heads[0]
		h.lane.window.pop()
		if err := w.claim(o, h.lane, h.entry.seq); err != nil {
			return err
		}
		e, ok, err := w.head(h.lane)
		if err != nil {
			return err
		}
		if !ok {
			heap.Pop(&heads)
			continue
		}
		h.entry = e
		heap.Fix(&heads, 0)
	}
	return nil
}

// claim begins an attempt at one task, if it is still ready in that lane.
func (w *writer) claim(o *claimOp, n *lane, seq int64) error {
	st := w.st.taskWhole
	st.bind().int(seq)
	found, err := st.one()
	if err != nil || !found {
		return err
	}
	was, err := decode(st.row, &n.Lane)
	if err != nil {
		return err
	}
	if was.State != task.Pending || was.Waiting != task.WaitQueued || st.row.int(2) != int64(n.ID) {
		return nil // canceled, or moved, since the window was read
	}
	c := &o.claim
	t := task.Begin(was, c.Executor, c.NewToken(), c.Deferred, c.Now)
	t.Version++
	if err := w.begin(&t); err != nil {
		return err
	}
	message := ""
	if c.Deferred {
		message = "dispatched to " + c.Executor
	}
	ev := task.Event{At: c.Now, From: was.State, To: t.State, Attempt: t.Attempt, By: task.ByHost, Message: message}
	if err := w.event(seq, t.Version, &ev); err != nil {
		return err
	}
	w.lanes.move(n, phaseReady, n, phaseActive)
	o.taken = append(o.taken, t)
	return w.hold(seq)
}

// begin writes what Begin changed: one narrow update.
func (w *writer) begin(t *task.Task) error {
	st := w.st.taskBegin
	st.bind().int(int64(t.State)).int(int64(t.Waiting)).int(int64(t.Attempt)).int(t.Version).blob(t.Token[:]).
		text(t.Executor).opt(micros(t.StartedAt)).int(micros(t.UpdatedAt)).int(t.Seq)
	return st.run()
}

// laneHead is a lane's next task.
type laneHead struct {
	entry entry
	lane  *lane
}

// laneHeads is a heap of the lanes with something ready.
type laneHeads []laneHead

func (h laneHeads) Len() int           { return len(h) }
func (h laneHeads) Less(i, j int) bool { return h[i].entry.compare(h[j].entry) < 0 }
func (h laneHeads) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *laneHeads) Push(x any) { *h = append(*h, x.(laneHead)) }

// Pop implements heap.Interface.
func (h *laneHeads) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
