package sqlite

import (
	"context"
	"math"
	"strings"

	"github.com/taskhost/taskhost/host/resource"
	"github.com/taskhost/taskhost/host/task"
)

// Those that hold a name are the first of its queue, so the place of the first that waits tells
// them apart from the rest, and no read looks through all who wait.
const (
	sqlFirstWaiting  = `SELECT place FROM resource_claim WHERE name = ? AND owner = ? AND held = 0 ORDER BY place LIMIT 1`
	sqlResourceNames = `SELECT DISTINCT owner, name FROM resource_claim WHERE (?1 OR owner = ?2) AND (name, owner) > (?3, ?4) ORDER BY name, owner LIMIT +?5`
	sqlResourceCount = `SELECT count(*) FROM resource_claim WHERE name = ? AND owner = ? AND place >= ? AND place < ?`
	sqlResourceRows  = `SELECT t.id, c.mode, c.since FROM resource_claim c JOIN task t ON t.seq = c.task
WHERE c.name = ? AND c.owner = ? AND c.place >= ? AND c.place < ? AND c.held = ? ORDER BY c.place LIMIT +?`
	sqlBlockedBy = `SELECT DISTINCT t.id FROM resource_claim mine JOIN resource_claim c ON c.owner = mine.owner AND c.name = mine.name
AND c.place < (SELECT w.place FROM resource_claim w WHERE w.name = mine.name AND w.owner = mine.owner AND w.held = 0 ORDER BY w.place LIMIT 1)
JOIN task t ON t.seq = c.task WHERE mine.task = ? AND mine.held = 0 LIMIT +?`
)

// Resources implements resource.Store.
func (s *Store) Resources(ctx context.Context, scope task.Scope, after string, limit int) (page resource.Page, err error) {
	if limit <= 0 {
		limit = task.DefaultListed
	}
	limit = min(limit, task.MaxListLimit)
	name, owner, _ := strings.Cut(after, "\x00")
	err = s.rows(ctx, sqlResourceNames, []any{scope.All, scope.Owner, name, owner, limit + 1}, 2, func(r row) bool {
		page.Resources = append(page.Resources, resource.Resource{Owner: r.text(0), Name: r.text(1)})
		return true
	})
	if err == nil && len(page.Resources) > limit {
		page.Resources = page.Resources[:limit]
		last := &page.Resources[limit-1]
		page.Next = last.Name + "\x00" + last.Owner
	}
	for i := range page.Resources {
		if err == nil {
			err = s.readClaims(ctx, &page.Resources[i])
		}
	}
	return page, err
}

// Resource implements resource.Store.
func (s *Store) Resource(ctx context.Context, scope task.Scope, name string) (resource.Resource, error) {
	r := resource.Resource{Owner: scope.Owner, Name: name}
	err := s.readClaims(ctx, &r)
	if err == nil && r.Held+r.Waiting == 0 {
		err = task.Errorf(task.CodeNotFound, "nobody holds or waits for a resource %q", name)
	}
	return r, err
}

func (s *Store) readClaims(ctx context.Context, out *resource.Resource) error {
	first := int64(math.MaxInt64)
	err := s.rows(ctx, sqlFirstWaiting, []any{out.Name, out.Owner}, 1, func(r row) bool { first = r.int(0); return false })
	for _, part := range [...]struct {
		from, to int64
		count    *int64
		claims   *[]resource.Claim
	}{{0, first, &out.Held, &out.Holders}, {first, math.MaxInt64, &out.Waiting, &out.Queue}} {
		if err != nil {
			break
		}
		of := []any{out.Name, out.Owner, part.from, part.to}
		err = s.rows(ctx, sqlResourceCount, of, 1, func(r row) bool { *part.count = r.int(0); return false })
		if err != nil {
			break
		}
		err = s.rows(ctx, sqlResourceRows, append(of, part.count == &out.Held, resource.MaxClaims), 3, func(r row) bool {
			c := resource.Claim{Mode: resource.Mode(r.int(1)), Since: r.time(2)}
			copy(c.Task[:], r.blob(0))
			*part.claims = append(*part.claims, c)
			return true
		})
	}
	return err
}

// blockersShown bounds BlockedBy.
const blockersShown = 100

// BlockedBy implements resource.Store.
func (s *Store) BlockedBy(ctx context.Context, seq int64) (ids []task.ID, err error) {
	err = s.rows(ctx, sqlBlockedBy, []any{seq, blockersShown}, 1, func(r row) bool {
		var id task.ID
		copy(id[:], r.blob(0))
		ids = append(ids, id)
		return true
	})
	return ids, err
}
