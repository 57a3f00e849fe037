package registry

import (
	"context"

	"github.com/taskhost/taskhost/host/task"
)

// SetQuotas puts the quotas of owners in force in the store, in place of those before.
func (g *Registry) SetQuotas(ctx context.Context, q task.Quotas) error {
	if err := g.store.SetQuotas(ctx, q); err != nil {
		return err
	}
	g.quotas.Store(&q)
	g.WakeAll()
	return nil
}

// Bounded says whether a limit on when attempts begin is in force for tasks of that type and
// owner.
func (g *Registry) Bounded(taskType, owner string) bool {
	if g.quotas.Load().Of(owner).Running > 0 {
		return true
	}
	_, limited := g.limits.Load().byType[taskType]
	return limited
}
