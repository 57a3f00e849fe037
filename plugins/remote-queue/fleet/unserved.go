package fleet

import (
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
)

// withdrawUnserved takes back what waits for workers that are not there any more, or that
// take nothing more: it holds slots that others can use, and surely never started. A
// worker that is restarted within the lapse finds what waits for it. f.mu is held.
func (f *fleet) withdrawUnserved() {
	now := f.clock.now()
	heard := make(map[wire.Lane]time.Duration)
	back := make(map[wire.Lane]int)
	for _, a := range f.attempts {
		if a.phase != waiting {
			continue
		}
		at, ok := heard[a.lane]
		if !ok {
			at = f.lastHeardOnLane(a.lane)
			heard[a.lane] = at
		}
		a.lastServed = max(a.lastServed, at)
		if now-a.lastServed > time.Duration(f.queueConfig.Lapse) {
			f.withdrawAttempt(a, "no worker is there that can run it")
			back[a.lane]++
		}
	}
	for l, n := range back {
		f.log.Warn("what waited for workers that are gone or draining is given back", "type", l.Type, "labels", f.routes[l.Route].Labels, "min_version", f.routes[l.Route].MinVersion, "attempts", n)
	}
}

// lastHeardOnLane is when a worker that takes what is in l was last heard; before all time
// if there is none. f.mu is held.
func (f *fleet) lastHeardOnLane(l wire.Lane) time.Duration {
	at := time.Duration(-1)
	for _, w := range f.workers {
		if w.heardAt > at && f.takesFrom(w, l) {
			at = w.heardAt
		}
	}
	return at
}
