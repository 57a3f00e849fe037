package sqlite

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"

	"github.com/taskhost/taskhost/host/task"
)

// Report is what Check found.
type Report struct {
	Path     string               `json:"path"`
	Live     bool                 `json:"live"` // a host has the store open; it was looked at beside it
	Schema   int64                `json:"schema"`
	Epoch    uint64               `json:"epoch"`
	Tasks    map[task.State]int64 `json:"tasks"`
	Problems []string             `json:"problems"` // none: the store is sound

	open Opener
}

// Opener says why what is sealed in an input of that owner's cannot be opened; nil if it can.
type Opener func(owner, taskType string, input []byte) error

// OK says that nothing is wrong.
func (r Report) OK() bool { return len(r.Problems) == 0 }

// invariants are rules of the store that no constraint holds. Each query counts
// what breaks its rule among the order keys above one and up to another.
var invariants = [...]struct{ rule, query string }{
	{"every attempt is in the history of its task", `SELECT count(*) FROM task t WHERE t.seq > ? AND t.seq <= ? AND t.attempt > 0 AND t.begun IS NULL AND t.handed_at IS NULL
AND NOT EXISTS (SELECT 1 FROM history h WHERE h.task = t.seq AND h.attempt = t.attempt)`},
	{"a task is in the state of its last event", named(`SELECT count(*) FROM task t WHERE t.seq > ? AND t.seq <= ? AND t.begun IS NULL AND t.state <>
coalesce((SELECT h.to_state FROM history h WHERE h.task = t.seq ORDER BY h.n DESC LIMIT 1), {pending})`)},
	{"a row that tells of an attempt has one, and its times", named(`SELECT count(*) FROM task t WHERE t.seq > ? AND t.seq <= ? AND t.begun IS NOT NULL
AND (t.attempt < 1 OR t.started_at IS NULL OR t.state = {succeeded} AND (t.finished_at IS NULL OR t.begun >= t.version))`)},
	{"a row that tells when an attempt was handed on has one", named(`SELECT count(*) FROM task t WHERE t.seq > ? AND t.seq <= ? AND t.handed_at IS NOT NULL
AND (t.attempt < 1 OR iif(t.begun IS NULL, t.state <> {pending} OR t.waiting <> {dispatched}, t.begun < 2))`)},
	{"no event is ahead of its task's version", `SELECT count(*) FROM task t WHERE t.seq > ? AND t.seq <= ?
AND t.version < max(coalesce(t.begun, 0), coalesce((SELECT max(h.n) FROM history h WHERE h.task = t.seq), 0))`},
	{"no event is told twice", `SELECT count(*) FROM task t WHERE t.seq > ? AND t.seq <= ? AND EXISTS (SELECT 1 FROM history h WHERE h.task = t.seq AND h.n >= iif(t.handed_at IS NULL, t.begun, coalesce(t.begun - 1, t.version)))`},
	{"every task that an attempt holds is in a block on record", named(`SELECT count(*) FROM task t WHERE t.seq > ? AND t.seq <= ? AND (t.state BETWEEN {running} AND {reverting} OR t.waiting = {dispatched})
AND NOT EXISTS (SELECT 1 FROM in_flight_block b WHERE b.block = t.seq >> {block shift})`)},
	{"every key is on record", `SELECT count(*) FROM task t WHERE t.seq > ? AND t.seq <= ? AND t.key IS NOT NULL
AND NOT EXISTS (SELECT 1 FROM lane l JOIN task_key k ON k.owner = l.owner AND k.type = l.type AND k.key = t.key WHERE l.id = t.lane AND k.task = t.seq)`},
	{"every result that a task has is there", named(`SELECT count(*) FROM task t WHERE t.seq > ? AND t.seq <= ? AND (t.result = {result row}) <> EXISTS (SELECT 1 FROM result r WHERE r.task = t.seq)`)},
	{"history belongs to tasks", `SELECT count(*) FROM history h WHERE h.task > ? AND h.task <= ? AND NOT EXISTS (SELECT 1 FROM task t WHERE t.seq = h.task)`},
	{"log lines belong to tasks", `SELECT count(*) FROM log h WHERE h.task > ? AND h.task <= ? AND NOT EXISTS (SELECT 1 FROM task t WHERE t.seq = h.task)`},
	{"inputs belong to tasks", `SELECT count(*) FROM input h WHERE h.task > ? AND h.task <= ? AND NOT EXISTS (SELECT 1 FROM task t WHERE t.seq = h.task)`},
	{"details belong to tasks", `SELECT count(*) FROM task_detail h WHERE h.task > ? AND h.task <= ? AND NOT EXISTS (SELECT 1 FROM task t WHERE t.seq = h.task)`},
	{"uploads belong to attempts that hold a task", `SELECT count(*) FROM upload h WHERE h.task > ? AND h.task <= ? AND NOT EXISTS (SELECT 1 FROM task t WHERE t.seq = h.task AND t.token = h.token)`},
	{"results belong to tasks", `SELECT count(*) FROM result h WHERE h.task > ? AND h.task <= ? AND NOT EXISTS (SELECT 1 FROM task t WHERE t.seq = h.task)`},
}

