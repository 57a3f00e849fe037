package sqlite

import (
	"context"
	"encoding/json"
	"math"
	"slices"
	"strings"

	"github.com/taskhost/taskhost/host/task"
)

// listSpan is how many order keys one query of a list looks through at the most:
// a filter that matches little reads many rows, and no read may be long, since
// the write-ahead log can't be carried over past it.
const listSpan = 50_000

// List implements task.Ledger.
func (s *Store) List(ctx context.Context, scope task.Scope, f task.Filter) (task.Page, error) {
	limit := f.Limit
	if limit <= 0 {
		limit = task.DefaultListed
	}
	limit = min(limit, task.MaxListLimit)
	where, args, none := s.listWhere(scope, &f)
	if none {
		return task.Page{}, nil
	}
	lo, hi, err := s.span(ctx)
	if err != nil {
		return task.Page{}, err
	}
	// [lo, hi] is what is left to look through.
	if f.Cursor > 0 && f.Ascending {
		lo = max(lo, f.Cursor+1)
	} else if f.Cursor > 0 {
		hi = min(hi, f.Cursor-1)
	}
	var page task.Page
	for lo <= hi && len(page.Tasks) <= limit {
		from, to, order := lo, min(hi, lo+listSpan-1), " ORDER BY t.seq LIMIT ?"
		if f.Ascending {
			lo = to + 1
		} else {
			from, to, order = max(lo, hi-listSpan+1), hi, " ORDER BY t.seq DESC LIMIT ?"
			hi = from - 1
		}
		query := `SELECT ` + stubColumns + ` FROM ` + stubTables + ` WHERE t.seq BETWEEN ? AND ?` + where + order
		all := append(append([]any{from, to}, args...), limit+1-len(page.Tasks))
		ts, err := s.tasks(ctx, query, all, stubCount)
		if err != nil {
			return task.Page{}, err
		}
		page.Tasks = append(page.Tasks, ts...)
	}
	if len(page.Tasks) > limit {
		page.Tasks = page.Tasks[:limit]
		page.Next = page.Tasks[limit-1].Seq
	}
	return page, nil
}

// span is the range of order keys in use; empty, lo > hi, if there is none.
func (s *Store) span(ctx context.Context) (lo, hi int64, err error) {
	lo, hi = math.MaxInt64, 0
	err = s.rows(ctx, `SELECT (SELECT min(seq) FROM task), (SELECT max(seq) FROM task)`, nil, 2, func(r row) bool {
		if r[0] != nil {
			lo, hi = r.int(0), r.int(1)
		}
		return true
	})
	return lo, hi, err
}

// listWhere is the filter as SQL. Type and owner are the lane's, and lanes are in
// memory; none says that no lane matches, so no task does.
func (s *Store) listWhere(scope task.Scope, f *task.Filter) (where string, args []any, none bool) {
	var b strings.Builder
	and := func(term string, values ...any) {
		b.WriteString(" AND " + term)
		args = append(args, values...)
	}
	if !scope.All || f.Owner != "" || len(f.Types) > 0 {
		ids := s.lanesFor(scope, f)
		if len(ids) == 0 {
			return "", nil, true
		}
		and("t.lane IN (SELECT value FROM json_each(?))", array(ids))
	}
	if len(f.States) > 0 {
		and("t.state IN (SELECT value FROM json_each(?))", array(f.States))
	}
	if f.Executor != "" {
		and("t.executor = ?", f.Executor)
	}
	if f.Key != "" {
		and("t.key = ?", f.Key)
	}
	for k, v := range f.Labels {
		and("EXISTS (SELECT 1 FROM json_each(t.labels) j WHERE j.key = ? AND j.value = ?)", k, v)
	}
	if !f.CreatedAfter.IsZero() {
		and("t.created_at > ?", micros(f.CreatedAfter))
	}
	if !f.CreatedBefore.IsZero() {
		and("t.created_at < ?", micros(f.CreatedBefore))
	}
	return b.String(), args, false
}

func (s *Store) lanesFor(scope task.Scope, f *task.Filter) []task.LaneID {
	var ids []task.LaneID
	for _, n := range *s.lanes.published.Load() {
		if sees(scope, n.Owner) && (f.Owner == "" || f.Owner == n.Owner) && (len(f.Types) == 0 || slices.Contains(f.Types, n.Type)) {
			ids = append(ids, n.ID)
		}
	}
	return ids
}

// array is numbers as a JSON array, which one parameter can carry.
func array[T ~int32 | ~uint8](values []T) string {
	numbers := make([]int64, len(values))
	for i, v := range values {
		numbers[i] = int64(v)
	}
	b, _ := json.Marshal(numbers) // numbers always marshal
	return string(b)
}
