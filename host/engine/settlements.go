package engine

import (
	"context"
	"sync"

	"github.com/taskhost/taskhost/host/task"
)

const (
	// settlementsAtOnce bounds one commit of ends of attempts.
	settlementsAtOnce = 500
	// settlementWriters is how many such commits are under way at the most: while one is
	// on its way to the disk, the next joins the group that will follow it.
	settlementWriters = 2
)

// settlements are ends of attempts on their way to the record. Whoever brings one while
// few are written writes all that there are, also those that come meanwhile; the others are
// free for their next attempt at once. So under load an end costs neither an operation of
// its own nor somebody who waits for the disk, and at rest it is written as it comes.
type settlements struct {
	mu      sync.Mutex
	coming  *settlementBatch
	spare   []*settlementBatch
	writers int
}

// settlementBatch are changes that settle attempts, each with its attempt, which has the
// turn, and the outcome.
type settlementBatch struct {
	attempts []*attempt
	outcomes []task.Outcome
	changes  []task.Change
}

// add takes up a settlement. It says whether the caller is to write.
func (s *settlements) add(a *attempt, o task.Outcome, c task.Change) (write bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.coming == nil {
		s.coming = &settlementBatch{}
	}
	s.coming.attempts = append(s.coming.attempts, a)
	s.coming.outcomes = append(s.coming.outcomes, o)
	s.coming.changes = append(s.coming.changes, c)
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
		written.clear()
		s.spare = append(s.spare, written)
	}
	b := s.coming
	if b == nil || len(b.attempts) == 0 {
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
	if len(b.attempts) > 4*settlementsAtOnce {
		*b = settlementBatch{}
		return
	}
	clear(b.attempts)
	clear(b.outcomes)
	clear(b.changes)
	b.attempts = b.attempts[:0]
	b.outcomes = b.outcomes[:0]
	b.changes = b.changes[:0]
}

// settleSoon puts on record the change that settles an attempt, which has the turn, and
// does what follows; or leaves both to somebody who does so already.
func (e *Engine) settleSoon(a *attempt, o task.Outcome, c task.Change) {
	if !e.settlements.add(a, o, c) {
		return
	}
	for b := e.settlements.next(nil); b != nil; b = e.settlements.next(b) {
		for from := 0; from < len(b.attempts); from += settlementsAtOnce {
			to := min(from+settlementsAtOnce, len(b.attempts))
			e.writeSettlements(b.attempts[from:to], b.outcomes[from:to], b.changes[from:to])
		}
	}
}

func (e *Engine) writeSettlements(attempts []*attempt, outcomes []task.Outcome, changes []task.Change) {
	settled := attempts[:0]
	for i, err := range e.commitAll(context.Background(), changes) {
		a := attempts[i]
		if err != nil { // it is decided anew, and tried for as long as this host is there
			<-a.turn
			go a.settleAlone(outcomes[i])
			continue
		}
		a.changed(&changes[i].Task)
		<-a.turn
		a.acknowledge()
		settled = append(settled, a)
	}
	e.forget(settled...)
}
