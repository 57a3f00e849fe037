package registry

import (
	"context"

	"github.com/taskhost/taskhost/host/task"
)

// quotas are those of owners that are in force in the store.
type quotas struct {
	task.Quotas
	running bool // somebody has a bound on attempts
}

// SetQuotas puts the quotas of owners in force in the store, in place of those before.
func (g *Registry) SetQuotas(ctx context.Context, q task.Quotas) error {
	if err := g.store.SetQuotas(ctx, q); err != nil {
		return err
	}
	g.quotas.Store(&quotas{Quotas: q, running: q.AnyRunning()})
	g.WakeAll()
	return nil
}

// Bounded says whether a limit on when attempts begin is in force for a task: of its type, or
// of its owner.
func (g *Registry) Bounded(t *task.Task) bool {
	if q := g.quotas.Load(); q.running && q.Of(t.Owner).Running > 0 {
		return true
	}
	_, limited := g.limits.Load().byType[t.Type]
	return limited
}
