package fleet

import (
	"context"
	"errors"
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/broker"
	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
)

// startQueue is the work-queue stream as the host keeps it: it makes it, fills it, and
// looks after what is in it. What the broker loses is published again, for an
// attempt that nobody was told to start can be handed out any number of times.
type startQueue struct {
	fleet       *fleet
	wakeUp      chan struct{}
	withdrawals chan uint64

	// guarded by fleet.mu
	toPublish    []*attempt
	lanes        map[wire.Lane]time.Duration
	refusedLanes map[wire.Lane]*laneRefusal
	isSetUp      bool
	ownership    int       // one more whenever this process takes the queue
	purgedFor    int       // the ownership for which what others left was purged
	createdAt    time.Time // tells one life of the stream from the next
	// After a refusal nothing is published until then; the pause doubles.
	pausedUntil time.Time
	pause       time.Duration
}

const (
	retryPause = 250 * time.Millisecond
	maxPause   = 5 * time.Second
	// A route that no task asked for in this time leaves the broker.
	routeIdle = 10 * time.Minute
)

func (s *startQueue) init(f *fleet) {
	s.fleet = f
	s.wakeUp, s.withdrawals = make(chan struct{}, 1), make(chan uint64, 4096)
	s.lanes, s.refusedLanes = make(map[wire.Lane]time.Duration), make(map[wire.Lane]*laneRefusal)
}

// hasLane says whether a lane's consumer is there. fleet.mu is held.
func (s *startQueue) hasLane(l wire.Lane) bool { _, ok := s.lanes[l]; return ok }

// wakeLoop has run look at once.
func (s *startQueue) wakeLoop() { wire.Wake(s.wakeUp) }

// enqueue queues attempts for publishing. fleet.mu is held.
func (s *startQueue) enqueue(a *attempt) {
	s.toPublish = append(s.toPublish, a)
	s.wakeLoop()
}

// withdraw takes a start out of the stream, if the broker gets to it: a worker that
// pulls it before is refused.
func (s *startQueue) withdraw(seq uint64) {
	if seq == 0 {
		return
	}
	select {
	case s.withdrawals <- seq:
	default:
	}
}

// run is the only one who publishes.
func (s *startQueue) run() {
	every := max(time.Duration(s.fleet.queueConfig.Lapse)/2, 100*time.Millisecond)
	check := time.NewTicker(every)
	defer check.Stop()
	again := time.NewTimer(0) // set after a failure
	defer again.Stop()
	for {
		look := false
		select {
		case <-s.fleet.ctx.Done():
			return
		case position := <-s.withdrawals:
			s.deleteStart(position)
			continue
		case <-s.wakeUp:
		case <-again.C:
		case <-check.C:
			look = true
		}
		if err := s.maintain(look); err != nil && !s.fleet.isClosed() {
			s.fleet.log.Debug("stream", "error", err)
			again.Reset(retryPause)
		}
	}
}

// maintain does what there is to do: set up, look after, publish.
func (s *startQueue) maintain(look bool) error {
	if !s.fleet.broker.Connected() {
		return errBrokerAway
	}
	if !s.fleet.owner.ownsQueue() {
		return nil // whoever has the queue next is woken then
	}
	err := s.setUp()
	if s.fleet.status.noteSetUp(err) {
		s.fleet.cfg.Changed()
	}
	if err != nil {
		return err
	}
	if err := s.ensureServedTypes(); err != nil {
		return s.noteFailure(err)
	}
	if look {
		err = s.noteFailure(s.checkStarts())
	}
	return errors.Join(err, s.publishQueued())
}

// noteFailure notes that the stream may be gone.
func (s *startQueue) noteFailure(err error) error {
	if errors.Is(err, broker.ErrStoreMissing) {
		s.fleet.mu.Lock()
		s.isSetUp = false
		s.fleet.mu.Unlock()
	}
	return err
}

// setUp makes the stream. What it holds from an earlier owner of the queue is purged,
// once: the store hands out anew what was never started.
func (s *startQueue) setUp() error {
	s.fleet.mu.Lock()
	ready, era, purged := s.isSetUp, s.ownership, s.purgedFor
	s.fleet.mu.Unlock()
	if ready {
		return nil
	}
	ctx, cancel := context.WithTimeout(s.fleet.ctx, 5*time.Second)
	defer cancel()
	created, err := s.fleet.broker.SetUp(ctx, purged != era)
	if err != nil {
		return err
	}
	s.fleet.mu.Lock()
	defer s.fleet.mu.Unlock()
	if s.ownership != era {
		return errors.New("the queue changed hands")
	}
	s.isSetUp = true
	if s.purgedFor != era {
		s.purgedFor = era
		s.republishAll()
	}
	s.noteCreated(created)
	return nil
}

// republishAll has everything published again that was in the stream. fleet.mu is held.
func (s *startQueue) republishAll() {
	for _, a := range s.fleet.attempts {
		if a.phase == waiting && a.position > 0 {
			s.republish(a)
		}
	}
}

// noteCreated takes in that the stream is another one: it is empty. fleet.mu is held.
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
	s.fleet.log.Warn("the broker's stream is new: what was not started yet is published again")
	s.republishAll()
}

// republish has a start published once more. fleet.mu is held.
func (s *startQueue) republish(a *attempt) {
	a.position = 0
	a.republished++
	s.fleet.counters.republished.Add(1)
	s.enqueue(a)
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

// ensureLane makes a lane's consumer and tells the workers that may pull from it. An
// error that is errLane concerns this lane alone.
func (s *startQueue) ensureLane(l wire.Lane) error {
	s.fleet.mu.Lock()
	ok, r := s.hasLane(l), s.refusedLanes[l]
	s.fleet.mu.Unlock()
	if ok {
		return nil
	}
	if r != nil && time.Now().Before(r.retryAfter) {
		return errLaneRefused
	}
	ctx, cancel := context.WithTimeout(s.fleet.ctx, 5*time.Second)
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
