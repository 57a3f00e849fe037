package load

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// memory is a queue of channels, which can be faulty.
type memory struct {
	jobs     chan int64
	done     func(int64)
	finished atomic.Int64
	open     atomic.Int64

	lose, repeat, forget int64 // job numbers
	refuse               bool
	slow                 time.Duration
}

func newMemory() *memory {
	return &memory{jobs: make(chan int64, 100_000), lose: -1, repeat: -1, forget: -1}
}

func (q *memory) peer() Peer {
	return Peer{Name: "memory", Open: func(_ context.Context, _ string, done func(int64)) (Queue, error) {
		q.done = done
		return q, nil
	}}
}

func (q *memory) About() About { return About{Name: "memory"} }

func (q *memory) Submit(_ context.Context, first int64, count int) error {
	if q.refuse {
		return errors.New("not today")
	}
	time.Sleep(q.slow)
	for n := first; n < first+int64(count); n++ {
		q.open.Add(1)
		q.jobs <- n
	}
	return nil
}

func (q *memory) Work(ctx context.Context) (func() error, error) {
	ctx, cancel := context.WithCancel(ctx)
	var worker sync.WaitGroup
	worker.Go(func() {
		for {
			select {
			case n := <-q.jobs:
				q.run(n)
			case <-ctx.Done():
				return
			}
		}
	})
	return func() error {
		cancel()
		worker.Wait()
		return nil
	}, nil
}

func (q *memory) run(n int64) {
	if n == q.lose {
		return
	}
	q.done(n)
	if n == q.repeat {
		q.done(n)
	}
	if n != q.forget {
		q.finished.Add(1)
		q.open.Add(-1)
	}
}

func (q *memory) Unfinished(context.Context) (bool, error)       { return q.open.Load() > 0, nil }
func (q *memory) Finished(context.Context, int64) (int64, error) { return q.finished.Load(), nil }
func (q *memory) Close() error                                   { return nil }

func (q *memory) RoundTrip(ctx context.Context, job int64) (time.Duration, error) {
	started := time.Now()
	if err := q.Submit(ctx, job, 1); err != nil {
		return 0, err
	}
	for q.open.Load() > 0 {
		time.Sleep(100 * time.Microsecond)
	}
	return time.Since(started), nil
}

