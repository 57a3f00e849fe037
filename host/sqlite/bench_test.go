package sqlite

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	sqlite3 "github.com/mattn/go-sqlite3"

	"github.com/taskhost/taskhost/host/task"
)

// What these print as tasks/s is whole tasks: written as running with their
// first event, then as succeeded with their second, each in a commit of its own.

// BenchmarkRawStatements is the yardstick of a machine: bare prepared statements write a
// row for each task and one for each of its two events, and then the end, in groups of
// 1,000, fsynced. Tables and statements are its own and stay as they are, so that figures
// beside it can be compared over versions of the store.
func BenchmarkRawStatements(b *testing.B) {
	schema, err := os.ReadFile("testdata/yardstick.sql")
	if err != nil {
		b.Fatal(err)
	}
	r := openRaw(b, string(schema))
	insert := r.prepare(`INSERT INTO task (seq, id, lane, state, waiting, priority, attempt, version, token, executor, node, failures, max_attempts, lost,
max_lost, timeout, retain, created_at, run_at, started_at, updated_at, result, deadline, key, labels, group_id, flow, parent, step, trace)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`)
	succeed := r.prepare(`UPDATE task SET state = 5, token = NULL, handle = NULL, version = version + 1, finished_at = ?, expires_at = ?, updated_at = ?, result = ?
WHERE seq = ? AND state = 2 AND attempt = ? AND version = ? AND lane = ?`)
	history := r.prepare(`INSERT INTO history (task, n, at, from_state, to_state, attempt, by, message) VALUES (?, ?, ?, ?, ?, ?, ?, ?)`)
	r.groups(func(seq, at int64) {
		id, token := newID(), newToken()
		insert.bind().int(seq).blob(id[:]).int(1).int(2).int(0).int(0).int(1).int(1).blob(token[:]).
			text("local").value(nil).int(0).int(3).int(0).int(3).int(3600e6).int(48 * 3600e6).int(at).int(at).int(at).int(at).int(resultNone).
			value(nil).value(nil).value(nil).value(nil).value(nil).value(nil).value(nil).value(nil)
		r.ok(insert.run())
		history.bind().int(seq).int(1).int(at).int(0).int(2).int(1).text("default").value(nil)
		r.ok(history.run())
	}, func(seq, at int64) {
		succeed.bind().int(at).int(at).int(at).int(0).int(seq).int(1).int(1).int(1)
		if n, err := succeed.changed(); n != 1 || err != nil {
			b.Fatal(n, err)
		}
		history.bind().int(seq).int(2).int(at).int(2).int(5).int(1).value(nil).value(nil)
		r.ok(history.run())
	})
}

// raw is a connection like the writer's, and nothing else.
type raw struct {
	*testing.B
	conn *sqlite3.SQLiteConn
}

// openRaw makes a database of that schema, with lane 1.
func openRaw(b *testing.B, schema string) *raw {
	conn, err := connect(writerDSN(filepath.Join(b.TempDir(), FileName)))
	if err != nil {
		b.Fatal(err)
	}
	r := &raw{b, conn}
	b.Cleanup(func() { r.ok(conn.Close()) })
	_, err = conn.Exec(schema, nil)
	r.ok(err)
	_, err = conn.Exec(`INSERT INTO lane (id, type, owner, route, executor, suspect) VALUES (1, 'noop', 'default', '', '', 0)`, nil)
	r.ok(err)
	return r
}

func (r *raw) ok(err error) {
	r.Helper()
	if err != nil {
		r.Fatal(err)
	}
}

func (r *raw) prepare(sql string) *stmt {
	st, err := prepare(r.conn, sql, 0)
	r.ok(err)
	r.Cleanup(func() { r.ok(st.s.Close()) })
	return st
}

// groups begins b.N tasks and ends them, each in groups of 1,000 to a commit.
func (r *raw) groups(begin, end func(seq, at int64)) {
	open, commit := r.prepare(`BEGIN IMMEDIATE`), r.prepare(`COMMIT`)
	checkpoint := r.prepare(sqlCheckpoint)
	written := 0
	const group = 1000
	r.ResetTimer()
	for done := 0; done < r.N; done += group {
		n := min(group, r.N-done)
		at := time.Now().UnixMicro()
		for _, each := range []func(seq, at int64){begin, end} {
			r.ok(open.run())
			for i := range n {
				each(int64(done+i+1), at)
			}
			r.ok(commit.run())
		}
		if written += n * 4 * rowBytes; written >= checkpointBytes {
			r.ok(checkpoint.run())
			written = 0
		}
	}
	perSecond(r.B)
}

func perSecond(b *testing.B) {
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
	b.ReportMetric(0, "ns/op")
}

