package engine

import (
	"context"

	"github.com/taskhost/taskhost/host/task"
)

// Events waits until something has happened to tasks after that place, and tells of it what f
// selects, which may be nothing; see host/api/server.Records.
func (e *Engine) Events(ctx context.Context, s task.Scope, f *task.EventFilter, after int64) (task.EventPage, error) {
	c, err := e.store.Changes(ctx, after, e.now())
	if err != nil {
		return task.EventPage{}, err
	}
	page := task.EventPage{Next: c.Next, Gap: c.Gap}
	for i := range c.Tasks {
		n := &c.Tasks[i]
		if n.Transition == nil || !f.Selects(s, n.Transition) {
			continue
		}
		told := task.PlacedTransition{Place: n.Next, Transition: *n.Transition}
		e.registry.SetWaitReason(&told.Task)
		page.Events = append(page.Events, told)
	}
	return page, nil
}
