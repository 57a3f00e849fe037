package sqlite

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/lane"
	"github.com/taskhost/taskhost/host/task"
)

// What these print as tasks/s is whole tasks: written as running with their
// first event, then as succeeded with their second, each in a commit of its own.

// BenchmarkRawStatements is the limit: bare prepared statements write the same
// rows, insert then finish with its history, in groups of 1,000, fsynced.
func BenchmarkRawStatements(b *testing.B) {
	s := openStore(b, b.TempDir())
	s.w.stop() // the connection is the benchmark's from here on
	w := s.w
	if _, err := w.lane(lane.Key{Type: "noop", Owner: "default"}); err != nil {
		b.Fatal(err)
	}
	ok := func(err error) {
		if err != nil {
			b.Fatal(err)
		}
	}
	const group = 1000
	b.ResetTimer()
	for done := 0; done < b.N; done += group {
		n := min(group, b.N-done)
		first := w.lastSeq + 1
		at := time.Now().UnixMicro()
		ok(w.st.begin.run())
		for range n {
			w.lastSeq++
			id, token := newID(), newToken()
			w.st.taskInsert.bind().int(w.lastSeq).blob(id[:]).int(1).int(2).int(0).int(0).int(1).int(1).blob(token[:]).
				text("local").value(nil).int(0).int(3).int(0).int(3).int(3600e6).int(48 * 3600e6).int(at).int(at).int(at).int(at).int(resultNone).
				value(nil).value(nil).value(nil).value(nil).value(nil).value(nil).value(nil).value(nil)
			ok(w.st.taskInsert.run())
			w.st.historyInsert.bind().int(w.lastSeq).int(1).int(at).int(0).int(2).int(1).text("default").value(nil)
			ok(w.st.historyInsert.run())
		}
		ok(w.st.commit.run())
		ok(w.st.begin.run())
		for seq := first; seq <= w.lastSeq; seq++ {
			w.st.taskSucceed.bind().int(at).int(at).int(at).int(0).int(seq).int(1).int(1).int(1)
			if n, err := w.st.taskSucceed.changed(); n != 1 || err != nil {
				b.Fatal(n, err)
			}
			w.st.historyInsert.bind().int(seq).int(2).int(at).int(2).int(5).int(1).value(nil).value(nil)
			ok(w.st.historyInsert.run())
		}
		ok(w.st.commit.run())
		w.walBytes += n * 4 * rowBytes
		w.checkpoint()
	}
	perSecond(b)
}

func perSecond(b *testing.B) {
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
	b.ReportMetric(0, "ns/op")
}

// newRunning is a task that found a free slot: it is written as running.
func newRunning(b testing.TB) *task.Task {
	n := newTask(b, task.Spec{})
	*n = task.Begin(*n, "local", newToken(), false, n.CreatedAt).Task
	return n
}

func succeeded(b testing.TB, t *task.Task) task.Change {
	c, err := task.Settle(*t, task.Outcome{Kind: task.OutcomeSucceeded}, task.Backoff{}, time.Now(), 0)
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
	for b.Loop() {
		if _, err := f.Write(page); err != nil {
			b.Fatal(err)
		}
		if err := syscall.Fdatasync(int(f.Fd())); err != nil {
			b.Fatal(err)
		}
	}
}
