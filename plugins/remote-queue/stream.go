package remotequeue

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// stream is the work-queue stream as the host keeps it: it makes it, fills it, and
// looks after what is in it. What the broker loses is published again, for an
// attempt that nobody was told to start can be handed out any number of times.
type stream struct {
	f    *fleet
	kick chan struct{}
	redo chan withdrawn

	// guarded by fleet.mu
	queue   []*attempt // to be published
	lanes   map[lane]time.Duration
	refused map[lane]*refusal
	ready   bool
	era     int       // one more whenever this process takes the queue
	purged  int       // the era in which what others left was purged
	created time.Time // tells one life of the stream from the next
	// After a refusal nothing is published until then; the pause doubles.
	until time.Time
	pause time.Duration
}

// withdrawn is a start that is to be taken out of the stream.
type withdrawn struct{ seq uint64 }

const (
	ackWait    = 10 * time.Second // between delivery and acceptance, which is at once
	retryPause = 250 * time.Millisecond
	maxPause   = 5 * time.Second
	// A route that no task asked for in this time leaves the broker.
	routeIdle = 10 * time.Minute
)

func (s *stream) init(f *fleet) {
	s.f = f
	s.kick, s.redo = make(chan struct{}, 1), make(chan withdrawn, 4096)
	s.lanes, s.refused = make(map[lane]time.Duration), make(map[lane]*refusal)
}

// has says whether a lane's consumer is there. fleet.mu is held.
func (s *stream) has(l lane) bool { _, ok := s.lanes[l]; return ok }

func (s *stream) wake() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// add queues attempts for publishing. fleet.mu is held.
func (s *stream) add(a *attempt) {
	s.queue = append(s.queue, a)
	s.wake()
}

// withdraw takes a start out of the stream, if the broker gets to it: a worker that
// pulls it before is refused.
func (s *stream) withdraw(seq uint64) {
	if seq == 0 {
		return
	}
	select {
	case s.redo <- withdrawn{seq}:
	default:
	}
}

// run is the only one who publishes.
func (s *stream) run() {
	every := max(time.Duration(s.f.conf.Lapse)/2, 100*time.Millisecond)
	check := time.NewTicker(every)
	defer check.Stop()
	again := time.NewTimer(0) // set after a failure
	defer again.Stop()
	for {
		look := false
		select {
		case <-s.f.ctx.Done():
			return
		case w := <-s.redo:
			s.erase(w)
			continue
		case <-s.kick:
		case <-again.C:
		case <-check.C:
			look = true
		}
		if err := s.work(look); err != nil && !s.f.isClosed() {
			s.f.log.Debug("stream", "error", err)
			again.Reset(retryPause)
		}
	}
}

// work does what there is to do: set up, look after, publish.
func (s *stream) work(look bool) error {
	if !s.f.nc.IsConnected() {
		return nats.ErrConnectionClosed
	}
	if !s.f.owner.sure() {
		return nil // whoever has the queue next is woken then
	}
	err := s.setUp()
	if s.f.status.made(err) {
		s.f.cfg.Changed()
	}
	if err != nil {
		return err
	}
	if err := s.serveTypes(); err != nil {
		return s.failed(err)
	}
	if look {
		err = s.failed(s.check())
	}
	return errors.Join(err, s.publishQueued())
}

// failed notes that the stream may be gone.
func (s *stream) failed(err error) error {
	if noStream(err) {
		s.f.mu.Lock()
		s.ready = false
		s.f.mu.Unlock()
	}
	return err
}

// noStream says that the stream, or the whole of JetStream, is not there.
func noStream(err error) bool {
	return errors.Is(err, jetstream.ErrStreamNotFound) || errors.Is(err, nats.ErrNoResponders) || errors.Is(err, jetstream.ErrNoStreamResponse)
}

