package sqlite

import (
	"cmp"
	"context"
	"encoding/json"
	"math"
	"slices"
	"strings"

	"github.com/taskhost/taskhost/host/resource"
	"github.com/taskhost/taskhost/host/task"
)

// Those that hold a name are the first of its queue, so the place of the first that waits tells
// them apart from the rest, and no read looks through all who wait. Claims that are not found by
// their names are found by the tasks that the writer names.
const (
	sqlFirstWaiting  = `SELECT place FROM resource_claim WHERE by_name = 1 AND name = ? AND owner = ? AND held = 0 ORDER BY place LIMIT 1`
	sqlResourceNames = `SELECT DISTINCT owner, name FROM resource_claim INDEXED BY resource_queue
WHERE by_name = 1 AND (?1 OR owner = ?2) AND (name, owner) > (?3, ?4) ORDER BY name, owner LIMIT +?5`
	sqlResourceOwner = `SELECT owner FROM resource_claim INDEXED BY resource_queue WHERE by_name = 1 AND name = ? AND owner > ? ORDER BY owner LIMIT 1`
	sqlResourceCount = `SELECT count(*) FROM resource_claim WHERE by_name = 1 AND name = ? AND owner = ? AND place >= ? AND place < ?`
	sqlResourceRows  = `SELECT t.id, c.mode, c.since, c.place FROM resource_claim c JOIN task t ON t.seq = c.task
WHERE c.by_name = 1 AND c.name = ? AND c.owner = ? AND c.place >= ? AND c.place < ? AND c.held = ? ORDER BY c.place LIMIT +?`
	sqlKeptClaims = `SELECT t.id, c.mode, c.since, c.place, c.held FROM json_each(?) CROSS JOIN resource_claim c ON c.by_name = 0 AND c.task = json_each.value
JOIN task t ON t.seq = c.task WHERE c.name = ? AND c.owner = ?`
	sqlMissing   = `SELECT owner, name, place FROM resource_claim WHERE by_name IN (0, 1) AND task = ? AND held = 0`
	sqlBlockedBy = `SELECT t.id FROM resource_claim c JOIN task t ON t.seq = c.task WHERE c.by_name = 1 AND c.name = ?1 AND c.owner = ?2 AND c.place <
coalesce((SELECT w.place FROM resource_claim w WHERE w.by_name = 1 AND w.name = ?1 AND w.owner = ?2 AND w.held = 0 ORDER BY w.place LIMIT 1), ?3) LIMIT +?4`
)

// compare orders names as lists have them.
func (n resourceName) compare(o resourceName) int {
	return cmp.Or(strings.Compare(n.name, o.name), strings.Compare(n.owner, o.owner))
}

// Resources implements resource.Store.
func (s *Store) Resources(ctx context.Context, scope task.Scope, after string, limit int) (page resource.Page, err error) {
	if limit <= 0 {
		limit = task.DefaultListed
	}
	limit = min(limit, task.MaxListLimit)
	name, owner, _ := strings.Cut(after, "\x00")
	names := s.w.resources.shown.names(scope.All, scope.Owner, resourceName{owner, name})
	err = s.rows(ctx, sqlResourceNames, []any{scope.All, scope.Owner, name, owner, limit + 1}, 2, func(r row) bool {
		names = append(names, resourceName{r.text(0), r.text(1)})
		return true
	})
	slices.SortFunc(names, resourceName.compare)
	names = slices.Compact(names)
	for _, n := range names[:min(len(names), limit+1)] {
		page.Resources = append(page.Resources, resource.Resource{Owner: n.owner, Name: n.name})
	}
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
	if scope.All {
		owners, err := s.resourceOwners(ctx, name)
		if err != nil {
			return r, err
		}
		if len(owners) > 1 {
			return r, task.Errorf(task.CodeConflict, "several owners have a resource %q, %s among them: name its owner", name, strings.Join(owners, ", "))
		}
		r.Owner = strings.Join(owners, "")
	}
	err := s.readClaims(ctx, &r)
	if err == nil && r.Held+r.Waiting == 0 {
		err = task.Errorf(task.CodeNotFound, "nobody holds or waits for a resource %q", name)
	}
	return r, err
}

// ownersNamed is how many owners are named that have a resource of the same name.
const ownersNamed = 10