func open(t *testing.T, q *memory) *Meter {
	t.Helper()
	m, err := NewMeter(t.Context(), q.peer(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	m.patience = 200 * time.Millisecond
	return m
}

func TestMeasure(t *testing.T) {
	q := newMemory()
	m := open(t, q)
	for _, batch := range []int{1, 7, 100} {
		rate, err := m.Throughput(t.Context(), batch, Limits{Jobs: 1000, Time: time.Minute})
		if err != nil || rate <= 0 {
			t.Fatal(batch, rate, err)
		}
	}
	took, err := m.Idle(t.Context(), Limits{Jobs: 20, Time: time.Minute})
	if err != nil || len(took) != 20 || took[0] > took[19] {
		t.Fatal(took, err)
	}
	rate, err := m.Backlog(t.Context(), 2500, time.Minute, time.Minute)
	if err != nil || rate <= 0 {
		t.Fatal(rate, err)
	}
	if err := m.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if n := q.finished.Load(); n != 3*1000+21+2500 {
		t.Error("done:", n)
	}
}

// A time that is over ends what is submitted, and what was is worked off.
func TestTimeLimits(t *testing.T) {
	q := newMemory()
	q.slow = 20 * time.Millisecond
	m := open(t, q)
	if _, err := m.Throughput(t.Context(), 1, Limits{Jobs: 90_000, Time: 100 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	if n := q.finished.Load(); n == 0 || n == 90_000 || n != m.submitted {
		t.Error("done:", n, "submitted:", m.submitted)
	}
	if _, err := m.Backlog(t.Context(), 1_000_000, time.Millisecond, time.Minute); !errors.Is(err, ErrTooSlow) {
		t.Error(err)
	}
	if err := m.Close(t.Context()); err != nil {
		t.Error("a queue that was left full can be closed:", err)
	}
}

// A queue that loses, repeats or does not finish a job, or refuses one, is found out.
func TestFaultyQueues(t *testing.T) {
	for name, c := range map[string]struct {
		fault func(*memory)
		want  string
	}{
		"loses":   {func(q *memory) { q.lose = 250 }, "299 of 300 jobs were done"},
		"repeats": {func(q *memory) { q.repeat = 250 }, "1 times one was done again"},
		"forgets": {func(q *memory) { q.forget = 250 }, "their ends are not on record"},
		"refuses": {func(q *memory) { q.refuse = true }, "submit: not today"},
	} {
		t.Run(name, func(t *testing.T) {
			q := newMemory()
			c.fault(q)
			_, err := open(t, q).Throughput(t.Context(), 100, Limits{Jobs: 300, Time: time.Minute})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Error(err)
			}
		})
	}
	t.Run("another's", func(t *testing.T) {
		q := newMemory()
		m := open(t, q)
		q.jobs <- 1_000_000
		if _, err := m.Throughput(t.Context(), 1, Limits{Jobs: 10, Time: time.Minute}); err == nil || !strings.Contains(err.Error(), "1 times one that was none of them") {
			t.Error(err)
		}
	})
	t.Run("miscounts", func(t *testing.T) {
		q := newMemory()
		m := open(t, q)
		if _, err := m.Throughput(t.Context(), 1, Limits{Jobs: 10, Time: time.Minute}); err != nil {
			t.Fatal(err)
		}
		q.finished.Add(-1)
		if err := m.Close(t.Context()); err == nil || !strings.Contains(err.Error(), "10 jobs were submitted, 9 are on record") {
			t.Error(err)
		}
	})
}

// Each round has an entry of each peer, and who is missing is left out.
func TestRun(t *testing.T) {
	missing := errors.New("not installed")
	plan := Plan{Rounds: 2, Throughput: Limits{Jobs: 200, Time: time.Minute}, Idle: Limits{Jobs: 3, Time: time.Minute},
		Backlogs: []int{100, 1000}, Fill: time.Minute, Work: time.Minute, Say: t.Logf}
	absent := Peer{Name: "absent", Open: func(context.Context, string, func(int64)) (Queue, error) { return nil, missing }}
	again := Peer{Name: "memory", Open: func(ctx context.Context, dir string, done func(int64)) (Queue, error) {
		return newMemory().peer().Open(ctx, dir, done)
	}}
	f, err := Run(t.Context(), []Peer{absent, again}, plan, t.TempDir(), func(err error) bool { return errors.Is(err, missing) })
	if err != nil {
		t.Fatal(err)
	}
	if len(f.Peers) != 1 || f.Load < 0 || len(f.Fdatasync) != 2 {
		t.Fatalf("%+v", f)
	}
	p := f.Peers[0]
	if p.Name != "memory" || len(p.Singly) != 2 || len(p.Hundreds) != 2 || len(p.Idle50) != 2 || len(p.Idle99) != 2 || len(p.Backlogs) != 2 || len(p.Backlogs[1].Rates) != 2 {
		t.Errorf("%+v", p)
	}
	if _, err := Run(t.Context(), []Peer{absent}, plan, t.TempDir(), func(error) bool { return false }); !errors.Is(err, missing) {
		t.Error(err)
	}
}

func TestRatio(t *testing.T) {
	median, low, high := Ratio([]float64{2, 30, 4}, []float64{1, 10, 4})
	if median != 2 || low != 1 || high != 3 {
		t.Error(median, low, high)
	}
	if median, _, _ := Ratio(nil, []float64{1}); median != 0 {
		t.Error(median)
	}
	if Median([]float64{4, 1, 3, 2}) != 2.5 || Median(nil) != 0 {
		t.Error("median")
	}
}

func TestThisMachine(t *testing.T) {
	m, err := ThisMachine()
	if err != nil || m.Cores < 1 || m.MemoryGiB <= 0 || m.CPU == "" || m.Kernel == "" {
		t.Errorf("%+v %v", m, err)
	}
}
