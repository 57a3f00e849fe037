package fleet

import (
	"errors"
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/broker"
	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
)

// wakeLoop has run look at once.
func (s *startQueue) wakeLoop() { wire.Wake(s.wakeUp) }

// enqueue queues attempts for publishing. fleet.mu is held.
func (s *startQueue) enqueue(a *attempt) {
	s.toPublish = append(s.toPublish, a)
	s.wakeLoop()
}

// withdraw takes a start out of the broker, if the broker gets to it: a worker that
// pulls it before is refused. What came in one message goes together. fleet.mu is held.
func (s *startQueue) withdraw(a *attempt) {
	if a.message != nil {
		a.message.withdrawn++
		s.deleteMessage(a.message)
	}
}

// deleteMessage has a message taken out of the broker, if nothing in it is wanted.
// fleet.mu is held.
func (s *startQueue) deleteMessage(m *startMessage) {
	if m.position == 0 || m.withdrawn < len(m.attempts) {
		return
	}
	select {
	case s.withdrawals <- m.position:
	default:
	}
}

// noteFailure notes that the broker's store may be gone, and returns err.
func (s *startQueue) noteFailure(err error) error {
	if errors.Is(err, broker.ErrStoreMissing) {
		s.fleet.mu.Lock()
		s.isSetUp = false
		s.fleet.mu.Unlock()
	}
	return err
}

// republishAll has everything published again that was in the broker. fleet.mu is held.
func (s *startQueue) republishAll() {
	for _, a := range s.fleet.attempts {
		if a.phase == waiting && a.message != nil && a.message.position > 0 {
			s.republish(a)
		}
	}
}

// noteCreated notes that the broker's store is another one: it is empty. fleet.mu is held.
func (s *startQueue) noteCreated(created time.Time) {
	if s.createdAt.Equal(created) {
		return
	}
	first := s.createdAt.IsZero()
	s.createdAt = created
	clear(s.lanes)
	if first {
		return
	}
	s.fleet.log.Warn("the broker's queue is new: what was not started yet is published again")
	s.republishAll()
}

// republish has a start published once more, if it is not about to be: however often somebody
// says that it has to be. fleet.mu is held.
func (s *startQueue) republish(a *attempt) {
	if a.message == nil {
		return
	}
	a.message = nil
	s.fleet.counters.republished.Add(1)
	s.enqueue(a)
}
