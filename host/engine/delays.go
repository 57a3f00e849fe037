package engine

import (
	"container/heap"
	"sync"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

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

func (h delayHeap) Len() int { return len(h) }

func (h delayHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }

func (h delayHeap) Swap(i, j int) { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *delayHeap) Push(x any) { *h = append(*h, x.(delay)) }

// Pop implements heap.Interface.
func (h *delayHeap) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
