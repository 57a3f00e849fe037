package fleet

import (
	"errors"
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/broker"
	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/sdk"
)

// publishQueued publishes all that is queued, and keeps what it could not: what the
// broker refuses does not hold up the rest.
func (s *startQueue) publishQueued() error {
	s.fleet.mu.Lock()
	if time.Now().Before(s.pausedUntil) {
		s.fleet.mu.Unlock()
		return nil
	}
	queue := s.toPublish
	s.toPublish = nil
	s.fleet.mu.Unlock()
	var kept []*attempt
	var err error
	for i, a := range queue {
		err = s.publish(a)
		if errors.Is(err, errLaneRefused) {
			kept, err = append(kept, a), nil
		}
		if err != nil {
			kept = append(kept, queue[i:]...)
			break
		}
	}
	s.fleet.mu.Lock()
	s.toPublish = append(kept, s.toPublish...)
	s.fleet.mu.Unlock()
	return s.noteFailure(err)
}

func (s *startQueue) publish(a *attempt) error {
	s.fleet.mu.Lock()
	gone := a.phase != waiting
	s.fleet.mu.Unlock()
	if gone {
		return nil
	}
	if err := s.ensureLane(a.lane); err != nil {
		return err
	}
	if !s.fleet.owner.ownsQueue() {
		return errQueueNotOwned
	}
	s.fleet.mu.Lock()
	if a.phase != waiting {
		s.fleet.mu.Unlock()
		return nil
	}
	if err := s.fleet.encodeStart(a); err != nil { // admitted before the broker said what it carries
		s.fleet.endAttempt(a, notCarried(err))
		s.fleet.mu.Unlock()
		return nil
	}
	a.publishedAt = s.fleet.clock.now()
	s.lanes[a.lane] = a.publishedAt
	start := a.encodedStart
	s.fleet.mu.Unlock()
	return s.fleet.broker.Publish(a.lane, start)
}

// publishConfirmed notes where the broker put a start.
func (s *startQueue) publishConfirmed(t sdk.Token, position uint64) {
	s.fleet.mu.Lock()
	defer s.fleet.mu.Unlock()
	s.pause = 0
	a := s.fleet.attempts[t]
	if a != nil {
		a.position = position
	}
	if a == nil || a.phase == ended { // taken back before the broker answered
		s.withdraw(position)
	}
}

// publishFailed tries again what the broker did not take, or did not answer to: it
// may be full or between two leaders. The attempt stays dispatched and costs nothing.
// One that it refuses again and again is given back, one that it never takes fails.
func (s *startQueue) publishFailed(t sdk.Token, err error) {
	s.fleet.mu.Lock()
	defer s.fleet.mu.Unlock()
	a := s.fleet.attempts[t]
	if errors.Is(err, broker.ErrStartTooLarge) {
		if a != nil && a.phase == waiting {
			s.fleet.endAttempt(a, notCarried(err))
		}
		return
	}
	if s.pause == 0 {
		s.fleet.log.Warn("the broker does not take what is dispatched; it is tried again", "error", err)
	}
	if now := time.Now(); now.After(s.pausedUntil) {
		s.pause = min(max(2*s.pause, retryPause), maxPause)
		s.pausedUntil = now.Add(s.pause)
		time.AfterFunc(s.pause, s.wakeLoop)
	}
	if errors.Is(err, broker.ErrStoreMissing) {
		s.isSetUp = false
	}
	if a == nil || a.phase != waiting || a.position != 0 {
		return
	}
	if errors.Is(err, broker.ErrRefused) {
		a.refusals++
	}
	if a.refusals >= 4*maxRefusals {
		s.fleet.endAttempt(a, wire.ReleasedOutcome("the broker does not take the task: "+err.Error()))
		return
	}
	s.toPublish = append(s.toPublish, a)
}
