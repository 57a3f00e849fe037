package engine

import (
	"context"

	"github.com/taskhost/taskhost/host/task"
)

// SetQuotas puts the quotas of owners in force, in place of those before. What is there stays,
// also if it is more. It may take as long as a look at all tasks, if bytes are to be counted
// that were not.
func (e *Engine) SetQuotas(ctx context.Context, q task.Quotas) error {
	return e.registry.SetQuotas(ctx, q)
}

// OwnerUse is what an owner has, and may have.
func (e *Engine) OwnerUse(ctx context.Context, owner string) (task.OwnerUse, error) {
	all, err := e.store.OwnerUse(ctx, owner)
	if err != nil || len(all) == 0 {
		return task.OwnerUse{Owner: owner}, err
	}
	return all[0], nil
}

// OwnerUses are those of all owners that have something that counts, or a quota of their own, by name.
func (e *Engine) OwnerUses(ctx context.Context) ([]task.OwnerUse, error) {
	return e.store.OwnerUse(ctx, "")
}
