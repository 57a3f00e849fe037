package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/taskhost/taskhost/host/task"
)

const (
	sqlBytesOf  = `SELECT bytes FROM owner_bytes WHERE owner = ?`
	sqlBytesAdd = `INSERT INTO owner_bytes (owner, bytes) VALUES (?, ?) ON CONFLICT (owner) DO UPDATE SET bytes = bytes + excluded.bytes`
	sqlBytes    = `SELECT owner, bytes FROM owner_bytes WHERE bytes <> 0`
	sqlCounted  = `SELECT count(*) FROM meta WHERE name = 'bytes'`
)

// kept is what counts as an owner's bytes: columns of the tables that hold what may be large of
// a task. Rows themselves and the history do not.
var kept = []struct {
	table   string
	columns []string
}{
	{"task", []string{"labels"}}, // its own row, and so not by the order key of another
	{"input", []string{"data"}},
	{"result", []string{"data"}},
	{"upload", []string{"data"}},
	{"task_detail", []string{"checkpoint", "error_message", "error_details"}},
	{"log", []string{"message", "fields"}},
}

// octets is how many bytes columns of a row have, as SQL. It reads no overflow pages.
func octets(row string, columns []string) string {
	terms := make([]string, len(columns))
	for i, c := range columns {
		terms[i] = `coalesce(octet_length(` + row + `.` + c + `), 0)`
	}
	return strings.Join(terms, ` + `)
}

// countedLane says of lane l that its tasks count: the host's own do not.
const countedLane = `l.type NOT GLOB '` + task.OwnTypes + `*'`

// sqlCount are the triggers that keep table owner_bytes. They are of the writer's connection
// alone, so that a host without quotas on bytes has none, and a migration meets none.
var sqlCount = func() (all []string) {
	for _, k := range kept {
		for _, on := range []struct{ event, change string }{
			{"INSERT", octets("new", k.columns)},
			{"UPDATE", octets("new", k.columns) + ` - (` + octets("old", k.columns) + `)`},
			{"DELETE", `-(` + octets("old", k.columns) + `)`},
		} {
			row := "new"
			if on.event == "DELETE" {
				row = "old"
			}
			event := on.event
			if event == "UPDATE" {
				event += ` OF ` + strings.Join(k.columns, ", ")
			}
			from := `task t JOIN lane l ON l.id = t.lane WHERE t.seq = ` + row + `.task`
			if k.table == "task" {
				from = `lane l WHERE l.id = ` + row + `.lane`
			}
			all = append(all, `CREATE TEMP TRIGGER IF NOT EXISTS `+triggerName(k.table, on.event)+` AFTER `+event+` ON main.`+k.table+` WHEN `+on.change+` <> 0 BEGIN
INSERT INTO owner_bytes (owner, bytes) SELECT l.owner, `+on.change+` FROM `+from+` AND `+countedLane+`
ON CONFLICT (owner) DO UPDATE SET bytes = bytes + excluded.bytes;
END`)
		}
	}
	return all
}()

func triggerName(table, event string) string {
	return "bytes_of_" + table + "_" + strings.ToLower(event)
}

// sqlSum adds up what owners have, of each table by itself.
var sqlSum = func() (all []string) {
	for _, k := range kept {
		from := k.table + ` k JOIN task t ON t.seq = k.task`
		if k.table == "task" {
			from = `task k JOIN task t ON t.seq = k.seq`
		}
		all = append(all, `SELECT l.owner, sum(n) FROM (SELECT t.lane, sum(`+octets("k", k.columns)+`) AS n FROM `+from+` GROUP BY t.lane) s JOIN lane l ON l.id = s.lane WHERE `+countedLane+` GROUP BY l.owner`)
	}
	return all
}()

// SetQuotas implements task.QuotaStore.
func (s *Store) SetQuotas(ctx context.Context, q task.Quotas) error {
	s.quotas.Lock()
	defer s.quotas.Unlock()
	if count := q.AnyBytes(); count != s.countsBytes {
		if err := s.setCounting(ctx, count); err != nil {
			return fmt.Errorf("count what owners keep: %w", err)
		}
		s.countsBytes = count
	}
	return s.alone(ctx, func(w *writer) error { w.lanes.SetQuotas(q); return nil })
}

// OwnerUse implements task.QuotaStore.
func (s *Store) OwnerUse(ctx context.Context, owner string) ([]task.OwnerUse, error) {
	names := []string{owner}
	if owner == "" {
		names = s.lanes.Owners()
	}
	bytes := map[string]int64{}
	counted := s.lanes.BytesCounted()
	if counted {
		query, args := sqlBytes, []any(nil)
		if owner != "" {
			query, args = sqlBytes+` AND owner = ?`, []any{owner}
		}
		if err := s.rows(ctx, query, args, 2, func(r row) bool {
			bytes[r.text(0)] = r.int(1)
			names = append(names, r.text(0))
			return true
		}); err != nil {
			return nil, err
		}
	}
	slices.Sort(names)
	names = slices.Compact(names)
	out := make([]task.OwnerUse, len(names))
	for i, name := range names {
		out[i] = s.lanes.OwnerUse(name)
		out[i].Bytes, out[i].BytesCounted = bytes[name], counted
	}
	return out, nil
}

