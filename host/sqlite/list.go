package sqlite

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// listSpan is how many rows one query of a list looks through at the most: a
// filter that matches little reads many, and no read may be long, since the
// write-ahead log can't be carried over past it. The first looks through
// listFirst: the largest page without a filter, and the one more that says that it is not
// the last, so that no end is looked for farther off.
const (
	listFirst = task.MaxListLimit + 1
	listSpan  = 50_000
)

// A list is in the order of ids. They begin with the time they were made, so it
// is that of age, whoever wrote the row; and the index that keeps them unique
// serves: one of (created_at, id) would be written once more for every task.
var (
	sqlListDown = `SELECT ` + stubColumns + laneColumns + ` FROM ` + stubTables + laneTable + ` WHERE t.id < +? AND t.id >= +?`
	sqlListUp   = `SELECT ` + stubColumns + laneColumns + ` FROM ` + stubTables + laneTable + ` WHERE t.id > +? AND t.id <= +?`
)

const (
	sqlDown     = ` ORDER BY t.id DESC LIMIT +?`
	sqlUp       = ` ORDER BY t.id LIMIT +?`
	listGroup   = ` AND t.group_id = +?`
	listFlow    = ` AND t.flow = +?`
	listParent  = ` AND t.parent = +?`
	sqlSpanDown = `SELECT t.id FROM task t WHERE t.id < +?`
	sqlSpanUp   = `SELECT t.id FROM task t WHERE t.id > +?`
	sqlNthDown  = ` ORDER BY t.id DESC LIMIT 1 OFFSET ?`
	sqlNthUp    = ` ORDER BY t.id LIMIT 1 OFFSET ?`
)

// List implements task.Ledger.
func (s *Store) List(ctx context.Context, scope task.Scope, f task.Filter) (task.Page, error) {
	limit := f.Limit
	if limit <= 0 {
		limit = task.DefaultListed
	}
	limit = min(limit, task.MaxListLimit)
	where, args, none, err := s.listWhere(ctx, scope, &f)
	if none || err != nil {
		return task.Page{}, err
	}
	w := newListWalk(&f)
	var page task.Page
	for span := listFirst; !w.done && len(page.Tasks) <= limit; span = listSpan {
		from, to, err := w.next(ctx, s, span)
		if err != nil {
			return task.Page{}, err
		}
		all := slices.Concat([]any{from, to}, w.members, args, []any{limit + 1 - len(page.Tasks)})
		ts, err := s.tasks(ctx, w.list+where+w.order, all, false)
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

// listWalk goes in the order of ids through all tasks, or through those of a group, a
// flow or a parent, which have an index of their own; a span at a time.
type listWalk struct {
	list    string // reads a span, less its order
	order   string
	span    string // finds the end of a span
	members []any  // the ids of the group, the flow and the parent, as list and span take them
	from    []byte // up to where was looked, exclusive
	end     []byte // the last id there could be
	done    bool
}

func newListWalk(f *task.Filter) *listWalk {
	where, members := listMembers(f)
	first := []byte{}
	last := bytes.Repeat([]byte{0xff}, len(f.Cursor)+1)
	w := &listWalk{list: sqlListDown + where, order: sqlDown, span: sqlSpanDown + where + sqlNthDown, members: members, from: last, end: first}
	if f.Ascending {
		w = &listWalk{list: sqlListUp + where, order: sqlUp, span: sqlSpanUp + where + sqlNthUp, members: members, from: first, end: last}
	}
	if !f.Cursor.IsZero() {
		w.from = f.Cursor[:]
	}
	return w
}

// listMembers is the filter by what tasks belong to as SQL.
func listMembers(f *task.Filter) (where string, args []any) {
	for _, m := range [...]struct {
		term string
		id   *task.ID
	}{{listGroup, &f.Group}, {listFlow, &f.Flow}, {listParent, &f.Parent}} {
		if !m.id.IsZero() {
			where += m.term
			args = append(args, m.id[:])
		}
	}
	return where, args
}

// next gives the bounds of the next so many rows: the first exclusive.
func (w *listWalk) next(ctx context.Context, s *Store, rows int) (from, to []byte, err error) {
	from, to = w.from, w.end
	w.done = true
	err = s.rows(ctx, w.span, slices.Concat([]any{from}, w.members, []any{rows - 1}), 1, func(r row) bool {
		to = r.blob(0)
		w.done = false
		return false
	})
	w.from = to
	return from, to, err
}

// The lane is looked up for each row, and not joined: in which order the rows are
// gone through is not the planner's to choose.
const (
	listOwner = ` AND (SELECT o.owner FROM lane o WHERE o.id = t.lane) = ?`
	listTypes = ` AND (SELECT o.type FROM lane o WHERE o.id = t.lane) IN (SELECT value FROM json_each(?))`
)

// A task that waits is also of the executor that it is pinned to, or that serves its type.
var listExecutor = named(` AND (t.executor = ? OR t.state = {pending} AND t.waiting <> {dispatched}
AND (SELECT o.executor = ? OR o.executor = '' AND o.type IN (SELECT value FROM json_each(?)) FROM lane o WHERE o.id = t.lane))`)

// listWhere is the filter as SQL. Type and owner are the lane's; none says that
// no lane has them, so no task does.
func (s *Store) listWhere(ctx context.Context, scope task.Scope, f *task.Filter) (where string, args []any, none bool, err error) {
	var b strings.Builder
	and := func(term string, values ...any) {
		b.WriteString(term)
		args = append(args, values...)
	}
	probe := `SELECT 1 FROM lane WHERE 1`
	if !scope.All {
		and(listOwner, scope.Owner)
		probe += ` AND owner = ?`
	}
	if f.Owner != "" {
		and(listOwner, f.Owner)
		probe += ` AND owner = ?`
	}
	if len(f.Types) > 0 {
		and(listTypes, array(f.Types))
		probe += ` AND type IN (SELECT value FROM json_each(?))`
	}
	if len(args) > 0 {
		none = true
		if err := s.rows(ctx, probe+` LIMIT 1`, args, 1, func(row) bool { none = false; return false }); none || err != nil {
			return "", nil, none, err
		}
	}
	if len(f.States) > 0 {
		numbers := make([]int64, len(f.States))
		for i, state := range f.States {
			numbers[i] = int64(state)
		}
		and(" AND t.state IN (SELECT value FROM json_each(?))", array(numbers))
	}
	if f.Executor != "" {
		and(listExecutor, f.Executor, f.Executor, array(f.Placed))
	}
	if f.Key != "" {
		and(" AND t.key = ?", f.Key)
	}
	for k, v := range f.Labels {
		and(" AND EXISTS (SELECT 1 FROM json_each(t.labels) j WHERE j.key = ? AND j.value = ?)", k, v)
	}
	for _, b := range [...]struct {
		term string
		at   time.Time
	}{
		{" AND t.created_at > ?", f.CreatedAfter}, {" AND t.created_at < ?", f.CreatedBefore},
		{" AND t.finished_at > ?", f.FinishedAfter}, {" AND t.finished_at < ?", f.FinishedBefore},
	} {
		if !b.at.IsZero() {
			and(b.term, micros(b.at))
		}
	}
	return b.String(), args, false, nil
}

// array is values as a JSON array, which one parameter can carry.
func array[T string | int64](values []T) string {
	b, _ := json.Marshal(values) // strings and numbers always marshal
	return string(b)
}
