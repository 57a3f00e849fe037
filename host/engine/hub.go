package engine

import (
	"sync"
	"sync/atomic"

	"github.com/taskhost/taskhost/host/task"
)

// hub tells watchers what has been committed. It drops a watcher that does not
// keep up rather than waiting for it.
type hub struct {
	n    atomic.Int64 // watchers: with none, publishing costs one load
	mu   sync.Mutex
	subs map[task.ID]map[*subscriber]struct{}
}

type subscriber struct {
	id task.ID
	ch chan task.Update
}

const hubBuffer = 256

func (h *hub) subscribe(id task.ID) *subscriber {
	s := &subscriber{id: id, ch: make(chan task.Update, hubBuffer)}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.subs[id] == nil {
		h.subs[id] = map[*subscriber]struct{}{}
	}
	h.subs[id][s] = struct{}{}
	h.n.Add(1)
	return s
}

// drop ends a subscription; h.mu is held.
func (h *hub) drop(s *subscriber) {
	if _, ok := h.subs[s.id][s]; !ok {
		return
	}
	delete(h.subs[s.id], s)
	if len(h.subs[s.id]) == 0 {
		delete(h.subs, s.id)
	}
	h.n.Add(-1)
	close(s.ch)
}

func (h *hub) unsubscribe(s *subscriber) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.drop(s)
}

func (h *hub) publish(id task.ID, u task.Update) {
	if h.n.Load() == 0 {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.subs[id] {
		select {
		case s.ch <- u:
		default:
			if u.Progress == nil { // progress is replaced by the next; the rest is not
				h.drop(s)
			}
		}
	}
}

// gone ends all watches of a deleted task.
func (h *hub) gone(id task.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.subs[id] {
		h.drop(s)
	}
}
