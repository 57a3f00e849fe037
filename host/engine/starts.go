package engine

import (
	"context"
	"runtime"
	"sync"

	"github.com/taskhost/taskhost/host/task"
)

// starts are beginnings of attempts that were handed on, on their way to the record. All that
// come while some are written are the next commit.
type starts struct {
	mu     sync.Mutex
	coming []startNote
	closed bool          // nobody writes them any more
	wake   chan struct{} // holds one signal: some have come
}

// startNote says that an attempt begins on a node, and is answered once that is on record.
type startNote struct {
	attempt *attempt
	handle  []byte
	node    string
	done    func(error)
}

// startedSoon is started for who must not wait. done is called from another goroutine.
func (a *attempt) startedSoon(handle []byte, node string, done func(error)) {
	n := startNote{a, handle, node, done}
	s := &a.engine.starts
	s.mu.Lock()
	closed := s.closed
	if !closed {
		s.coming = append(s.coming, n)
	}
	s.mu.Unlock()
	if closed {
		go n.writeAlone()
		return
	}
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// writeAlone writes a start by an operation of its own.
func (n *startNote) writeAlone() { n.done(n.attempt.started(n.handle, n.node)) }

// writeStarts writes starts for as long as the engine runs.
func (e *Engine) writeStarts() {
	s := &e.starts
	for open := true; open; {
		select {
		case <-s.wake:
			runtime.Gosched() // whoever else brings one now brings it for the same commit
		case <-e.ctx.Done():
			open = false
		}
		s.mu.Lock()
		notes := s.coming
		s.coming = nil
		s.closed = !open
		s.mu.Unlock()
		for len(notes) > 0 {
			n := min(len(notes), settlementsAtOnce)
			e.commitStarts(notes[:n])
			notes = notes[n:]
		}
	}
}

// commitStarts writes starts in one commit. What is not plain is decided by itself: somebody
// else changes the task at the moment, or has changed it, or the attempt must not begin.
func (e *Engine) commitStarts(notes []startNote) {
	begun := make([]startNote, 0, len(notes))
	changes := make([]task.Change, 0, len(notes))
	now := e.now()
	for _, n := range notes {
		c, ok := n.attempt.tryDecide(func(t *task.Task) (task.Change, error) {
			return n.attempt.decideStart(t, n.handle, n.node, now)
		})
		if !ok {
			go n.writeAlone()
			continue
		}
		begun = append(begun, n)
		changes = append(changes, c)
	}
	for i, err := range e.commitAll(context.Background(), changes) {
		n := begun[i]
		n.attempt.decided(&changes[i], err)
		if err != nil {
			go n.writeAlone()
			continue
		}
		n.attempt.startClock()
		n.done(nil)
	}
}
