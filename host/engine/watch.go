package engine

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

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

// publish tells watchers of a committed change, whose task has its new version.
func (e *Engine) publish(c *task.Change) {
	if c.Event == nil || e.hub.n.Load() == 0 {
		return
	}
	ev := *c.Event
	t := stub(c.Task)
	ev.Seq = t.Version
	e.hub.publish(t.ID, task.Update{Task: &t, Event: &ev})
}

// stub is a task without what lists do not carry either.
func stub(t task.Task) task.Task {
	t.Input, t.Result, t.Checkpoint, t.Handle = nil, nil, nil, nil
	return t
}

// Watch tells what happens to the task from now on: see host/api.Records.
func (e *Engine) Watch(ctx context.Context, s task.Scope, id task.ID) (<-chan task.Update, error) {
	sub := e.hub.subscribe(id)
	if _, err := e.store.Get(ctx, s, id); err != nil {
		e.hub.unsubscribe(sub)
		return nil, err
	}
	context.AfterFunc(ctx, func() { e.hub.unsubscribe(sub) })
	return sub.ch, nil
}

// waitPoll is how often Wait looks for itself, should it have missed a word.
const waitPoll = 5 * time.Second

// Wait returns the task once it is final, or as it is when ctx ends.
func (e *Engine) Wait(ctx context.Context, s task.Scope, id task.ID) (task.Task, error) {
	for {
		sub := e.hub.subscribe(id)
		t, err := e.store.Get(context.WithoutCancel(ctx), s, id)
		if err != nil || t.State.Final() || ctx.Err() != nil {
			e.hub.unsubscribe(sub)
			return e.registry.WithWaitReason(t), err
		}
		e.awaitFinal(ctx, sub)
		e.hub.unsubscribe(sub)
	}
}

func (e *Engine) awaitFinal(ctx context.Context, sub *subscriber) {
	poll := time.NewTimer(waitPoll)
	defer poll.Stop()
	for {
		select {
		case u, ok := <-sub.ch:
			if !ok || u.Task != nil && u.Task.State.Final() {
				return
			}
		case <-poll.C:
			return
		case <-ctx.Done():
			return
		}
	}
}
