package engine

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

const (
	// settlementsAtOnce bounds one commit of ends of attempts.
	settlementsAtOnce = 500
	// settlementWriters is how many such commits are under way at the most: while one is
	// on its way to the disk, the next joins the group that will follow it.
	settlementWriters = 2
)

// settlements are ends of attempts on their way to the record. One that comes while few are
// written has a goroutine write all that there are, also those that come meanwhile. So under load an end costs neither an operation of
// its own nor somebody who waits for the disk, and at rest it is written as it comes.
type settlements struct {
	mu      sync.Mutex
	coming  *settlementBatch
	spare   []*settlementBatch
	writers int
}

// settlement is how an attempt ended, and when.
type settlement struct {
	attempt *attempt
	outcome task.Outcome
	at      time.Time
}

// settlementBatch are settlements that are written together, and room for their changes.
type settlementBatch struct {
	ends    []settlement
	changes []task.Change
}

// add takes up a settlement. It says whether the caller is to write.
func (s *settlements) add(n *settlement) (write bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.coming == nil {
		s.coming = &settlementBatch{}
	}
	s.coming.ends = append(s.coming.ends, *n)
	if s.writers == settlementWriters {
		return false
	}
	s.writers++
	return true
}

// next gives a writer all that has come since, and takes back what it has written; nil if
// there is no more, and the writer is none any longer.
func (s *settlements) next(written *settlementBatch) *settlementBatch {
	s.mu.Lock()
	defer s.mu.Unlock()
	if written != nil {
		s.spare = append(s.spare, written)
	}
	b := s.coming
	if b == nil || len(b.ends) == 0 {
		s.writers--
		return nil
	}
	s.coming = nil
	if n := len(s.spare); n > 0 {
		s.coming = s.spare[n-1]
		s.spare = s.spare[:n-1]
	}
	return b
}

// clear forgets what was written and keeps the room, unless it is much.
func (b *settlementBatch) clear() {
	if cap(b.ends) > 4*settlementsAtOnce {
		*b = settlementBatch{}
		return
	}
	clear(b.ends)
	b.ends = b.ends[:0]
}

// settleSoon has it put on record how an attempt ended, and done what follows. It waits for nobody.
func (e *Engine) settleSoon(n *settlement) {
	if e.settlements.add(n) {
		go e.writeSettlements()
	}
}

// writeSettlements writes until there is nothing more to write.
func (e *Engine) writeSettlements() {
	for b := e.settlements.next(nil); b != nil; b = e.settlements.next(b) {
		for ends := range slices.Chunk(b.ends, settlementsAtOnce) {
			b.write(e, ends)
		}
		b.clear()
	}
}

// write puts some of the batch on record in one commit. What is not plain is decided by itself,
// and tried for as long as this host is there: somebody else changes the task at the moment, or
// has changed it.
func (b *settlementBatch) write(e *Engine, ends []settlement) {
	plain := ends[:0]
	for i := range ends {
		n := &ends[i]
		c, ok := n.decide()
		if !ok {
			go n.attempt.settleAlone(n.outcome)
			continue
		}
		plain = append(plain, *n)
		b.changes = append(b.changes, c)
	}
	settled := make([]*attempt, 0, len(plain))
	for i, err := range e.commitAll(context.Background(), b.changes) {
		a := plain[i].attempt
		a.decided(&b.changes[i], err)
		if err != nil {
			go a.settleAlone(plain[i].outcome)
			continue
		}
		a.acknowledge()
		settled = append(settled, a)
	}
	e.forget(settled...)
	clear(b.changes)
	b.changes = b.changes[:0]
}

// decide is the change that settles an attempt which runs, by tryDecide; false if there is more to do.
func (n *settlement) decide() (task.Change, bool) {
	return n.attempt.tryDecide(func(t *task.Task) (task.Change, error) {
		if !t.State.Active() {
			return task.Change{}, nil
		}
		return n.attempt.ending(t, &n.outcome, n.at)
	})
}
