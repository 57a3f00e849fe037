package sqlite

import (
	"container/heap"
	"context"

	"github.com/taskhost/taskhost/host/task"
)

// Claim implements task.Queue.
func (s *Store) Claim(ctx context.Context, c task.Claim) ([]task.Claimed, error) {
	if c.Max <= 0 || !s.anyReady(c.Shares) {
		return nil, ctx.Err()
	}
	o := &claimOp{claim: c}
	if err := s.w.do(ctx, o); err != nil {
		return nil, err
	}
	return o.taken, nil
}

func (s *Store) anyReady(shares []task.Share) bool {
	for i := range shares {
		if s.Ready(shares[i].Lanes) > 0 {
			return true
		}
	}
	return false
}

type claimOp struct {
	claim task.Claim
	left  []int // that each share may still take
	taken []task.Claimed
}

func (o *claimOp) size() (rows, bytes int) { return 2 * o.claim.Max, 0 }

// run merges the heads of the lanes by priority and age.
func (o *claimOp) run(w *writer) error {
	o.taken = o.taken[:0]
	heads, err := o.heads(w)
	if err != nil {
		return err
	}
	heap.Init(&heads)
	for len(heads) > 0 && len(o.taken) < o.claim.Max {
		h := &heads[0]
		if o.left[h.share] <= 0 {
			heap.Pop(&heads)
			continue
		}
		h.lane.window.pop()
		if err := w.claim(o, h); err != nil {
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

// heads are the next tasks of all lanes of the shares that have something ready.
func (o *claimOp) heads(w *writer) (heads laneHeads, err error) {
	o.left = o.left[:0]
	for i, share := range o.claim.Shares {
		o.left = append(o.left, share.Max)
		for _, id := range share.Lanes {
			n := find(w.lanes.all, id)
			if n == nil || n.counts[phaseReady].Load()+n.delta[phaseReady] <= 0 {
				continue
			}
			e, ok, err := w.head(n)
			if err != nil {
				return nil, err
			}
			if ok {
				heads = append(heads, laneHead{e, n, i})
			}
		}
	}
	return heads, nil
}

// claim begins an attempt at the head of a lane, if it is still ready there.
func (w *writer) claim(o *claimOp, h *laneHead) error {
	n, seq := h.lane, h.entry.seq
	st := w.st.taskWhole
	st.bind().int(seq)
	found, err := st.one()
	if err != nil || !found {
		return err
	}
	was := decode(st.row, &n.Lane, true)
	if was.State != task.Pending || was.Waiting != task.WaitQueued || st.row.int(2) != n.row {
		return nil // canceled, or moved, since the window was read
	}
	c := task.Begin(was, o.claim.Executor, o.claim.NewToken(), o.claim.Deferred, o.claim.Now)
	c.Task.Version++
	if err := w.begin(&c.Task); err != nil {
		return err
	}
	if err := w.event(seq, c.Task.Version, c.Event); err != nil {
		return err
	}
	w.lanes.move(n, phaseReady, n, phaseActive)
	o.left[h.share]--
	o.taken = append(o.taken, task.Claimed{Change: c, Share: h.share})
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
	share int // the index in Claim.Shares
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