// checkBytes refuses new tasks that would have more kept of an owner's than may be.
func (w *writer) checkBytes(tasks []*task.Task) (refused, err error) {
	var coming map[string]int64
	for _, t := range tasks {
		if !t.Existing().IsZero() || w.lanes.BytesQuota(t.Type, t.Owner).Bytes <= 0 {
			continue
		}
		labels, err := document(t.Labels)
		if err != nil {
			return nil, err
		}
		n := int64(len(labels) + len(t.Checkpoint))
		if inputRow(t.Input) {
			n += int64(len(t.Input))
		}
		coming = plus(coming, t.Owner, n)
	}
	for owner, n := range coming {
		if err := w.flushInputs(); err != nil { // which counts them
			return nil, err
		}
		st := w.st.bytesOf
		st.bind().value(owner)
		found, err := st.one()
		if err != nil {
			return nil, err
		}
		kept := int64(0)
		if found {
			kept = st.row.int(0)
		}
		if refused := w.lanes.BytesQuota("", owner).CheckBytes(owner, kept, n); refused != nil {
			return refused, nil
		}
	}
	return nil, nil
}

// aloneOp is an operation that is a group of its own, so that no open transaction did anything
// before it.
type aloneOp struct{ do func(w *writer) error }

func (o *aloneOp) size() (rows, bytes int) { return groupRows + 1, 0 }
func (o *aloneOp) run(w *writer) error     { return o.do(w) }

func (s *Store) alone(ctx context.Context, do func(w *writer) error) error {
	return s.w.do(ctx, &aloneOp{do})
}

// setCounting begins to count what owners keep, or ends it. While the sums of what is there
// are made, others are served: they are of the moment at which the triggers begin to count what
// changes. A crash in between leaves no row 'bytes', and it is done anew.
func (s *Store) setCounting(ctx context.Context, count bool) (err error) {
	if !count {
		return s.stopCounting(ctx)
	}
	var before *sql.Tx
	err = s.alone(ctx, func(w *writer) (err error) {
		if before == nil { // nothing was written since, should it be run again
			if before, err = s.snapshot(ctx); err != nil {
				return err
			}
		}
		return w.execAll(append(slices.Clone(sqlCount), `DELETE FROM owner_bytes`))
	})
	if before != nil {
		defer func() { err = errors.Join(err, before.Rollback()) }()
	}
	if err != nil {
		return err
	}
	sums, err := sumBytes(ctx, before)
	if err == nil {
		err = s.alone(ctx, func(w *writer) error {
			for owner, n := range sums {
				w.st.bytesAdd.bind().value(owner).int(n)
				if err := w.st.bytesAdd.run(); err != nil {
					return err
				}
			}
			return w.execAll([]string{`INSERT INTO meta (name, value) VALUES ('bytes', 1) ON CONFLICT (name) DO NOTHING`})
		})
	}
	if err != nil {
		err = errors.Join(err, s.stopCounting(context.WithoutCancel(ctx)))
	}
	return err
}

func (s *Store) stopCounting(ctx context.Context) error {
	return s.alone(ctx, func(w *writer) error {
		all := []string{`DELETE FROM owner_bytes`, `DELETE FROM meta WHERE name = 'bytes'`}
		for _, k := range kept {
			for _, event := range []string{"insert", "update", "delete"} {
				all = append(all, `DROP TRIGGER IF EXISTS temp.`+triggerName(k.table, event))
			}
		}
		return w.execAll(all)
	})
}

// snapshot is a reader that sees what is committed now, until it is rolled back.
func (s *Store) snapshot(ctx context.Context) (*sql.Tx, error) {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return nil, readError(ctx, err)
	}
	var n int64
	if err := tx.QueryRowContext(ctx, sqlCounted).Scan(&n); err != nil { // the snapshot is of the first read
		return nil, errors.Join(readError(ctx, err), tx.Rollback())
	}
	return tx, nil
}

// querier is a database, or a transaction of it.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// sumBytes adds up what owners keep, by all there is.
func sumBytes(ctx context.Context, db querier) (map[string]int64, error) {
	sums := map[string]int64{}
	for _, query := range sqlSum {
		if err := addBytes(ctx, db, query, sums); err != nil {
			return nil, readError(ctx, err)
		}
	}
	return sums, nil
}

func addBytes(ctx context.Context, db querier, query string, sums map[string]int64) (err error) {
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var owner string
		var n int64
		if err := rows.Scan(&owner, &n); err != nil {
			return err
		}
		sums[owner] += n
	}
	return rows.Err()
}

func (w *writer) execAll(statements []string) error {
	for _, sql := range statements {
		if _, err := w.conn.Exec(sql, nil); err != nil {
			return fmt.Errorf("%.60q: %w", sql, err)
		}
	}
	return nil
}

// resumeCounting goes on counting what owners keep, if that was so when the store was closed.
// It is called before anything is written.
func (w *writer) resumeCounting() (bool, error) {
	n, err := scalar(w.conn, sqlCounted)
	if err != nil || n == int64(0) {
		return false, err
	}
	return true, w.execAll(sqlCount)
}
