package fleet

import (
	"context"
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/broker"
	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
)

// checkStarts looks after the starts that nobody asked for in a while.
func (s *startQueue) checkStarts() error {
	ctx, cancel := context.WithTimeout(s.fleet.ctx, 10*time.Second)
	defer cancel()
	created, err := s.fleet.broker.Created(ctx)
	if err != nil {
		return err
	}
	s.fleet.mu.Lock()
	if !s.createdAt.Equal(created) {
		s.noteCreated(created)
		s.fleet.mu.Unlock()
		return nil
	}
	old := make(map[wire.Lane]map[broker.PlacedStart]*startMessage)
	now := s.fleet.clock.now()
	for _, a := range s.fleet.attempts {
		if !s.isQuiet(a, now) {
			continue
		}
		if old[a.lane] == nil {
			old[a.lane] = make(map[broker.PlacedStart]*startMessage)
		}
		old[a.lane][a.message.placed()] = a.message
	}
	idle := s.removeIdleLanes(now)
	s.fleet.mu.Unlock()
	for _, l := range idle {
		if err := s.fleet.broker.DeleteLane(ctx, l); err != nil {
			return err
		}
	}
	for l, messages := range old {
		if err := s.checkLaneStarts(ctx, l, messages); err != nil && !errors.Is(err, errLaneRefused) {
			return err
		}
	}
	return nil
}

// isQuiet says that a start is in the broker, as far as is known, and that nobody spoke of it
// for the lapse. fleet.mu is held.
func (s *startQueue) isQuiet(a *attempt, now time.Duration) bool {
	return a.phase == waiting && a.message != nil && a.message.position > 0 && now-max(a.publishedAt, a.lastNamed) > time.Duration(s.fleet.queueConfig.Lapse)
}

// checkLaneStarts finds the starts that left the broker without anybody asking for them:
// a worker died between accepting and asking, or the broker forgot them.
func (s *startQueue) checkLaneStarts(ctx context.Context, l wire.Lane, messages map[broker.PlacedStart]*startMessage) error {
	missing, err := s.fleet.broker.Missing(ctx, l, slices.Collect(maps.Keys(messages)))
	s.fleet.mu.Lock()
	if errors.Is(err, broker.ErrLaneMissing) {
		delete(s.lanes, l)
		s.fleet.mu.Unlock()
		return s.ensureLane(l)
	}
	defer s.fleet.mu.Unlock()
	now := s.fleet.clock.now()
	for _, placed := range missing {
		for _, a := range messages[placed].attempts {
			if a.message == messages[placed] && s.isQuiet(a, now) {
				s.fleet.log.Warn("a start left the broker and nobody asked for it: published again", "task", a.id)
				s.republish(a)
			}
		}
	}
	return err
}

// deleteStart takes a start out of the broker. One that is delivered before is refused
// when its worker asks.
func (s *startQueue) deleteStart(position uint64) {
	if !s.fleet.broker.Connected() || !s.fleet.owner.ownsQueue() {
		return
	}
	if err := s.fleet.broker.Withdraw(position); err != nil && !s.fleet.isClosed() {
		s.fleet.log.Debug("withdraw", "error", err)
	}
}
