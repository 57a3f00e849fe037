package peers

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/taskhost/taskhost/bench/load"
	"github.com/taskhost/taskhost/bench/server"
)

const (
	skipLockedSchema = `
CREATE TABLE job (
	id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
	args        jsonb NOT NULL,
	state       text NOT NULL DEFAULT 'waiting',
	attempt     int NOT NULL DEFAULT 0,
	created_at  timestamptz NOT NULL DEFAULT now(),
	started_at  timestamptz,
	finished_at timestamptz
);
CREATE INDEX job_unfinished ON job (state, id) WHERE state <> 'done'`

	skipLockedInsert = `INSERT INTO job (args) SELECT unnest($1::jsonb[]) RETURNING id`

	skipLockedClaim = `
UPDATE job SET state = 'running', attempt = attempt + 1, started_at = now()
WHERE id IN (SELECT id FROM job WHERE state = 'waiting' ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED)
RETURNING id, args`

	skipLockedFinish = `UPDATE job SET state = 'done', finished_at = now() WHERE id = ANY($1)`

	skipLockedWorkers = 4
	skipLockedClaims  = 500 // jobs at a time
)

// skipLockedQueue is what one writes oneself on PostgreSQL: a table, and workers that claim some
// rows, run them and finish them, in a transaction each.
type skipLockedQueue struct {
	postgres *server.Postgres
	pgx      string // its version
	pool     *pgxpool.Pool
	done     func(int64)
}

func openSkipLocked(ctx context.Context, dir string, done func(int64)) (load.Queue, error) {
	version, _, err := module(ctx, "github.com/jackc/pgx/v5")
	if err != nil {
		return nil, err
	}
	pg, err := server.StartPostgres(ctx, dir)
	if err != nil {
		return nil, err
	}
	pool, err := openPool(ctx, pg)
	if err != nil {
		return nil, err
	}
	q := &skipLockedQueue{postgres: pg, pgx: version, pool: pool, done: done}
	if _, err := pool.Exec(ctx, skipLockedSchema); err != nil {
		return nil, errors.Join(err, q.Close())
	}
	return q, nil
}

func (q *skipLockedQueue) About() load.About {
	return load.About{
		Name: "SKIP LOCKED by hand", Version: "pgx " + q.pgx + ", PostgreSQL " + q.postgres.Version,
		Settings: fmt.Sprintf("%d workers that claim %d at a time, and look every %s", skipLockedWorkers, skipLockedClaims, load.Poll),
		Batch:    "one INSERT of 100 rows", OnDisk: "the job, fsynced (synchronous_commit = on)", Stored: "the job as done, fsynced",
	}
}

func (q *skipLockedQueue) Submit(ctx context.Context, first int64, count int) error {
	_, err := q.insert(ctx, first, count)
	return err
}

// insert returns the id of the last job.
func (q *skipLockedQueue) insert(ctx context.Context, first int64, count int) (id int64, err error) {
	args := make([]string, count)
	for i := range args {
		args[i] = string(payload(first + int64(i)))
	}
	rows, err := q.pool.Query(ctx, skipLockedInsert, args)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for rows.Next() {
		if err := rows.Scan(&id); err != nil {
			return 0, err
		}
	}
	return id, rows.Err()
}

func (q *skipLockedQueue) Work(ctx context.Context) (func() error, error) {
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	var workers sync.WaitGroup
	failed := make(chan error, skipLockedWorkers)
	for range skipLockedWorkers {
		workers.Go(func() { failed <- q.worker(ctx) })
	}
	return func() error {
		cancel()
		workers.Wait()
		close(failed)
		var errs []error
		for err := range failed {
			errs = append(errs, err)
		}
		return errors.Join(errs...)
	}, nil
}

// worker claims and runs until ctx ends.
func (q *skipLockedQueue) worker(ctx context.Context) error {
	whole := context.WithoutCancel(ctx) // what was claimed is finished
	for ctx.Err() == nil {
		ids, err := q.claim(whole)
		if err != nil {
			return fmt.Errorf("claim: %w", err)
		}
		if len(ids) == 0 {
			select {
			case <-ctx.Done():
			case <-time.After(load.Poll):
			}
			continue
		}
		if _, err := q.pool.Exec(whole, skipLockedFinish, ids); err != nil {
			return fmt.Errorf("finish: %w", err)
		}
	}
	return nil
}

// claim makes some jobs running, on record, and runs them.
func (q *skipLockedQueue) claim(ctx context.Context) (ids []int64, err error) {
	rows, err := q.pool.Query(ctx, skipLockedClaim, skipLockedClaims)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var claimed []int64
	for rows.Next() {
		var id int64
		var args []byte
		if err := rows.Scan(&id, &args); err != nil {
			return nil, err
		}
		var j job
		if err := json.Unmarshal(args, &j); err != nil {
			return nil, err
		}
		ids = append(ids, id)
		claimed = append(claimed, j.Number)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	for _, n := range claimed {
		q.done(n)
	}
	return ids, nil
}

func (q *skipLockedQueue) Unfinished(ctx context.Context) (bool, error) {
	n, err := q.count(ctx, `SELECT count(*) FROM (SELECT 1 FROM job WHERE state <> 'done' LIMIT 1) AS found`)
	return n > 0, err
}

func (q *skipLockedQueue) Finished(ctx context.Context, _ int64) (int64, error) {
	return q.count(ctx, `SELECT count(*) FROM job WHERE state = 'done' AND attempt = 1`)
}

func (q *skipLockedQueue) count(ctx context.Context, query string, args ...any) (n int64, err error) {
	return n, q.pool.QueryRow(ctx, query, args...).Scan(&n)
}

func (q *skipLockedQueue) RoundTrip(ctx context.Context, number int64) (time.Duration, error) {
	return timed(func() error {
		id, err := q.insert(ctx, number, 1)
		if err != nil {
			return err
		}
		return until(ctx, func(ctx context.Context) (bool, error) {
			n, err := q.count(ctx, `SELECT count(*) FROM job WHERE id = $1 AND state = 'done'`, id)
			return n == 1, err
		})
	})
}

func (q *skipLockedQueue) Close() error {
	q.pool.Close()
	q.postgres.Stop()
	return nil
}
