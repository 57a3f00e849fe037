package engine

import (
	"maps"
	"slices"
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
	id   task.ID
	ch   chan task.Update
	told int64 // the version of the task that it heard of last; guarded by hub.mu
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

// begin says which version the subscriber has seen with its own eyes, unless it was told
// of a later one meanwhile. What it hears of that version again is harmless.
func (h *hub) begin(s *subscriber, version int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s.told == 0 {
		s.told = version - 1
	}
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
		if u.Event != nil {
			if u.Event.Seq <= s.told { // the feed of changes was quicker, or slower
				continue
			}
			s.told = u.Event.Seq
		}
		select {
		case s.ch <- u:
		default:
			if u.Progress == nil { // progress is replaced by the next; the rest is not
				h.drop(s)
			}
		}
	}
}

// untold is the lowest version that a watcher of the task has heard of; false if all have
// heard of this one, or none watches.
func (h *hub) untold(id task.ID, version int64) (from int64, behind bool) {
	if h.n.Load() == 0 {
		return 0, false
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	from = version
	for s := range h.subs[id] {
		from = min(from, s.told)
	}
	return from, from < version
}

// watched are the tasks that somebody watches.
func (h *hub) watched() []task.ID {
	h.mu.Lock()
	defer h.mu.Unlock()
	return slices.Collect(maps.Keys(h.subs))
}

// gone ends all watches of a deleted task.
func (h *hub) gone(id task.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for s := range h.subs[id] {
		h.drop(s)
	}
}
