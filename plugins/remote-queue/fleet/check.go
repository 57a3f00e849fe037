package fleet

import (
	"context"
	"errors"
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
	old := make(map[wire.Lane][]broker.PlacedStart)
	now := s.fleet.clock.now()
	for _, a := range s.fleet.attempts {
		quiet := now - max(a.publishedAt, a.lastNamed)
		if a.phase == waiting && a.position > 0 && quiet > time.Duration(s.fleet.queueConfig.Lapse) {
			old[a.lane] = append(old[a.lane], broker.PlacedStart{Token: a.token, Position: a.position})
		}
	}
	idle := s.removeIdleLanes(now)
	s.fleet.mu.Unlock()
	for _, l := range idle {
		if err := s.fleet.broker.DeleteLane(ctx, l); err != nil {
			return err
		}
	}
	for l, list := range old {
		if err := s.checkLaneStarts(ctx, l, list); err != nil && !errors.Is(err, errLaneRefused) {
			return err
		}
	}
	return nil
}

// checkLaneStarts finds the starts that left the broker without anybody asking for them:
// a worker died between accepting and asking, or the broker forgot them.
func (s *startQueue) checkLaneStarts(ctx context.Context, l wire.Lane, starts []broker.PlacedStart) error {
	missing, err := s.fleet.broker.Missing(ctx, l, starts)
	s.fleet.mu.Lock()
	if errors.Is(err, broker.ErrLaneMissing) {
		delete(s.lanes, l)
		s.fleet.mu.Unlock()
		return s.ensureLane(l)
	}
	defer s.fleet.mu.Unlock()
	for _, m := range missing {
		if a := s.fleet.attempts[m.Token]; a != nil && a.phase == waiting && a.position == m.Position {
			s.fleet.log.Warn("a start left the broker and nobody asked for it: published again", "task", a.id)
			s.republish(a)
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
