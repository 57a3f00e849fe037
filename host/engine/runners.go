package engine

import (
	"slices"
	"sync"
	"time"
)

// runners are goroutines that have run an attempt and wait for another: an attempt needs more
// stack than a new goroutine has, and theirs have grown. Who has waited least goes first, for
// its stack is warm, and those at the bottom are seen to be too many.
type runners struct {
	mu       sync.Mutex
	idle     []chan *attempt
	unneeded int // how few were idle at the least since trim was last called
	closed   bool
}

// restOfRunners is how often runners end that nothing needed since.
const restOfRunners = 10 * time.Second

// run has an attempt run by one that waits, or else by a new one.
func (r *runners) run(a *attempt) {
	if next := r.take(); next != nil {
		next <- a
		return
	}
	go r.work(a)
}

// take gives the channel of one that waits; nil if none does.
func (r *runners) take() chan *attempt {
	r.mu.Lock()
	defer r.mu.Unlock()
	last := len(r.idle) - 1
	if last < 0 {
		return nil
	}
	next := r.idle[last]
	r.idle = r.idle[:last]
	r.unneeded = min(r.unneeded, last)
	return next
}

// work runs attempts one after another.
func (r *runners) work(a *attempt) {
	next := make(chan *attempt, 1)
	for a != nil {
		a.run()
		if !r.put(next) {
			return
		}
		a = <-next
	}
}

// put has one wait for its next attempt; false if there will be none.
func (r *runners) put(next chan *attempt) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.idle = append(r.idle, next)
	}
	return !r.closed
}

// trim ends those that nothing needed since it was called last.
func (r *runners) trim() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, next := range r.idle[:r.unneeded] {
		close(next)
	}
	r.idle = slices.Delete(r.idle, 0, r.unneeded)
	r.unneeded = len(r.idle)
}

// close ends all that wait, and each of the others once its attempt has come back.
func (r *runners) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	for _, next := range r.idle {
		close(next)
	}
	r.idle = nil
	r.unneeded = 0
}

// trimRunners keeps runners as many as are needed, for as long as the engine runs.
func (e *Engine) trimRunners() {
	defer e.runners.close()
	tick := time.NewTicker(restOfRunners)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			e.runners.trim()
		case <-e.ctx.Done():
			return
		}
	}
}
