package fleet

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/broker"
	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
)

const (
	// maxRefusals is how often a start or its lane may be refused before the attempt
	// is given back: it costs nothing, and says why. maxRefusalWait is the longest that a
	// refused lane is left alone.
	maxRefusals    = 5
	maxRefusalWait = time.Minute
	// laneTimeout is how long the broker may take to make a lane, in which it makes no other.
	laneTimeout = 5 * time.Second
	// retryPause is the first pause after a failure, and maxPause the longest.
	retryPause = 250 * time.Millisecond
	maxPause   = 5 * time.Second
	// laneIdle is after what time a lane is made again before something is published there: the
	// broker may have removed one from which nobody took anything.
	laneIdle = time.Hour
	// routeIdle is how long a route stays in the broker that no task asks for.
	routeIdle = 10 * time.Minute
)

// ensureLane makes a lane's consumer and tells the workers that may pull from it. An
// error that is errLane concerns this lane alone.
func (s *startQueue) ensureLane(l wire.Lane) error {
	s.fleet.mu.Lock()
	last, ok := s.lanes[l]
	r := s.refusedLanes[l]
	s.fleet.mu.Unlock()
	if ok && s.fleet.clock.now()-last < laneIdle {
		return nil
	}
	if r != nil && time.Now().Before(r.retryAfter) {
		return errLaneRefused
	}
	ctx, cancel := context.WithTimeout(s.fleet.ctx, laneTimeout)
	defer cancel()
	err := s.fleet.broker.MakeLane(ctx, l)
	s.fleet.mu.Lock()
	defer s.fleet.mu.Unlock()
	if err != nil && (errors.Is(err, broker.ErrStoreMissing) || !s.fleet.broker.Connected()) {
		return err
	}
	if err != nil {
		s.refuseLane(l, err)
		return errLaneRefused
	}
	delete(s.refusedLanes, l)
	s.lanes[l] = s.fleet.clock.now()
	s.fleet.sendChangedOffers()
	return nil
}

// ensureServedTypes makes the lanes that present workers can serve without being asked
// for a route.
func (s *startQueue) ensureServedTypes() error {
	s.fleet.mu.Lock()
	var missing []wire.Lane
	for _, w := range s.fleet.workers {
		for _, typ := range w.types {
			if l := (wire.Lane{Route: wire.AnyRoute, Type: typ}); !s.hasLane(l) {
				missing = append(missing, l)
			}
		}
	}
	s.fleet.mu.Unlock()
	for _, l := range missing {
		if err := s.ensureLane(l); err != nil && !errors.Is(err, errLaneRefused) {
			return err
		}
	}
	return nil
}

// removeIdleLanes takes out the lanes of routes that nobody asks for. fleet.mu is held.
func (s *startQueue) removeIdleLanes(now time.Duration) (idle []wire.Lane) {
	busy := make(map[wire.Lane]bool)
	for _, a := range s.fleet.attempts {
		busy[a.lane] = true
	}
	used := make(map[string]bool)
	for l, last := range s.lanes {
		if l.Route == wire.AnyRoute || busy[l] || now-last < routeIdle {
			used[l.Route] = true
			continue
		}
		idle = append(idle, l)
		delete(s.lanes, l)
	}
	for _, l := range idle {
		if !used[l.Route] {
			delete(s.fleet.routes, l.Route)
		}
	}
	return idle
}

// noteReconnected has the store looked at, which may be another one, and lanes tried again to
// which the broker did not answer: it was about to be away.
func (s *startQueue) noteReconnected() {
	s.fleet.mu.Lock()
	maps.DeleteFunc(s.refusedLanes, func(_ wire.Lane, r *laneRefusal) bool { return r.unanswered })
	s.fleet.mu.Unlock()
	s.reconnected.Store(true)
	s.wakeLoop()
}

// refuseLane sets a lane aside for a while, and gives back what waits in it once that is
// no exception any more. A broker that does not answer, as one does that denies it or is about
// to be away, holds up all others with each try: the lane is left alone for as long, and for
// longer each time. fleet.mu is held.
func (s *startQueue) refuseLane(l wire.Lane, err error) {
	r := s.refusedLanes[l]
	if r == nil {
		r = &laneRefusal{}
		s.refusedLanes[l] = r
		s.fleet.log.Warn("the broker refuses a lane; it is tried again", "type", l.Type, "route", l.Route, "error", err)
	}
	r.tries++
	wait := retryPause << min(r.tries, 10)
	if r.unanswered = errors.Is(err, context.DeadlineExceeded); r.unanswered {
		wait = laneTimeout << min(r.tries-1, 10)
	}
	wait = min(wait, maxRefusalWait)
	r.retryAfter = time.Now().Add(wait)
	time.AfterFunc(wait, s.wakeLoop)
	if r.tries < maxRefusals {
		return
	}
	for _, a := range s.fleet.attempts {
		if a.lane == l && a.phase == waiting {
			s.fleet.withdrawAttempt(a, fmt.Sprintf("the broker refuses to make the queue of type %q for this route: %s", l.Type, err))
		}
	}
}
