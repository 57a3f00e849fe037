package sdk

import (
	"slices"
	"sync"
	"time"
)

// restBeforeEnd is how long a goroutine without an attempt waits for another.
const restBeforeEnd = time.Second

// workers run attempts, each at once and beside all others, in goroutines that are used
// again: a script needs more stack than a new goroutine has. Whoever takes an attempt first
// has another goroutine come for the next one. So a script that waits holds up nobody, and
// those that end without a wait follow one another in the same goroutine.
type workers struct {
	done <-chan struct{} // closed when goroutines that rest are to end
	wake chan struct{}   // has one that rests come

	mu      sync.Mutex
	begun   []begunAttempt // that nobody has taken
	taken   int            // of begun, from its beginning
	resting int            // goroutines that rest and were not woken
	coming  bool           // a goroutine was woken or started, and is not here yet
}

func newWorkers(done <-chan struct{}) *workers {
	return &workers{done: done, wake: make(chan struct{}, 1)}
}

// run has attempts run. It waits for none.
func (w *workers) run(list []begunAttempt) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.begun = append(slices.Delete(w.begun, 0, w.taken), list...)
	w.taken = 0
	w.call()
}

// call has a goroutine come if an attempt waits for one and none is on its way. It needs the
// lock held.
func (w *workers) call() {
	if w.coming || w.taken == len(w.begun) {
		return
	}
	w.coming = true
	if w.resting == 0 {
		go w.work()
		return
	}
	w.resting--
	w.wake <- struct{}{} // there is room: one is on its way at a time
}

// work is the life of a goroutine.
func (w *workers) work() {
	rest := time.NewTimer(restBeforeEnd)
	defer rest.Stop()
	for {
		w.mu.Lock()
		w.coming = false
		for w.taken < len(w.begun) {
			a := w.begun[w.taken]
			w.begun[w.taken] = begunAttempt{}
			w.taken++
			w.call()
			w.mu.Unlock()
			a.execute()
			w.mu.Lock()
		}
		w.resting++
		w.mu.Unlock()
		rest.Reset(restBeforeEnd)
		select {
		case <-w.wake:
			continue
		case <-rest.C:
		case <-w.done:
		}
		w.mu.Lock()
		last := w.resting == 0 // it was called meanwhile
		if !last {
			w.resting--
		}
		w.mu.Unlock()
		if !last {
			return
		}
		<-w.wake
	}
}
