package engine

import (
	"context"
	"errors"
	"time"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// followAgain is how soon a feed that cannot be read is read again.
const followAgain = time.Second

// follow hears what other hosts change in a store that they share, for as long as the
// engine runs: watchers here are told of it, what waits wakes whoever may run it here, and
// an attempt here ends whose task was canceled or settled elsewhere. What this process
// changes itself is told after its commit, and comes by here for nothing.
func (e *Engine) follow() {
	var place int64
	for {
		c, err := e.store.Changes(e.ctx, place, e.now())
		switch {
		case e.ctx.Err() != nil:
			return
		case err != nil:
			e.log.Error("cannot follow what changes in the store; trying again", "error", err)
			select {
			case <-time.After(followAgain):
			case <-e.ctx.Done():
				return
			}
			continue
		case c.Gap, place == 0: // at first nothing is told of what came before
			e.readAnew()
		}
		place = c.Next
		e.hear(c.Tasks)
	}
}

func (e *Engine) hear(changes []task.FeedChange) {
	wakes := false
	for i := range changes {
		c := &changes[i]
		switch {
		case c.Deleted:
			e.hub.gone(c.ID)
			continue
		case c.State == task.Pending:
			wakes = true
		}
		e.hearOf(c.ID, c.Version)
	}
	if wakes {
		e.registry.ServeNew()
		e.registry.WakeAll()
		e.wakeTimer()
	}
}

// hearOf takes up that a task has that version now.
func (e *Engine) hearOf(id task.ID, version int64) {
	if a := e.attemptOf(id); a != nil {
		a.hear(version)
	}
	from, behind := e.hub.untold(id, version)
	if !behind {
		return
	}
	t, err := e.store.Get(e.ctx, task.Scope{All: true}, id)
	if err != nil {
		return // deleted meanwhile, which is told as well, or the store is away: watchers look for themselves
	}
	events, err := e.store.History(e.ctx, task.Scope{All: true}, id, from)
	if err != nil {
		return
	}
	s := t.Stub()
	for i := range events {
		if events[i].Seq > t.Version {
			return // of a later change, which is told with the task as that left it
		}
		e.hub.publish(id, task.Update{Task: &s, Event: &events[i]})
	}
}

// hear takes up that the attempt's task was changed to that version, by somebody else if
// this attempt does not know it.
func (a *attempt) hear(version int64) {
	if t, holds := a.held(); !holds || t.Version >= version {
		return
	}
	// In the background: another change of this attempt may be on its way to the disk.
	go func() {
		ctx := context.Background()
		_, err := a.change(ctx, func(*task.Task) (task.Change, error) { return task.Change{}, a.reread(ctx) })
		if err != nil && !errors.Is(err, errNotHeld) {
			return // the store is away: the attempt's next change will tell
		}
		if t, holds := a.held(); !holds || t.State == task.Canceling { // canceled elsewhere, or another's now
			a.end(sdk.ErrCancel)
		}
	}()
}

// readAnew looks at all that is followed, after a gap in what was told.
func (e *Engine) readAnew() {
	e.registry.ServeNew()
	e.registry.WakeAll()
	e.wakeTimer()
	e.mu.Lock()
	ids := make([]task.ID, 0, len(e.attempts))
	for id := range e.attempts {
		ids = append(ids, id)
	}
	e.mu.Unlock()
	for _, id := range append(ids, e.hub.watched()...) {
		if t, err := e.store.Get(e.ctx, task.Scope{All: true}, id); err == nil {
			e.hearOf(id, t.Version)
		} else if task.CodeOf(err) == task.CodeNotFound {
			e.hub.gone(id)
		}
	}
}