// setUp makes the stream. What it holds from an earlier owner of the queue is purged,
// once: the store hands out anew what was never started.
func (s *stream) setUp() error {
	s.f.mu.Lock()
	ready, era, purged := s.ready, s.era, s.purged
	s.f.mu.Unlock()
	if ready {
		return nil
	}
	ctx, cancel := context.WithTimeout(s.f.ctx, 5*time.Second)
	defer cancel()
	c := &s.f.conf
	st, err := s.f.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: s.f.names.stream(), Subjects: []string{s.f.names.allStarts()},
		Description: "attempts that a taskhost hands out; its store refills it",
		Retention:   jetstream.WorkQueuePolicy, Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew,
		MaxBytes: max(c.MaxBytes, 0) - boolInt(c.MaxBytes <= 0), Replicas: c.Replicas, Duplicates: 2 * time.Minute,
	})
	if err != nil {
		return fmt.Errorf("stream %s: %w", s.f.names.stream(), err)
	}
	if purged != era {
		if err := st.Purge(ctx); err != nil {
			return fmt.Errorf("purge stream %s: %w", s.f.names.stream(), err)
		}
	}
	info, err := st.Info(ctx)
	if err != nil {
		return fmt.Errorf("stream %s: %w", s.f.names.stream(), err)
	}
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	if s.era != era {
		return errors.New("the queue changed hands")
	}
	s.ready = true
	if s.purged != era {
		s.purged = era
		s.refill()
	}
	s.renewed(info.Created)
	return nil
}

// refill has everything published again that was in the stream. fleet.mu is held.
func (s *stream) refill() {
	for _, a := range s.f.attempts {
		if a.phase == waiting && a.seq > 0 {
			s.again(a)
		}
	}
}

func boolInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// renewed takes in that the stream is another one: it is empty. fleet.mu is held.
func (s *stream) renewed(created time.Time) {
	if s.created.Equal(created) {
		return
	}
	first := s.created.IsZero()
	s.created = created
	clear(s.lanes)
	if first {
		return
	}
	s.f.log.Warn("the broker's stream is new: what was not started yet is published again")
	s.refill()
}

// again has a start published once more. fleet.mu is held.
func (s *stream) again(a *attempt) {
	a.seq = 0
	a.copies++
	s.f.count.copies.Add(1)
	s.add(a)
}

// serveTypes makes the lanes that present workers can serve without being asked
// for a route.
func (s *stream) serveTypes() error {
	s.f.mu.Lock()
	var missing []lane
	for _, w := range s.f.workers {
		for _, typ := range w.types {
			if l := (lane{anyRoute, typ}); !s.has(l) {
				missing = append(missing, l)
			}
		}
	}
	s.f.mu.Unlock()
	for _, l := range missing {
		if err := s.ensure(l); err != nil && !errors.Is(err, errLane) {
			return err
		}
	}
	return nil
}

// ensure makes a lane's consumer and tells the workers that may pull from it. An
// error that is errLane concerns this lane alone.
func (s *stream) ensure(l lane) error {
	s.f.mu.Lock()
	ok, r := s.has(l), s.refused[l]
	s.f.mu.Unlock()
	if ok {
		return nil
	}
	if r != nil && time.Now().Before(r.until) {
		return errLane
	}
	ctx, cancel := context.WithTimeout(s.f.ctx, 5*time.Second)
	defer cancel()
	_, err := s.f.js.CreateOrUpdateConsumer(ctx, s.f.names.stream(), jetstream.ConsumerConfig{
		Durable: l.consumer(), FilterSubject: s.f.names.starts(l), AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: ackWait, MaxDeliver: -1, MaxAckPending: 20_000, MaxWaiting: 8192,
	})
	s.f.mu.Lock()
	defer s.f.mu.Unlock()
	if err != nil && (noStream(err) || !s.f.nc.IsConnected()) {
		return fmt.Errorf("consumer %s: %w", l.consumer(), err)
	}
	if err != nil {
		s.refuse(l, err)
		return errLane
	}
	delete(s.refused, l)
	s.lanes[l] = s.f.clock.now()
	s.f.offerAll()
	return nil
}
