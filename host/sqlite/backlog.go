package sqlite

import (
	"context"
	"math"

	"github.com/taskhost/taskhost/host/task"
)

var (
	// The oldest of a lane and priority is the first of its part of the index.
	sqlOldestQueued  = named(`SELECT id, created_at, priority FROM task WHERE waiting = {queued} AND lane = ?1 AND priority < ?2 ORDER BY priority DESC, seq LIMIT 1`)
	sqlOldestResting = named(`SELECT id, created_at FROM task WHERE waiting > {scheduled} AND waiting <> {dispatched} AND lane = ?1 AND waiting = ?2 ORDER BY seq LIMIT 1`)
)

// prioritiesSought is of how many priorities the oldest task is sought, from the highest down.
const prioritiesSought = 16

// Reasons implements task.BacklogStore. It is from memory, exact as of the last commit.
func (s *Store) Reasons(_ context.Context, id task.LaneID) (task.ReasonCounts, error) {
	return s.lanes.Reasons(id), nil
}

// Oldest implements task.BacklogStore.
func (s *Store) Oldest(ctx context.Context, id task.LaneID, w task.Waiting) (oldest task.Oldest, err error) {
	lane := s.lanes.Row(id)
	take := func(r row) {
		if created := r.time(1); oldest.CreatedAt.IsZero() || created.Before(oldest.CreatedAt) {
			copy(oldest.ID[:], r.blob(0))
			oldest.CreatedAt = created
		}
	}
	if w != task.WaitQueued {
		err = s.rows(ctx, sqlOldestResting, []any{lane, int64(w)}, 2, func(r row) bool { take(r); return false })
		return oldest, err
	}
	below := int64(math.MaxInt64)
	for range prioritiesSought {
		found := false
		err = s.rows(ctx, sqlOldestQueued, []any{lane, below}, 3, func(r row) bool {
			take(r)
			below = r.int(2)
			found = true
			return false
		})
		if err != nil || !found {
			break
		}
	}
	return oldest, err
}
