package engine

import (
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
			e.failOverdue()
		case <-e.ctx.Done():
			return
		}
	}
}

func (e *Engine) retireExpired() {
	e.eachRetired("tasks", func() (more bool, err error) { return e.commitRetired(e.ctx) })
}

// eachRetired retires some for as long as there are more.
func (e *Engine) eachRetired(what string, some func() (more bool, err error)) {
	for {
		more, err := some()
		if err != nil && e.ctx.Err() == nil {
			e.log.Error("cannot retire "+what+"; trying again", "error", err)
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

func (e *Engine) failOverdue() {
	late, err := e.store.Overdue(e.ctx, e.now(), overdueAtOnce)
	if err != nil {
		if e.ctx.Err() == nil {
			e.log.Error("cannot look for overdue tasks; trying again", "error", err)
		}
		return
	}
	for _, t := range late {
		held := false
		now, err := e.change(e.ctx, task.Scope{All: true}, t.ID, func(t *task.Task) (task.Change, error) {
			if t.State != task.Pending { // it began meanwhile, and its own clock runs
				return task.Change{}, nil
			}
			held = !t.Token.IsZero()
			return task.Overdue(t, e.now())
		})
		if err == nil && held { // handed on, and not begun in time
			e.withdraw(t.ID, now.Attempt, sdk.ErrTimeout)
		}
		if err != nil && !lostRace(err) && e.ctx.Err() == nil {
			e.log.Error("cannot fail an overdue task; trying again", "task", t.ID, "error", err)
		}
	}
}
