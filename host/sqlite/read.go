package sqlite

import (
	"bytes"
	"context"
	"strings"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// What the readers run.
var (
	readColumns = wholeColumns + laneColumns

	sqlGet      = `SELECT ` + readColumns + ` FROM ` + readTables + ` WHERE t.id = +?`
	sqlByKey    = `SELECT ` + readColumns + ` FROM task_key k JOIN ` + readTables + ` WHERE k.owner = +? AND k.type = +? AND k.key = +? AND t.seq = k.task`
	sqlInFlight = named(`SELECT ` + readColumns + ` FROM ` + readTables + ` WHERE t.seq > +? AND t.seq >= +? AND t.seq < +?
AND (t.state BETWEEN {running} AND {reverting} OR t.waiting = {dispatched}) ORDER BY t.seq LIMIT +?`)
	sqlOverdue = named(`SELECT ` + stubColumns + laneColumns + ` FROM ` + stubTables + laneTable + ` WHERE t.state = {pending} AND t.deadline IS NOT NULL AND t.deadline <= +?
ORDER BY t.deadline LIMIT +?`)
)

const (
	readTables        = wholeTables + laneTable
	sqlByPrefix       = `SELECT t.id FROM task t WHERE t.id BETWEEN ?1 AND ?2 AND (?3 OR EXISTS (SELECT 1 FROM lane l WHERE l.id = t.lane AND l.owner = ?4)) ORDER BY t.id LIMIT 2`
	sqlInFlightBlocks = `SELECT block FROM in_flight_block WHERE block >= ? ORDER BY block`
)

// rows runs a query on a read connection and calls f with each row, which is
// its own to keep, until f says false.
func (s *Store) rows(ctx context.Context, query string, args []any, columns int, f func(row) bool) error {
	rs, err := s.db.QueryContext(ctx, query, args...)
	if err != nil {
		return readError(ctx, err)
	}
	values, to, r := make([]any, columns), make([]any, columns), make(row, columns)
	for i := range to {
		to[i] = &values[i]
	}
	for rs.Next() {
		if err = rs.Scan(to...); err != nil {
			break
		}
		for i := range values {
			r[i] = values[i]
		}
		if !f(r) {
			break
		}
	}
	if err == nil {
		err = rs.Err()
	}
	if closeErr := rs.Close(); err == nil {
		err = closeErr
	}
	return readError(ctx, err)
}

// newestFirst is below which id a page begins of a list in the order of ids, the highest
// first, and how many it has: cursor is the last id of the page before, zero for none, and a
// limit of 0 the usual one.
func newestFirst(cursor task.ID, limit int) (from []byte, most int) {
	if limit <= 0 {
		limit = task.DefaultListed
	}
	if cursor.IsZero() {
		return bytes.Repeat([]byte{0xff}, len(cursor)+1), min(limit, task.MaxListLimit)
	}
	return cursor[:], min(limit, task.MaxListLimit)
}

func readError(ctx context.Context, err error) error {
	switch {
	case err == nil:
		return nil
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return &task.Error{Code: task.CodeStoreUnavailable, Message: "the store could not be read", Cause: err}
}

// tasks runs a query for whole tasks, or else stubs, with their lanes behind them.
func (s *Store) tasks(ctx context.Context, query string, args []any, whole bool) ([]task.Task, error) {
	read := taskColumns
	if !whole {
		read = taskColumns[:stubCount]
	}
	columns := len(read)
	var out []task.Task
	err := s.rows(ctx, query, args, columns+laneCount, func(r row) bool {
		l := task.Lane{Type: r.text(columns), Owner: r.text(columns + 1), Route: r.text(columns + 2), Executor: r.text(columns + 3), Suspect: r.int(columns+4) != 0}
		t := decode(r, &l, read)
		if r[columns] == nil {
			t.Damage = strings.TrimPrefix(t.Damage+"; its lane does not exist", "; ")
		}
		out = append(out, t)
		return true
	})
	return out, err
}

// sees says that the scope covers that owner's tasks.
func sees(s task.Scope, owner string) bool { return s.All || s.Owner == owner }

// Get implements task.Ledger.
func (s *Store) Get(ctx context.Context, scope task.Scope, id task.ID) (task.Task, error) {
	ts, err := s.tasks(ctx, sqlGet, []any{id[:]}, true)
	if err != nil {
		return task.Task{}, err
	}
	if len(ts) == 0 || !sees(scope, ts[0].Owner) {
		return task.Task{}, notFound(id)
	}
	return ts[0], nil
}

// ByKey implements task.Ledger.
func (s *Store) ByKey(ctx context.Context, scope task.Scope, typ, key string) (task.Task, error) {
	ts, err := s.tasks(ctx, sqlByKey, []any{scope.Owner, typ, key}, true)
	if err != nil {
		return task.Task{}, err
	}
	if len(ts) == 0 {
		return task.Task{}, task.Errorf(task.CodeNotFound, "there is no task of type %q with key %q", typ, key)
	}
	return ts[0], nil
}

// ByPrefix implements task.Ledger.
func (s *Store) ByPrefix(ctx context.Context, scope task.Scope, lo, hi task.ID) ([]task.ID, error) {
	var ids []task.ID
	err := s.rows(ctx, sqlByPrefix, []any{lo[:], hi[:], scope.All, scope.Owner}, 1, func(r row) bool {
		var id task.ID
		copy(id[:], r.blob(0))
		ids = append(ids, id)
		return true
	})
	return ids, err
}

// InFlight implements task.Ledger. Every attempt is the only host's.
func (s *Store) InFlight(ctx context.Context, host task.HostID, after int64, limit int) ([]task.Task, error) {
	if host != "" && host != onlyHost {
		return nil, ctx.Err()
	}
	var blocks []int64
	err := s.rows(ctx, sqlInFlightBlocks, []any{max(after, 0) >> blockShift}, 1, func(r row) bool {
		blocks = append(blocks, r.int(0))
		return true
	})
	var out []task.Task
	for _, b := range blocks {
		if err != nil || len(out) >= limit {
			break
		}
		var ts []task.Task
		ts, err = s.tasks(ctx, sqlInFlight, []any{after, b << blockShift, (b + 1) << blockShift, limit - len(out)}, true)
		out = append(out, ts...)
	}
	return out, err
}

// Overdue implements task.Ledger.
func (s *Store) Overdue(ctx context.Context, now time.Time, limit int) ([]task.Task, error) {
	return s.tasks(ctx, sqlOverdue, []any{micros(now), limit}, false)
}
