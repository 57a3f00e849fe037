package sqlite

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"

	"github.com/taskhost/taskhost/host/task"
)

// listSpan is how many rows one query of a list looks through at the most: a
// filter that matches little reads many, and no read may be long, since the
// write-ahead log can't be carried over past it. The first looks through
// listFirst: most lists are full by then, and an end need not be looked for farther off.
const (
	listFirst = 1000
	listSpan  = 50_000
)

// A list is in the order of ids. They begin with the time they were made, so it
// is that of age, whoever wrote the row; and the index that keeps them unique
// serves: one of (created_at, id) would be written once more for every task.
const (
	sqlListDown = `SELECT ` + stubColumns + ` FROM ` + stubTables + ` WHERE t.id < +? AND t.id >= +?`
	sqlListUp   = `SELECT ` + stubColumns + ` FROM ` + stubTables + ` WHERE t.id > +? AND t.id <= +?`
	sqlDown     = ` ORDER BY t.id DESC LIMIT ?`
	sqlUp       = ` ORDER BY t.id LIMIT ?`
	sqlSpanDown = `SELECT id FROM task WHERE id < +? ORDER BY id DESC LIMIT 1 OFFSET ?`
	sqlSpanUp   = `SELECT id FROM task WHERE id > +? ORDER BY id LIMIT 1 OFFSET ?`
)

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
	w := newListWalk(&f)
	var page task.Page
	for span := listFirst; !w.done && len(page.Tasks) <= limit; span = listSpan {
		from, to, err := w.next(ctx, s, span)
		if err != nil {
			return task.Page{}, err
		}
		all := append(append([]any{from, to}, args...), limit+1-len(page.Tasks))
		ts, err := s.tasks(ctx, w.list+where+w.order, all, stubCount)
		if err != nil {
			return task.Page{}, err
		}
		page.Tasks = append(page.Tasks, ts...)
	}
	if len(page.Tasks) > limit {
		page.Tasks = page.Tasks[:limit]
		page.Next = page.Tasks[limit-1].ID
	}
	return page, nil
}

// listWalk goes through the ids in order, a span at a time.
type listWalk struct {
	list, order, span string
	from, end         []byte // what was looked through, exclusive; the last id there could be
	done              bool
}

func newListWalk(f *task.Filter) *listWalk {
	w := &listWalk{list: sqlListDown, order: sqlDown, span: sqlSpanDown, from: bytes.Repeat([]byte{0xff}, len(f.Cursor)+1), end: []byte{}}
	if f.Ascending {
		*w = listWalk{list: sqlListUp, order: sqlUp, span: sqlSpanUp, from: w.end, end: w.from}
	}
	if !f.Cursor.IsZero() {
		w.from = f.Cursor[:]
	}
	return w
}

// next gives the bounds of the next so many rows: the first exclusive.
func (w *listWalk) next(ctx context.Context, s *Store, rows int) (from, to []byte, err error) {
	from, to = w.from, w.end
	w.done = true
	err = s.rows(ctx, w.span, []any{from, rows - 1}, 1, func(r row) bool {
		to = r.blob(0)
		w.done = false
		return false
	})
	w.from = to
	return from, to, err
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
