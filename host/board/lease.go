package board

import "time"

// The bounds of a lease, and what it is if nobody says.
const (
	DefaultLease = time.Minute
	MinLease     = time.Second
	MaxLease     = 24 * time.Hour
)

// unheard is how long a worker that does not speak keeps a claim whose task is to stop: by
// its own lease, or by this if that is longer.
const unheard = DefaultLease

// StopsWithin is how long an attempt may take to end that was told to, with that grace: its
// worker hears of it when it next speaks.
func StopsWithin(grace time.Duration) time.Duration { return unheard + grace + 2*tickEvery }

// Lease is the time that a worker has a claim for, on a clock that is passed in. It is
// pure: each method gives the lease as it is after.
type Lease struct {
	length  time.Duration
	until   time.Duration
	stopped bool // the claim's task is to stop: it is extended once more, and by the grace alone
	told    bool // the worker has heard of it
}

// NewLease begins a lease at now.
func NewLease(length, now time.Duration) Lease { return Lease{length: length, until: now + length} }

// Heard is the lease after its worker has spoken: it begins anew, unless the task is to stop.
// Who hears of that for the first time gets grace.
func (l Lease) Heard(now, grace time.Duration) Lease {
	switch {
	case !l.stopped:
		l.until = now + l.length
	case !l.told:
		l.told = true
		l.until = now + grace
	}
	return l
}

// Stopped is the lease once its task is to stop. A worker that does not speak must not keep
// that from ending.
func (l Lease) Stopped(now time.Duration) Lease {
	if !l.stopped {
		l.stopped = true
		l.until = min(l.until, now+unheard)
	}
	return l
}

// Lapsed says that the claim is the worker's no more.
func (l Lease) Lapsed(now time.Duration) bool { return now >= l.until }

// countedTime is how much of a gap between two looks at the clock counts for leases, where
// it should have been usual: while the host stood still it could not hear its workers.
func countedTime(gap, usual time.Duration) time.Duration { return min(gap, 2*usual) }

// Stop is why a worker is to end what it does with a claim.
type Stop string

// What a worker may be told.
const (
	StopNone    Stop = ""
	StopCancel  Stop = "cancel"  // somebody wants the task to end: clean up, then fail or release it
	StopTimeout Stop = "timeout" // the attempt ran longer than it may
	StopPause   Stop = "pause"   // somebody wants the task to rest: save a checkpoint and release it, or go on
)

// Ends says that the claim will be over soon, whatever the worker does.
func (s Stop) Ends() bool { return s == StopCancel || s == StopTimeout }