// keysOfTasks counts keys on record that are no task's; it is short, and in no order of tasks.
const keysOfTasks = `SELECT count(*) FROM task_key k WHERE NOT EXISTS (SELECT 1 FROM task t WHERE t.seq = k.task AND t.key = k.key)`

// checkSpan is how many tasks a check looks at in one read: beside a host, the log
// can't be carried over past it.
const checkSpan = 50_000

// maxVerdicts bounds what is kept of what one look finds.
const maxVerdicts = 100

// Check looks a store through and changes nothing. It needs no host; if one runs
// it reads beside it. open, if it is not nil, says why what is sealed in an input cannot be opened.
// The error is for what kept it from looking; what it found wrong is in the report.
func Check(ctx context.Context, dir string, open Opener) (Report, error) {
	r := Report{Path: filepath.Join(dir, FileName), Tasks: map[task.State]int64{}, Problems: []string{}, open: open}
	if _, err := os.Stat(r.Path); err != nil {
		return r, fmt.Errorf("there is no store to check: %w", err)
	}
	lock, err := lockDir(dir)
	switch {
	case task.CodeOf(err) == task.CodeStoreUnavailable:
		r.Live = true
	case err != nil:
		return r, err
	default:
		defer func() { _ = lock.unlock() }()
		if err := refuseUnusableFile(r.Path, lock.known, false); err != nil {
			r.Problems = append(r.Problems, err.Error())
			return r, nil
		}
	}
	db, err := openReaders(r.Path, 1)
	if err != nil {
		return r, err
	}
	err = r.look(ctx, db)
	return r, errors.Join(err, db.Close())
}

func (r *Report) look(ctx context.Context, db *sql.DB) error {
	var mode string
	if err := db.QueryRowContext(ctx, `PRAGMA journal_mode`).Scan(&mode); err != nil {
		return r.found(ctx, "the file can't be read as a store: %v", err)
	}
	if mode != "wal" {
		r.Problems = append(r.Problems, fmt.Sprintf("journal_mode is %s where the host sets wal", mode))
	}
	for _, pragma := range []string{`PRAGMA integrity_check(100)`, `PRAGMA foreign_key_check`} {
		if err := r.verdicts(ctx, db, pragma); err != nil {
			return r.found(ctx, pragma+": %v", err)
		}
	}
	if err := db.QueryRowContext(ctx, `SELECT max(version_id) FROM goose_db_version WHERE is_applied`).Scan(&r.Schema); err != nil {
		return r.found(ctx, "the schema's version can't be read: %v", err)
	}
	p, err := provider(db)
	if err != nil {
		return err
	}
	if sources := p.ListSources(); r.Schema != sources[len(sources)-1].Version {
		r.Problems = append(r.Problems, fmt.Sprintf("the schema is %d and this taskhost's is %d, so the rest was not looked at: check it with the taskhost that wrote it, or start a server on it once if it is the older, which brings it up to date", r.Schema, sources[len(sources)-1].Version))
		return nil
	}
	if err := db.QueryRowContext(ctx, `SELECT coalesce((SELECT value FROM meta WHERE name = 'epoch'), 0)`).Scan(&r.Epoch); err != nil {
		return r.found(ctx, "the epoch can't be read: %v", err)
	}
	if err := r.spans(ctx, db); err != nil {
		return err
	}
	var n int64
	if err := db.QueryRowContext(ctx, keysOfTasks).Scan(&n); err != nil {
		return r.found(ctx, "keys on record: %v", err)
	}
	r.broken("every key on record is a task's", n)
	if err := r.sealed(ctx, db); err != nil {
		return err
	}
	return r.bytes(ctx, db)
}

