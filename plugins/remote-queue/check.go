package remotequeue

import (
	"context"
	"errors"
	"time"
)

// checkStarts looks after the starts that nobody asked for in a while.
func (s *stream) checkStarts() error {
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
	old := make(map[lane][]placedStart)
	now := s.fleet.clock.now()
	for _, a := range s.fleet.attempts {
		quiet := now - max(a.publishedAt, a.lastNamed)
		if a.phase == waiting && a.streamSeq > 0 && quiet > time.Duration(s.fleet.queueConfig.Lapse) {
			old[a.lane] = append(old[a.lane], placedStart{a.token, a.streamSeq})
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

// removeIdleLanes takes out the lanes of routes that nobody asks for. fleet.mu is held.
func (s *stream) removeIdleLanes(now time.Duration) (idle []lane) {
	busy := make(map[lane]bool)
	for _, a := range s.fleet.attempts {
		busy[a.lane] = true
	}
	used := make(map[string]bool)
	for l, last := range s.lanes {
		if l.route == anyRoute || busy[l] || now-last < routeIdle {
			used[l.route] = true
			continue
		}
		idle = append(idle, l)
		delete(s.lanes, l)
	}
	for _, l := range idle {
		if !used[l.route] {
			delete(s.fleet.routes, l.route)
		}
	}
	return idle
}

// checkLaneStarts finds the starts that left the stream without anybody asking for them:
// a worker died between accepting and asking, or the broker forgot them.
func (s *stream) checkLaneStarts(ctx context.Context, l lane, starts []placedStart) error {
	missing, err := s.fleet.broker.Missing(ctx, l, starts)
	s.fleet.mu.Lock()
	if errors.Is(err, errLaneMissing) {
		delete(s.lanes, l)
		s.fleet.mu.Unlock()
		return s.ensureLane(l)
	}
	defer s.fleet.mu.Unlock()
	for _, m := range missing {
		if a := s.fleet.attempts[m.Token]; a != nil && a.phase == waiting && a.streamSeq == m.Position {
			s.fleet.log.Warn("a start left the broker and nobody asked for it: published again", "task", a.id)
			s.republish(a)
		}
	}
	return err
}

// deleteStart takes a start out of the broker. One that is delivered before is refused
// when its worker asks.
func (s *stream) deleteStart(w withdrawal) {
	if !s.fleet.broker.Connected() || !s.fleet.owner.ownsQueue() {
		return
	}
	if err := s.fleet.broker.Withdraw(w.seq); err != nil && !s.fleet.isClosed() {
		s.fleet.log.Debug("withdraw", "error", err)
	}
}
