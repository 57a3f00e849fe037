package fleet

import (
	"sync/atomic"
	"time"
)

// lapseClock measures lapses in time that counts: while this process stood still, or
// could not hear its workers, none passes. A laptop that slept, or a broker that
// was away, must not make every attempt a lost one.
type lapseClock struct{ ns atomic.Int64 }

func (c *lapseClock) now() time.Duration { return time.Duration(c.ns.Load()) }

// tick lets the time since the last tick pass. gap is that time as the monotonic
// clock has it, usual what it should have been.
func (c *lapseClock) tick(gap, usual time.Duration, hearing bool) {
	if hearing {
		c.ns.Add(int64(min(gap, 2*usual)))
	}
}
