package load

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// stuckAfter is how long no job may end before a measurement is given up.
	stuckAfter = 60 * time.Second
	// lookEvery is how often it is looked whether all is done.
	lookEvery = time.Millisecond
	// fillBatch is how many jobs of a backlog are submitted at a time.
	fillBatch = 1000
)

// Limits bound one measurement: it ends at whichever is reached first.
type Limits struct {
	Jobs int
	Time time.Duration
}

// Meter measures one queue. Its methods are called one at a time.
type Meter struct {
	queue     Queue
	ledger    *Ledger
	submitted int64 // jobs since the queue was opened, and so the next job's number
	abandoned bool  // some of them will not be done
	patience  time.Duration
}

// NewMeter opens the peer in dir.
func NewMeter(ctx context.Context, p Peer, dir string) (*Meter, error) {
	m := &Meter{ledger: &Ledger{}, patience: stuckAfter}
	m.ledger.Begin(0, 0)
	q, err := p.Open(ctx, dir, m.ledger.Done)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.Name, err)
	}
	m.queue = q
	return m, nil
}

// About says what is measured.
func (m *Meter) About() About { return m.queue.About() }

// Close ends the queue, and says whether all that was submitted is on record as done.
func (m *Meter) Close(ctx context.Context) error {
	if m.abandoned {
		return m.queue.Close()
	}
	n, err := m.queue.Finished(ctx, m.submitted)
	if err == nil && n != m.submitted {
		err = fmt.Errorf("%d jobs were submitted, %d are on record as done", m.submitted, n)
	}
	return errors.Join(err, m.queue.Close())
}

// Throughput is jobs a second from the first submit until the last job is on record as done:
// Clients submit as fast as they are answered, batch jobs at a time, while workers work.
func (m *Meter) Throughput(ctx context.Context, batch int, l Limits) (rate float64, err error) {
	err = m.working(ctx, func() error {
		started := time.Now()
		n, err := m.submit(ctx, batch, l)
		if err != nil {
			return err
		}
		if err := m.drained(ctx, n); err != nil {
			return err
		}
		rate = float64(n) / time.Since(started).Seconds()
		return nil
	})
	return rate, err
}

// Idle is how long single jobs take from submit until a client sees their end on record, one at a
// time and with nothing else to do, in rising order. The first is not counted.
func (m *Meter) Idle(ctx context.Context, l Limits) (took []time.Duration, err error) {
	err = m.working(ctx, func() error {
		m.ledger.Begin(m.submitted, l.Jobs+1)
		if _, err := m.roundTrip(ctx); err != nil {
			return err
		}
		deadline := time.Now().Add(l.Time)
		for len(took) < l.Jobs && (len(took) == 0 || time.Now().Before(deadline)) {
			one, err := m.roundTrip(ctx)
			if err != nil {
				return err
			}
			took = append(took, one)
		}
		slices.Sort(took)
		return m.drained(ctx, int64(len(took)+1))
	})
	return took, err
}

func (m *Meter) roundTrip(ctx context.Context) (time.Duration, error) {
	m.submitted++
	return m.queue.RoundTrip(ctx, m.submitted-1)
}

// ErrTooSlow is that a backlog was not filled in its time.
var ErrTooSlow = errors.New("filling the backlog took too long")

// Backlog is jobs a second with waiting jobs in the queue when workers start: from then until all
// are on record as done, or until work has passed, after which the queue can only be closed.
// Filling it is not measured; the error is ErrTooSlow if that is not done within fill.
func (m *Meter) Backlog(ctx context.Context, waiting int, fill, work time.Duration) (rate float64, err error) {
	m.abandoned = true // until it is drained
	n, err := m.submit(ctx, min(fillBatch, waiting), Limits{Jobs: waiting, Time: fill})
	if err != nil {
		return 0, err
	}
	if n < int64(waiting) {
		return 0, ErrTooSlow
	}
	err = m.working(ctx, func() error {
		started := time.Now()
		if first, ok := m.ledger.Started(); ok {
			started = first // before the start of the workers returned
		}
		limited, cancel := context.WithTimeout(ctx, work)
		defer cancel()
		err := m.drained(limited, n)
		done := m.ledger.Count()
		rate = float64(done) / time.Since(started).Seconds()
		if limited.Err() != nil && ctx.Err() == nil {
			return nil
		}
		m.abandoned = err != nil
		return err
	})
	return rate, err
}

// working has workers work while f runs.
func (m *Meter) working(ctx context.Context, f func() error) error {
	stop, err := m.queue.Work(ctx)
	if err != nil {
		return fmt.Errorf("start the workers: %w", err)
	}
	return errors.Join(f(), stop())
}

// submit begins a stretch of jobs, and has Clients submit them until a limit is reached. It
// returns how many they were.
func (m *Meter) submit(ctx context.Context, batch int, l Limits) (int64, error) {
	m.ledger.Begin(m.submitted, l.Jobs)
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	deadline := time.Now().Add(l.Time)
	var taken atomic.Int64
	var clients sync.WaitGroup
	for range Clients {
		clients.Go(func() {
			for ctx.Err() == nil && time.Now().Before(deadline) {
				after := taken.Add(int64(batch))
				first := after - int64(batch)
				count := min(after, int64(l.Jobs)) - first
				if count <= 0 {
					return
				}
				if err := m.queue.Submit(ctx, m.submitted+first, int(count)); err != nil {
					cancel(fmt.Errorf("submit: %w", err))
				}
			}
		})
	}
	clients.Wait()
	n := min(taken.Load(), int64(l.Jobs))
	m.submitted += n
	return n, context.Cause(ctx)
}

// drained waits until n jobs of the stretch are on record as done, and checks that each was done
// exactly once.
func (m *Meter) drained(ctx context.Context, n int64) error {
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	moved := time.Now()
	last := int64(0)
	for {
		done := m.ledger.Count()
		if done >= n {
			unfinished, err := m.queue.Unfinished(ctx)
			if err != nil {
				return err
			}
			if !unfinished {
				return m.ledger.Check(n)
			}
		}
		if done > last {
			last = done
			moved = time.Now()
		}
		if time.Since(moved) > m.patience {
			return fmt.Errorf("%d of %d jobs were done, and for %s no more were, or their ends are not on record", done, n, m.patience)
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}
