package fleet

import (
	"errors"
	"slices"
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
	for _, list := range byLane(queue) {
		left := list
		if err == nil {
			left, err = s.publishLane(list)
		}
		if errors.Is(err, errLaneRefused) {
			err = nil
		}
		kept = append(kept, left...)
	}
	s.fleet.mu.Lock()
	s.toPublish = append(kept, s.toPublish...)
	s.fleet.mu.Unlock()
	return s.noteFailure(err)
}

// byLane divides attempts by their lanes. In each they stay in their order.
func byLane(queue []*attempt) (lists [][]*attempt) {
	at := make(map[wire.Lane]int)
	for _, a := range queue {
		i, ok := at[a.lane]
		if !ok {
			i = len(lists)
			at[a.lane] = i
			lists = append(lists, nil)
		}
		lists[i] = append(lists[i], a)
	}
	return lists
}

// publishLane publishes attempts of one lane. Left are those that it did not come to.
func (s *startQueue) publishLane(list []*attempt) (left []*attempt, err error) {
	l := list[0].lane
	if err := s.ensureLane(l); err != nil {
		return list, err
	}
	s.fleet.mu.Lock()
	most := s.startsPerMessage(l, len(list))
	s.fleet.mu.Unlock()
	for len(list) > 0 {
		if !s.fleet.owner.ownsQueue() {
			return list, errQueueNotOwned
		}
		s.fleet.mu.Lock()
		m, body, took := s.nextMessage(list, most)
		s.lanes[l] = s.fleet.clock.now()
		s.fleet.mu.Unlock()
		if m != nil {
			if err := s.fleet.broker.Publish(l, body); err != nil {
				s.fleet.mu.Lock()
				s.unconfirmed[m.token] = slices.DeleteFunc(s.unconfirmed[m.token], func(n *startMessage) bool { return n == m })
				m.takeBack()
				s.fleet.mu.Unlock()
				return list, err
			}
		}
		list = list[took:]
	}
	return nil, nil
}

// publishConfirmed notes where the broker put a message.
func (s *startQueue) publishConfirmed(t sdk.Token, position uint64) {
	s.fleet.mu.Lock()
	defer s.fleet.mu.Unlock()
	s.pause = 0
	if m := s.answered(t); m != nil {
		m.position = position
		s.deleteMessage(m) // if all of it was taken back before the broker answered
	}
}

// publishFailed tries again what the broker did not take, or did not answer to: it
// may be full or between two leaders. The attempt stays dispatched and costs nothing.
// One that it refuses again and again is given back, one that it never takes fails.
func (s *startQueue) publishFailed(t sdk.Token, err error) {
	s.fleet.mu.Lock()
	defer s.fleet.mu.Unlock()
	m := s.answered(t)
	if m == nil {
		return
	}
	waits := m.takeBack()
	if errors.Is(err, broker.ErrStartTooLarge) {
		s.handleTooLarge(waits, len(m.attempts) > 1, err)
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
	for _, a := range waits {
		if errors.Is(err, broker.ErrRefused) {
			a.refusals++
		}
		if a.refusals >= 4*maxRefusals {
			s.fleet.endAttempt(a, wire.ReleasedOutcome("the broker does not take the task: "+err.Error()))
			continue
		}
		s.toPublish = append(s.toPublish, a)
	}
}

// handleTooLarge is a message that the broker never takes: of several starts each is tried
// alone, and one that was alone fails. fleet.mu is held.
func (s *startQueue) handleTooLarge(waits []*attempt, joined bool, err error) {
	for _, a := range waits {
		if !joined {
			s.fleet.endAttempt(a, notCarried(err))
			continue
		}
		a.alone = true
		s.enqueue(a)
	}
	if joined {
		s.joinedBytes = max(s.joinedBytes/2, 1<<10)
	}
}
