package remotequeue

import (
	"slices"
	"time"
)

// giveBack takes back what waits for workers that are not there any more, or that
// take nothing more: it holds slots that others can use, and surely never started. A
// worker that is restarted within the lapse finds what waits for it. f.mu is held.
func (f *fleet) giveBack() {
	now := f.clock.now()
	heard := make(map[lane]time.Duration)
	back := make(map[lane]int)
	for _, a := range f.attempts {
		if a.phase != waiting {
			continue
		}
		at, ok := heard[a.lane]
		if !ok {
			at = f.lastHeard(a.lane)
			heard[a.lane] = at
		}
		a.served = max(a.served, at)
		if now-a.served > time.Duration(f.conf.Lapse) {
			f.takeBack(a, "no worker is there that can run it")
			back[a.lane]++
		}
	}
	for l, n := range back {
		f.log.Warn("what waited for workers that are gone or draining is given back", "type", l.typ, "labels", f.routes[l.route], "attempts", n)
	}
}

// lastHeard is when a worker that takes what is in l was last heard; before all time
// if there is none. f.mu is held.
func (f *fleet) lastHeard(l lane) time.Duration {
	at := time.Duration(-1)
	for _, w := range f.workers {
		if w.seen > at && w.known && !f.draining(w) && slices.Contains(w.types, l.typ) && satisfies(w.about.Labels, f.routes[l.route]) {
			at = w.seen
		}
	}
	return at
}