// resourceOwners are the first owners whose tasks hold or wait for a resource of that name.
func (s *Store) resourceOwners(ctx context.Context, name string) ([]string, error) {
	owners := s.w.resources.shown.owners(name)
	found := true
	for last := ""; found && len(owners) < 2*ownersNamed; {
		found = false
		if err := s.rows(ctx, sqlResourceOwner, []any{name, last}, 1, func(r row) bool {
			last = r.text(0)
			owners = append(owners, last)
			found = true
			return false
		}); err != nil {
			return nil, err
		}
	}
	slices.Sort(owners)
	owners = slices.Compact(owners)
	return owners[:min(len(owners), ownersNamed)], nil
}

func (s *Store) readClaims(ctx context.Context, out *resource.Resource) error {
	kept, err := s.keptClaims(ctx, out)
	if err != nil {
		return err
	}
	first := int64(math.MaxInt64)
	err = s.rows(ctx, sqlFirstWaiting, []any{out.Name, out.Owner}, 1, func(r row) bool { first = r.int(0); return false })
	for held, part := range [...]struct {
		from, to int64
		count    *int64
		claims   *[]resource.Claim
	}{{first, math.MaxInt64, &out.Waiting, &out.Queue}, {0, first, &out.Held, &out.Holders}} {
		if err != nil {
			break
		}
		of := []any{out.Name, out.Owner, part.from, part.to}
		err = s.rows(ctx, sqlResourceCount, of, 1, func(r row) bool { *part.count = r.int(0); return false })
		if err != nil {
			break
		}
		claims := kept[held]
		*part.count += int64(len(claims))
		err = s.rows(ctx, sqlResourceRows, append(of, held, resource.MaxClaims), 4, func(r row) bool {
			claims = append(claims, readShownClaim(r))
			return true
		})
		slices.SortFunc(claims, func(a, b shownClaim) int { return cmp.Compare(a.place, b.place) })
		for _, c := range claims[:min(len(claims), resource.MaxClaims)] {
			*part.claims = append(*part.claims, c.Claim)
		}
	}
	return err
}

// shownClaim is a claim and its place in the queue.
type shownClaim struct {
	resource.Claim
	place int64
}

func readShownClaim(r row) shownClaim {
	c := shownClaim{resource.Claim{Mode: resource.Mode(r.int(1)), Since: r.time(2)}, r.int(3)}
	copy(c.Task[:], r.blob(0))
	return c
}

// keptClaims are the claims of a name that are not found by it: those that wait, and those that hold it.
func (s *Store) keptClaims(ctx context.Context, of *resource.Resource) (claims [2][]shownClaim, err error) {
	// Between the two looks all of them may have ended, and others come.
	for tries := 0; tries < 5 && len(claims[0])+len(claims[1]) == 0; tries++ {
		tasks := s.w.resources.shown.claims(resourceName{of.Owner, of.Name})
		if len(tasks) == 0 {
			break
		}
		list, _ := json.Marshal(tasks) // lists of numbers always marshal
		if err := s.rows(ctx, sqlKeptClaims, []any{string(list), of.Name, of.Owner}, 5, func(r row) bool {
			claims[r.int(4)] = append(claims[r.int(4)], readShownClaim(r))
			return true
		}); err != nil {
			return claims, err
		}
	}
	return claims, nil
}

// blockersShown bounds BlockedBy.
const blockersShown = 100

// BlockedBy implements resource.Store.
func (s *Store) BlockedBy(ctx context.Context, seq int64) (ids []task.ID, err error) {
	type claim struct {
		resourceName
		place int64
	}
	var missing []claim
	if err := s.rows(ctx, sqlMissing, []any{seq}, 3, func(r row) bool {
		missing = append(missing, claim{resourceName{r.text(0), r.text(1)}, r.int(2)})
		return true
	}); err != nil {
		return nil, err
	}
	for _, c := range missing {
		kept, err := s.keptClaims(ctx, &resource.Resource{Owner: c.owner, Name: c.name})
		if err != nil {
			return nil, err
		}
		for _, h := range kept[1] {
			ids = append(ids, h.Task)
		}
		if err := s.rows(ctx, sqlBlockedBy, []any{c.name, c.owner, c.place, blockersShown}, 1, func(r row) bool {
			var id task.ID
			copy(id[:], r.blob(0))
			ids = append(ids, id)
			return true
		}); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(ids, func(a, b task.ID) int { return slices.Compare(a[:], b[:]) })
	ids = slices.Compact(ids)
	return ids[:min(len(ids), blockersShown)], nil
}
