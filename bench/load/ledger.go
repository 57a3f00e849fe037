// Package load puts the same jobs through one peer after the other, and measures them.
package load

import (
	"fmt"
	"sync/atomic"
	"time"
)

// Ledger counts how often each job was done. A job is a number; it does nothing but call Done.
type Ledger struct {
	current atomic.Pointer[stretch]
	others  atomic.Int64 // times that a job was done which was none of the stretch of the time
}

// stretch is the jobs of one measurement.
type stretch struct {
	first  int64
	counts []atomic.Int32
	start  atomic.Pointer[time.Time] // when the first job was done
	done   atomic.Int64              // jobs that were done at least once
	again  atomic.Int64              // times that a job was done which had been done before
}

// Begin starts a stretch of the jobs first to first+most-1.
func (l *Ledger) Begin(first int64, most int) {
	l.current.Store(&stretch{first: first, counts: make([]atomic.Int32, most)})
}

// Done says that the job is being done now. It may be called from anywhere once Begin was.
func (l *Ledger) Done(job int64) {
	s := l.current.Load()
	at := job - s.first
	switch {
	case at < 0 || at >= int64(len(s.counts)):
		l.others.Add(1)
	case s.counts[at].Add(1) == 1:
		if s.done.Add(1) == 1 {
			now := time.Now()
			s.start.Store(&now)
		}
	default:
		s.again.Add(1)
	}
}

// Count is how many jobs of the stretch were done at least once.
func (l *Ledger) Count() int64 { return l.current.Load().done.Load() }

// Started is when the first job of the stretch was done; false if none was.
func (l *Ledger) Started() (time.Time, bool) {
	at := l.current.Load().start.Load()
	if at == nil {
		return time.Time{}, false
	}
	return *at, true
}

// Check says whether each of the first n jobs of the stretch was done exactly once, and nothing
// else was, ever.
func (l *Ledger) Check(n int64) error {
	s := l.current.Load()
	done, again, others := s.done.Load(), s.again.Load(), l.others.Load()
	if done != n || again != 0 || others != 0 {
		return fmt.Errorf("of %d jobs %d were done, %d times one was done again, %d times one that was none of them", n, done, again, others)
	}
	return nil
}