// newRunning is a task that found a free slot: it is written as running.
func newRunning(b testing.TB) *task.Task {
	n := newTask(b, task.Spec{})
	*n = task.Begin(n, "local", newToken(), false, n.CreatedAt).Task
	return n
}

func succeeded(b testing.TB, t *task.Task) task.Change {
	c, err := task.Settle(t, &task.Outcome{Kind: task.OutcomeSucceeded}, task.Backoff{}, time.Now(), 0)
	if err != nil {
		b.Error(err)
	}
	return c
}

// BenchmarkStoreSingly64 has 64 clients each write a task and settle it.
func BenchmarkStoreSingly64(b *testing.B) { storeBench(b, 64, 1) }

// BenchmarkStoreHundreds has 16 clients write and settle tasks in hundreds.
func BenchmarkStoreHundreds(b *testing.B) { storeBench(b, 16, 100) }

// BenchmarkStoreThousands is the raw limit's shape: groups of 1,000.
func BenchmarkStoreThousands(b *testing.B) { storeBench(b, 4, 1000) }

func storeBench(b *testing.B, clients, group int) {
	ctx := context.Background()
	s := openStore(b, b.TempDir())
	var left atomic.Int64
	left.Store(int64(b.N))
	var wg sync.WaitGroup
	b.ReportAllocs()
	b.ResetTimer()
	for range clients {
		wg.Go(func() {
			tasks := make([]*task.Task, 0, group)
			changes := make([]task.Change, 0, group)
			for left.Add(-int64(group)) > -int64(group) {
				tasks, changes = tasks[:0], changes[:0]
				for range group {
					tasks = append(tasks, newRunning(b))
				}
				if _, err := s.Insert(ctx, task.Submission{Tasks: tasks}); err != nil {
					b.Error(err)
					return
				}
				for _, t := range tasks {
					changes = append(changes, succeeded(b, t))
				}
				for _, err := range s.Apply(ctx, changes) {
					if err != nil {
						b.Error(err)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	perSecond(b)
}

// BenchmarkStoreIdle is one client alone: what a commit costs.
func BenchmarkStoreIdle(b *testing.B) {
	ctx := context.Background()
	s := openStore(b, b.TempDir())
	for b.Loop() {
		if _, err := s.Insert(ctx, task.Submission{Tasks: []*task.Task{newRunning(b)}}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkBacklogMillion works off a backlog, the next claim committing while
// the last one is settled. Its size is a million, a hundred thousand under -short.
func BenchmarkBacklogMillion(b *testing.B) {
	ctx := context.Background()
	s := openStore(b, b.TempDir())
	backlog := 1_000_000
	if testing.Short() {
		backlog = 100_000
	}
	fill(b, s, backlog)
	const claim = 500
	b.ResetTimer()
	for range b.N {
		b.StopTimer()
		if missing := backlog - int(s.lanes.Ready([]task.LaneID{1})); missing > 0 {
			fill(b, s, missing)
		}
		b.StartTimer()
		claimed := make(chan []task.Claimed, 2)
		go func() {
			defer close(claimed)
			for {
				ts, err := s.Claim(ctx, task.Claim{Executor: "local", Shares: []task.Share{{Lanes: []task.LaneID{1}, Max: claim}}, Max: claim, Now: time.Now(), NewToken: newToken})
				if err != nil {
					b.Error(err)
				}
				if len(ts) == 0 {
					return
				}
				claimed <- ts
			}
		}()
		for ts := range claimed {
			changes := make([]task.Change, len(ts))
			for i := range ts {
				changes[i] = succeeded(b, &ts[i].Change.Task)
			}
			for _, err := range s.Apply(ctx, changes) {
				if err != nil {
					b.Fatal(err)
				}
			}
		}
	}
	b.ReportMetric(float64(b.N*backlog)/b.Elapsed().Seconds(), "tasks/s")
}

// fill inserts tasks that wait.
func fill(b testing.TB, s *Store, n int) {
	const batch = 1000
	for n > 0 {
		tasks := make([]*task.Task, min(n, batch))
		for i := range tasks {
			tasks[i] = newTask(b, task.Spec{})
		}
		if _, err := s.Insert(context.Background(), task.Submission{Tasks: tasks}); err != nil {
			b.Fatal(err)
		}
		n -= len(tasks)
	}
}

// BenchmarkFdatasync is what the disk takes to make one appended page durable.
func BenchmarkFdatasync(b *testing.B) {
	f, err := os.Create(filepath.Join(b.TempDir(), "page"))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = f.Close() }()
	page := make([]byte, 4096)
	took := make([]time.Duration, 0, b.N)
	b.ResetTimer()
	for range b.N {
		at := time.Now()
		if _, err := f.Write(page); err != nil {
			b.Fatal(err)
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			b.Fatal(err)
		}
		took = append(took, time.Since(at))
	}
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}
