package engine

import (
	"cmp"
	"fmt"
	"time"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

const (
	retireAtOnce  = 500
	retireRest    = 20 * time.Millisecond // between batches: others' work goes first
	overdueAtOnce = 500
	overdueEvery  = time.Second
)

// expire deletes tasks whose time to be kept is up, fails pending ones past their
// deadline and drops lanes that are empty.
func (e *Engine) expire() {
	retire := time.NewTicker(e.polls.retire)
	overdue := time.NewTicker(overdueEvery)
	defer retire.Stop()
	defer overdue.Stop()
	for {
		select {
		case <-retire.C:
			e.retireExpired()
			e.retireGroups()
			e.dropEmptyLanes()
		case <-e.registry.ManyEmpty():
			e.dropEmptyLanes()
		case <-overdue.C:
			e.untilNoMore("fail overdue tasks", e.failOverdue)
		case <-e.ctx.Done():
			return
		}
	}
}

func (e *Engine) retireExpired() {
	e.untilNoMore("retire tasks", func() (more bool, err error) { return e.commitRetired(e.ctx) })
}

// untilNoMore does something again and again for as long as it says that there is more.
func (e *Engine) untilNoMore(what string, do func() (more bool, err error)) {
	for {
		more, err := do()
		if err != nil && e.ctx.Err() == nil {
			e.log.Error("cannot "+what+"; trying again", "error", err)
		}
		if err != nil || !more {
			return
		}
		select {
		case <-time.After(retireRest):
		case <-e.ctx.Done():
			return
		}
	}
}

func (e *Engine) dropEmptyLanes() {
	if err := e.registry.DropEmptyLanes(e.ctx); err != nil && e.ctx.Err() == nil {
		e.log.Error("cannot drop empty lanes; trying again", "error", err)
	}
}

// failOverdue fails pending tasks past their deadline: those that nobody holds in one commit. One that
// cannot be failed keeps no other from it.
func (e *Engine) failOverdue() (more bool, err error) {
	late, err := e.store.Overdue(e.ctx, e.now(), overdueAtOnce)
	if err != nil {
		return false, err
	}
	var waiting []task.Change
	var failed error
	for _, t := range late {
		if t.Token.IsZero() {
			if c, err := task.Overdue(&t, e.now()); err == nil {
				waiting = append(waiting, c)
				continue
			}
		}
		failed = cmp.Or(failed, e.failOne(t.ID))
	}
	for i, err := range e.commitAll(e.ctx, waiting) {
		if task.CodeOf(err) == task.CodeConflict { // it was handed on meanwhile, say
			err = e.failOne(waiting[i].Task.ID)
		}
		if err != nil && !lostRace(err) {
			failed = cmp.Or(failed, fmt.Errorf("task %s: %w", waiting[i].Task.ID, err))
		}
	}
	return len(late) == overdueAtOnce, failed
}

// failOne fails an overdue task if it is pending still, and takes it back from whoever holds it.
func (e *Engine) failOne(id task.ID) error {
	held := false
	now, err := e.change(e.ctx, task.Scope{All: true}, id, func(t *task.Task) (task.Change, error) {
		if t.State != task.Pending { // it began meanwhile, and its own clock runs
			return task.Change{}, nil
		}
		held = !t.Token.IsZero()
		return task.Overdue(t, e.now())
	})
	if err == nil && held { // handed on, and not begun in time
		e.withdraw(id, now.Attempt, sdk.ErrTimeout)
	}
	if err != nil && !lostRace(err) {
		return fmt.Errorf("task %s: %w", id, err)
	}
	return nil
}
