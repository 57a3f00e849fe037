package peers

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"maragu.dev/goqite"
	"maragu.dev/goqite/jobs"

	"github.com/taskhost/taskhost/bench/load"
)

const (
	goqiteModule = "maragu.dev/goqite"
	goqiteJob    = "job"
	// goqiteTimeout is after what a message is received again that was not deleted: the default of
	// five seconds is too little where 64 clients wait for the same connection.
	goqiteTimeout = time.Minute
)

// goqiteQueue is goqite with its job runner.
type goqiteQueue struct {
	db      *sql.DB
	queue   *goqite.Queue
	version string
	done    func(int64)
}

func openGoqite(ctx context.Context, dir string, done func(int64)) (load.Queue, error) {
	version, files, err := module(ctx, goqiteModule)
	if err != nil {
		return nil, err
	}
	// goqite's users are told to run this file; the library does not hold it.
	schema, err := os.ReadFile(filepath.Join(files, "schema_sqlite.sql"))
	if err != nil {
		return nil, err
	}
	db, err := openSQLite(filepath.Join(dir, "goqite.db"))
	if err != nil {
		return nil, err
	}
	if _, err := db.ExecContext(ctx, string(schema)); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return &goqiteQueue{db: db, queue: goqite.New(goqite.NewOpts{DB: db, Name: "jobs", Timeout: goqiteTimeout}), version: version, done: done}, nil
}

func (q *goqiteQueue) About() load.About {
	return load.About{
		Name: "goqite", Version: q.version + ", " + sqliteVersion(),
		Settings: fmt.Sprintf("jobs.Runner with a Limit of %d and a PollInterval of %s, Timeout %s", slots, load.Poll, goqiteTimeout),
		Batch:    "jobs.CreateTx 100 times in one transaction",
		OnDisk:   "the message, fsynced (WAL, synchronous = FULL)", Stored: "nothing: the message is deleted, fsynced",
	}
}

func (q *goqiteQueue) Submit(ctx context.Context, first int64, count int) error {
	if count == 1 {
		_, err := jobs.Create(ctx, q.queue, goqiteJob, goqite.Message{Body: payload(first)})
		return err
	}
	tx, err := q.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	for _, n := range numbers(first, count) {
		if _, err := jobs.CreateTx(ctx, tx, q.queue, goqiteJob, goqite.Message{Body: payload(n)}); err != nil {
			return errors.Join(err, tx.Rollback())
		}
	}
	return tx.Commit()
}

func (q *goqiteQueue) Work(context.Context) (func() error, error) {
	r := jobs.NewRunner(jobs.NewRunnerOpts{Limit: slots, Extend: goqiteTimeout, PollInterval: load.Poll, Queue: q.queue})
	r.Register(goqiteJob, func(_ context.Context, body []byte) error {
		var j job
		if err := json.Unmarshal(body, &j); err != nil {
			return err
		}
		q.done(j.Number)
		return nil
	})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		r.Start(ctx)
		close(ended)
	}()
	return func() error {
		cancel()
		<-ended
		return nil
	}, nil
}

func (q *goqiteQueue) Unfinished(ctx context.Context) (bool, error) {
	n, err := q.count(ctx, `SELECT count(*) FROM (SELECT 1 FROM goqite LIMIT 1)`)
	return n > 0, err
}

func (q *goqiteQueue) Finished(ctx context.Context, submitted int64) (int64, error) {
	n, err := q.count(ctx, `SELECT count(*) FROM goqite`)
	return submitted - n, err
}

func (q *goqiteQueue) count(ctx context.Context, query string) (n int64, err error) {
	return n, q.db.QueryRowContext(ctx, query).Scan(&n)
}

func (q *goqiteQueue) RoundTrip(ctx context.Context, number int64) (time.Duration, error) {
	return timed(func() error {
		if err := q.Submit(ctx, number, 1); err != nil {
			return err
		}
		return until(ctx, func(ctx context.Context) (bool, error) {
			unfinished, err := q.Unfinished(ctx)
			return !unfinished, err
		})
	})
}

func (q *goqiteQueue) Close() error { return q.db.Close() }
