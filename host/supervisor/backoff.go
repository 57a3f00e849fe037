package supervisor

import (
	"math/rand/v2"
	"time"
)

// backoffDelay is how long to wait before the next start after so many failures in a
// row: doubling from low to high, of which half is left to chance (jitter, in
// [0,1)), so that executors that died together do not come back together.
func backoffDelay(failures int, low, high time.Duration, jitter float64) time.Duration {
	d := low
	for i := 1; i < failures && d < high; i++ {
		d *= 2
	}
	d = min(d, high)
	return d/2 + time.Duration(jitter*float64(d/2))
}

// ending is how a process came to its end.
type ending int

const (
	endFailed        ending = iota // by itself, or it did not come up
	endExcused                     // somebody told it to stop, or a suspect attempt ran on it, which explains its death
	endNeedsOperator               // nothing but an operator's doing helps
	endFileMissing                 // its file is not there, and may come
)

// maxExcusedWait bounds the wait after an end that is no failure of the plugin's.
const maxExcusedWait = time.Second

// endings is what is remembered of how an executor's processes ended, and the rule for
// what follows.
type endings struct {
	failures, excuses recentEvents
	afterQuarantine   bool // it was in quarantine: the next failure puts it back
}

// next says, after an end at now, how long to wait before the next start, and whether
// the executor is in quarantine meanwhile. count is how many failures, or excused ends, there
// were within the window. An excused end never leads to quarantine.
func (e *endings) next(how ending, now time.Time, options Options, jitter float64) (wait time.Duration, quarantine bool, count int) {
	switch how {
	case endNeedsOperator:
		return options.QuarantineRetry, true, 0
	case endFileMissing: // to look costs little
		return min(options.BackoffMax, options.QuarantineRetry), true, 0
	case endExcused:
		if count = e.excuses.add(now, options.QuarantineWindow); count == 1 {
			return 0, false, count
		}
		return backoffDelay(count-1, options.BackoffMin, min(options.BackoffMax, maxExcusedWait), jitter), false, count
	}
	count = e.failures.add(now, options.QuarantineWindow)
	if count >= options.QuarantineAfter || e.afterQuarantine {
		e.afterQuarantine = true
		return options.QuarantineRetry, true, count
	}
	return backoffDelay(count, options.BackoffMin, options.BackoffMax, jitter), false, count
}

// noteReady notes how long a process was ready before it ended: long enough, and what was
// before it counts no more.
func (e *endings) noteReady(ready time.Duration, o Options) {
	if ready >= o.QuarantineWindow {
		e.afterQuarantine = false
	}
}

// recentEvents remembers events within a window.
type recentEvents struct {
	at []time.Time
}

// add records one at now and says how many there were within the window.
func (r *recentEvents) add(now time.Time, window time.Duration) int {
	within := r.at[:0]
	for _, t := range r.at {
		if now.Sub(t) < window {
			within = append(within, t)
		}
	}
	r.at = append(within, now)
	return len(r.at)
}

func jitter() float64 { return rand.Float64() }
