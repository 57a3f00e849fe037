package fleet

import (
	"context"
	"errors"
	"runtime"
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/sdk"
)

func (s *startQueue) init(f *fleet) {
	s.fleet = f
	s.wakeUp, s.withdrawals = make(chan struct{}, 1), make(chan uint64, 4096)
	s.lanes, s.refusedLanes = make(map[wire.Lane]time.Duration), make(map[wire.Lane]*laneRefusal)
	s.unconfirmed, s.joinedBytes = make(map[sdk.Token][]*startMessage), maxJoined
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
			runtime.Gosched() // whoever else has a start to publish now has it in the same message
		case <-again.C:
		case <-check.C:
			look = true
		}
		if err := s.maintain(look); err != nil && !s.fleet.isClosed() {
			s.fleet.log.Debug("starts", "error", err)
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
	if reconnected := s.reconnected.Swap(false); look || reconnected {
		if err = s.noteFailure(s.checkStarts()); err != nil && reconnected {
			s.reconnected.Store(true)
		}
	}
	return errors.Join(err, s.publishQueued())
}

// setUp makes the broker's store of starts. What it holds from an earlier owner of the queue is purged,
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
