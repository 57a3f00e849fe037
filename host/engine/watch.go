package engine

import (
	"context"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// publish tells watchers of a committed transition, whose task has its new version.
func (e *Engine) publish(t *task.Task, ev *task.Event) {
	if e.hub.n.Load() == 0 {
		return
	}
	told := *ev
	told.Seq = t.Version
	e.hub.publish(t.ID, task.Update{Task: new(t.Stub()), Event: &told})
}

// Watch tells what happens to the task from now on: see host/api.Records.
func (e *Engine) Watch(ctx context.Context, s task.Scope, id task.ID) (<-chan task.Update, error) {
	sub := e.hub.subscribe(id)
	t, err := e.store.Get(ctx, s, id)
	if err != nil {
		e.hub.unsubscribe(sub)
		return nil, err
	}
	e.hub.begin(sub, t.Version)
	context.AfterFunc(ctx, func() { e.hub.unsubscribe(sub) })
	return sub.ch, nil
}

// waitPoll is how often Wait looks for itself, should it have missed a word.
const waitPoll = 5 * time.Second

// Wait returns the task once it is final, or as it is when ctx ends.
func (e *Engine) Wait(ctx context.Context, s task.Scope, id task.ID) (task.Task, error) {
	return e.waitUntil(ctx, s, id, func(t *task.Task) bool { return t.State.Final() })
}

// waitUntil returns the task once it is as wanted, or as it is when ctx ends.
func (e *Engine) waitUntil(ctx context.Context, s task.Scope, id task.ID, wanted func(*task.Task) bool) (task.Task, error) {
	for {
		sub := e.hub.subscribe(id)
		t, err := e.store.Get(context.WithoutCancel(ctx), s, id)
		if err != nil || wanted(&t) || ctx.Err() != nil {
			e.hub.unsubscribe(sub)
			if err != nil {
				return t, err
			}
			return e.shown(context.WithoutCancel(ctx), t)
		}
		sub.await(ctx, wanted)
		e.hub.unsubscribe(sub)
	}
}

// await returns when the task may be as wanted.
func (s *subscriber) await(ctx context.Context, wanted func(*task.Task) bool) {
	poll := time.NewTimer(waitPoll)
	defer poll.Stop()
	for {
		select {
		case u, ok := <-s.ch:
			if !ok || u.Task != nil && wanted(u.Task) {
				return
			}
		case <-poll.C:
			return
		case <-ctx.Done():
			return
		}
	}
}
