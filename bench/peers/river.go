package peers

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"

	"github.com/taskhost/taskhost/bench/load"
	"github.com/taskhost/taskhost/bench/server"
)

func (job) Kind() string { return "job" }

type riverWorker struct {
	river.WorkerDefaults[job]
	done func(int64)
}

func (w *riverWorker) Work(_ context.Context, j *river.Job[job]) error {
	w.done(j.Args.Number)
	return nil
}

// riverQueue is River over one of its drivers.
type riverQueue[Tx any] struct {
	driver  riverdriver.Driver[Tx]
	insert  *river.Client[Tx] // for submits: a client that was stopped works no more, but inserts
	working *river.Client[Tx] // for the time of Work
	config  river.Config
	many    func(*river.Client[Tx], context.Context, []river.InsertManyParams) error
	count   func(ctx context.Context, query string) (int64, error) // of the database
	close   func() error
	log     *os.File
	about   load.About
}

// poolSize suits 64 clients on two cores: more connections wait for the same commits together,
// fewer commit alone.
const poolSize = 32

func openRiverPostgres(ctx context.Context, dir string, done func(int64)) (load.Queue, error) {
	pg, err := server.StartPostgres(ctx, dir)
	if err != nil {
		return nil, err
	}
	pool, err := openPool(ctx, pg)
	if err != nil {
		return nil, err
	}
	q := &riverQueue[pgxTx]{
		driver: riverpgxv5.New(pool),
		many: func(c *river.Client[pgxTx], ctx context.Context, jobs []river.InsertManyParams) error {
			_, err := c.InsertManyFast(ctx, jobs)
			return err
		},
		count: func(ctx context.Context, query string) (n int64, err error) {
			return n, pool.QueryRow(ctx, query).Scan(&n)
		},
		close: func() error {
			pool.Close()
			pg.Stop()
			return nil
		},
		about: load.About{
			Name: "River, Postgres", Version: "PostgreSQL " + pg.Version,
			Batch: "InsertManyFast of 100", OnDisk: "the job, fsynced (synchronous_commit = on)", Stored: "the job as completed, fsynced",
		},
	}
	return q, q.open(ctx, dir, done)
}

func openRiverSQLite(ctx context.Context, dir string, done func(int64)) (load.Queue, error) {
	db, err := openSQLite(filepath.Join(dir, "river.db"))
	if err != nil {
		return nil, err
	}
	q := &riverQueue[*sql.Tx]{
		driver: riversqlite.New(db),
		many: func(c *river.Client[*sql.Tx], ctx context.Context, jobs []river.InsertManyParams) error {
			_, err := c.InsertMany(ctx, jobs)
			return err
		},
		count: func(ctx context.Context, query string) (n int64, err error) {
			return n, db.QueryRowContext(ctx, query).Scan(&n)
		},
		close: db.Close,
		about: load.About{
			Name: "River, SQLite", Version: sqliteVersion(),
			Batch: "InsertMany of 100", OnDisk: "the job, fsynced (WAL, synchronous = FULL)", Stored: "the job as completed, fsynced",
		},
	}
	return q, q.open(ctx, dir, done)
}

func (q *riverQueue[Tx]) open(ctx context.Context, dir string, done func(int64)) (err error) {
	defer func() {
		if err != nil {
			err = errors.Join(err, q.Close())
		}
	}()
	version, _, err := module(ctx, "github.com/riverqueue/river")
	if err != nil {
		return err
	}
	q.about.Version = version + ", " + q.about.Version
	if q.log, err = os.Create(filepath.Join(dir, "river.log")); err != nil {
		return err
	}
	migrator, err := rivermigrate.New(q.driver, nil)
	if err != nil {
		return err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return err
	}
	workers := river.NewWorkers()
	river.AddWorker(workers, &riverWorker{done: done})
	// The intervals and the order of magnitude of workers are those of River's own benchmark.
	q.config = river.Config{
		FetchCooldown: 2 * time.Millisecond, FetchPollInterval: 20 * time.Millisecond,
		Queues:  map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: slots}},
		Workers: workers,
		Logger:  slog.New(slog.NewTextHandler(q.log, &slog.HandlerOptions{Level: slog.LevelWarn})),
	}
	q.about.Settings = fmt.Sprintf("MaxWorkers %d, FetchCooldown 2 ms, FetchPollInterval 20 ms", slots)
	q.insert, err = q.client()
	return err
}

func (q *riverQueue[Tx]) client() (*river.Client[Tx], error) {
	c := q.config
	return river.NewClient(q.driver, &c)
}

func (q *riverQueue[Tx]) About() load.About { return q.about }

func (q *riverQueue[Tx]) Submit(ctx context.Context, first int64, count int) error {
	c := q.insert
	if q.working != nil {
		c = q.working // which wakes its own workers where the database tells nobody
	}
	if count == 1 {
		_, err := c.Insert(ctx, job{first}, nil)
		return err
	}
	jobs := make([]river.InsertManyParams, count)
	for i := range jobs {
		jobs[i].Args = job{first + int64(i)}
	}
	return q.many(c, ctx, jobs)
}

func (q *riverQueue[Tx]) Work(ctx context.Context) (stop func() error, err error) {
	if q.working, err = q.client(); err != nil {
		return nil, err
	}
	// Not the context of the measurement: its end would cancel jobs.
	if err := q.working.Start(context.WithoutCancel(ctx)); err != nil {
		return nil, err
	}
	return func() error {
		stopped, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		c := q.working
		q.working = nil
		return c.Stop(stopped)
	}, nil
}

func (q *riverQueue[Tx]) Unfinished(ctx context.Context) (bool, error) {
	n, err := q.count(ctx, `SELECT count(*) FROM (SELECT 1 FROM river_job WHERE state IN ('available', 'running', 'retryable', 'scheduled', 'pending') LIMIT 1) AS found`)
	return n > 0, err
}

func (q *riverQueue[Tx]) Finished(ctx context.Context, _ int64) (int64, error) {
	return q.count(ctx, `SELECT count(*) FROM river_job WHERE state = 'completed'`)
}

func (q *riverQueue[Tx]) RoundTrip(ctx context.Context, number int64) (time.Duration, error) {
	events, cancel := q.working.Subscribe(river.EventKindJobCompleted, river.EventKindJobFailed)
	defer cancel()
	return timed(func() error {
		inserted, err := q.working.Insert(ctx, job{number}, nil)
		if err != nil {
			return err
		}
		for {
			select {
			case e := <-events:
				if e.Job.ID != inserted.Job.ID {
					continue
				}
				if e.Kind != river.EventKindJobCompleted {
					return fmt.Errorf("the job is %s", e.Job.State)
				}
				return nil
			case <-ctx.Done():
				return context.Cause(ctx)
			}
		}
	})
}

func (q *riverQueue[Tx]) Close() error { return errors.Join(q.close(), q.log.Close()) }

func openPool(ctx context.Context, pg *server.Postgres) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(pg.URL)
	if err != nil {
		return nil, err
	}
	config.MaxConns = poolSize
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		pg.Stop()
	}
	return pool, err
}
