package supervisor

import (
	"math/rand/v2"
	"time"
)

// delay is how long to wait before the next start after so many failures in a
// row: doubling from low to high, of which half is left to chance (jitter, in
// [0,1)), so that executors that died together do not come back together.
func delay(failures int, low, high time.Duration, jitter float64) time.Duration {
	d := low
	for i := 1; i < failures && d < high; i++ {
		d *= 2
	}
	d = min(d, high)
	return d/2 + time.Duration(jitter*float64(d/2))
}

// failures remembers the failures of an executor within a window.
type failures struct {
	at []time.Time
}

// add records one at now and says how many there were within the window.
func (f *failures) add(now time.Time, window time.Duration) int {
	recent := f.at[:0]
	for _, t := range f.at {
		if now.Sub(t) < window {
			recent = append(recent, t)
		}
	}
	f.at = append(recent, now)
	return len(f.at)
}

// forget starts anew, as after an operator's Restart.
func (f *failures) forget() { f.at = nil }

func jitter() float64 { return rand.Float64() }