// bytes holds what is counted of owners against what is there. Beside a host it does not: the
// looks at the tables are not of one moment.
func (r *Report) bytes(ctx context.Context, db *sql.DB) error {
	var counted int64
	err := db.QueryRowContext(ctx, sqlCounted).Scan(&counted)
	if err == nil && (counted == 0 || r.Live) {
		return nil
	}
	was := map[string]int64{}
	if err == nil {
		err = addBytes(ctx, db, sqlBytes, was)
	}
	var sums map[string]int64
	if err == nil {
		sums, err = sumBytes(ctx, db)
	}
	if err != nil {
		return r.found(ctx, "the bytes of owners can't be counted: %v", err)
	}
	maps.DeleteFunc(sums, func(_ string, n int64) bool { return n == 0 })
	wrong := int64(0)
	for owner, n := range sums {
		if was[owner] != n {
			wrong++
		}
		delete(was, owner)
	}
	r.broken("the bytes that are counted of an owner are there", wrong+int64(len(was)))
	return nil
}

// spans holds the invariants against all tasks, so many at a time.
func (r *Report) spans(ctx context.Context, db *sql.DB) error {
	counts := make([]int64, len(invariants))
	for lo, hi := int64(math.MinInt64), int64(0); hi != math.MaxInt64; lo = hi {
		err := db.QueryRowContext(ctx, `SELECT seq FROM task WHERE seq > ? ORDER BY seq LIMIT 1 OFFSET ?`, lo, checkSpan-1).Scan(&hi)
		if err != nil { // none, or unreadable: then the rest in one look, which says what it finds
			hi = math.MaxInt64
		}
		for i, inv := range invariants {
			var n int64
			if err := db.QueryRowContext(ctx, inv.query, lo, hi).Scan(&n); err != nil {
				if err := r.found(ctx, inv.rule+": %v", err); err != nil || len(r.Problems) > maxVerdicts {
					return err
				}
			}
			counts[i] += n
		}
		if err := r.count(ctx, db, lo, hi); err != nil {
			return err
		}
	}
	for i, inv := range invariants {
		r.broken(inv.rule, counts[i])
	}
	return nil
}

// broken reports how often a rule is.
func (r *Report) broken(rule string, times int64) {
	if times > 0 {
		r.Problems = append(r.Problems, fmt.Sprintf("%s: broken %d times", rule, times))
	}
}

// found keeps what a damaged store answered as a problem; it is an error only if ctx ended.
func (r *Report) found(ctx context.Context, format string, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	r.Problems = append(r.Problems, fmt.Sprintf(format, err))
	return nil
}

// verdicts runs a pragma that answers "ok" or nothing if all is well.
func (r *Report) verdicts(ctx context.Context, db *sql.DB, pragma string) (err error) {
	rows, err := db.QueryContext(ctx, pragma)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	columns, err := rows.Columns()
	if err != nil {
		return err
	}
	for kept := 0; rows.Next(); {
		values, to := make([]any, len(columns)), make([]any, len(columns))
		for i := range to {
			to[i] = &values[i]
		}
		if err := rows.Scan(to...); err != nil {
			return err
		}
		verdict := fmt.Sprint(values...)
		if verdict == "ok" {
			continue
		}
		if kept++; kept > maxVerdicts {
			r.Problems = append(r.Problems, pragma+": and more")
			return nil
		}
		r.Problems = append(r.Problems, pragma+": "+verdict)
	}
	return rows.Err()
}

// count adds up the tasks of a span.
func (r *Report) count(ctx context.Context, db *sql.DB, lo, hi int64) (err error) {
	rows, err := db.QueryContext(ctx, `SELECT state, count(*) FROM task WHERE seq > ? AND seq <= ? GROUP BY state`, lo, hi)
	if err != nil {
		return r.found(ctx, "tasks can't be counted: %v", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var state task.State
		var n int64
		if err := rows.Scan(&state, &n); err != nil {
			return r.found(ctx, "tasks of a state that is none: %v", err)
		}
		r.Tasks[state] += n
	}
	return rows.Err()
}
