package engine

import (
	"container/heap"
	"sync"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

const promoteAtOnce = 500

func (e *Engine) wakeTimer() {
	select {
	case e.due <- struct{}{}:
	default:
	}
}

// promote makes scheduled tasks ready when they are due, by a timer on the
// smallest run_at.
func (e *Engine) promote() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-e.due:
		case <-e.ctx.Done():
			return
		}
		timer.Reset(e.promoteDue())
	}
}

// promoteDue promotes all that is due and says when to look again.
func (e *Engine) promoteDue() time.Duration {
	for {
		n, next, err := e.commitDue(e.ctx)
		if err != nil {
			if e.ctx.Err() == nil {
				e.log.Error("cannot promote scheduled tasks; trying again", "error", err)
			}
			return time.Second
		}
		if n == promoteAtOnce {
			continue
		}
		wait := e.promoteDelayed(e.polls.promote)
		if !next.IsZero() {
			wait = min(wait, next.Sub(e.now()))
		}
		return max(wait, time.Millisecond)
	}
}

// promoteDelayed makes ready what waits for a delay that is over on the monotonic clock,
// where the system's clock was set back meanwhile and run_at is still ahead. It says how
// long the next has to wait, most at the most.
func (e *Engine) promoteDelayed(most time.Duration) time.Duration {
	for {
		d, wait := e.delays.next(time.Now(), most)
		if d == nil {
			return wait
		}
		if !d.runAt.After(e.now()) {
			continue // the store has promoted it
		}
		t, err := e.store.Get(e.ctx, task.Scope{All: true}, d.id)
		if err != nil || t.Version != d.version {
			continue
		}
		c, err := task.Due(t, e.now())
		if err == nil {
			err = e.commit(e.ctx, &c)
		}
		if err != nil && task.CodeOf(err) != task.CodeConflict && e.ctx.Err() == nil {
			e.log.Error("cannot make a task ready whose delay is over; it waits until its run_at", "task", d.id, "run_at", d.runAt, "error", err)
		}
	}
}

// delays are the tasks that this process put back to wait for some time, by the
// monotonic clock. The store has their run_at on the system's clock: what is not in here
// (for want of room, or from before a restart) goes by that alone.
type delays struct {
	mu   sync.Mutex
	heap delayHeap
}

// maxDelays bounds the memory of delays: 64 bytes each.
const maxDelays = 100_000

type delay struct {
	due     time.Time // with the monotonic clock
	runAt   time.Time
	id      task.ID
	version int64
}

func (d *delays) add(c *task.Change) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.heap) < maxDelays {
		heap.Push(&d.heap, delay{time.Now().Add(c.Delay), c.Task.RunAt, c.Task.ID, c.Task.Version})
	}
}

// next takes out the first that is due; nil with how long there is none, most at the most.
func (d *delays) next(now time.Time, most time.Duration) (*delay, time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.heap) == 0 {
		return nil, most
	}
	if wait := d.heap[0].due.Sub(now); wait > 0 {
		return nil, min(wait, most)
	}
	first := heap.Pop(&d.heap).(delay)
	return &first, 0
}

type delayHeap []delay

func (h delayHeap) Len() int           { return len(h) }
func (h delayHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h delayHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *delayHeap) Push(x any) { *h = append(*h, x.(delay)) }

// Pop implements heap.Interface.
func (h *delayHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
