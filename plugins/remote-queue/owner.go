package remotequeue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// claim is who serves a queue, as it stands in the broker.
type claim struct {
	Host       string        `json:"host"`       // the id that a host keeps in its data directory
	Process    string        `json:"process"`    // of the host, at random
	Name       string        `json:"name"`       // of the machine, for people
	Generation uint64        `json:"generation"` // one more with each process that takes the queue
	Lease      time.Duration `json:"lease"`      // unrenewed for so long, the queue may be taken
}

var errNotOurs = errors.New("the queue is not surely this host's")

// claimKey is the only key in a queue's bucket.
const claimKey = "owner"

// owner sees to it that one process of one host serves the queue. The claim in the
// broker is written by compare-and-set alone, and each renewal is one: whoever took
// the queue in between is noticed by the renewal that fails. For a while after a
// renewal the queue is surely this process's; without one it is nobody's that this
// process could tell, and it neither hears, answers nor publishes anything.
type owner struct {
	f  *fleet
	id string // of this host

	every time.Duration // between renewals
	hold  time.Duration // a renewal is good for so long; others wait longer
	kick  chan struct{}

	confirmed atomic.Pointer[time.Time] // when the last good renewal was asked for; nil if none is good
	held      atomic.Bool               // the claim is this process's, as far as it knows

	// What follows belongs to run.
	kv   jetstream.KeyValue // nil before it was found
	mine claim
	rev  uint64 // of mine
	// seen is the last claim of another, as it was at seenRev, first read at seenAt.
	// The clock counts the time in which the broker could be asked.
	seen     claim
	seenRev  uint64
	seenAt   time.Duration
	seenTime time.Time
	rival    string // a process that lives beside this one, whatever its host's id
	clock    clock
	lastLook time.Time
}

func (o *owner) init(f *fleet, id string) {
	lapse := time.Duration(f.conf.Lapse)
	o.f, o.id, o.kick = f, id, make(chan struct{}, 1)
	o.every, o.hold = lapse/2, 2*lapse
	name, err := os.Hostname()
	if err != nil {
		name = "unknown"
	}
	o.mine = claim{Host: id, Process: f.self, Name: name, Lease: 3 * lapse}
}

// sure says that the queue is this process's. The wall clock counts too, for the
// monotonic one stands still while the machine sleeps.
func (o *owner) sure() bool {
	at := o.confirmed.Load()
	if at == nil {
		return false
	}
	now := time.Now()
	return now.Sub(*at) < o.hold && now.Round(0).Sub(at.Round(0)) < o.hold
}

// doubt takes back that the queue is this process's until the broker says so again.
func (o *owner) doubt() { o.confirmed.Store(nil) }

// run keeps the claim, or waits until it may be taken.
func (o *owner) run() {
	tick := time.NewTicker(o.every)
	defer tick.Stop()
	for {
		select {
		case <-o.f.ctx.Done():
			return
		case <-tick.C:
		case <-o.kick:
		}
		o.look()
	}
}

// look renews the claim, or sees whether it may be taken.
func (o *owner) look() {
	if !o.f.nc.IsConnected() {
		return
	}
	ctx, cancel := context.WithTimeout(o.f.ctx, max(o.every, 2*time.Second))
	defer cancel()
	var again bool
	var err error
	for range 3 { // whoever wrote at the same time is read first
		if again, err = o.try(ctx); err != nil || !again {
			break
		}
	}
	if err != nil {
		o.kv = nil // it may be gone, with all that the broker kept
	}
	if o.f.status.claimed(err) {
		o.f.cfg.Changed()
	}
}

// try is one look; again says that the claim turned out to be another one.
func (o *owner) try(ctx context.Context) (again bool, err error) {
	if err := o.find(ctx); err != nil {
		return false, err
	}
	asked := time.Now()
	refused := error(nil)
	if o.held.Load() {
		if refused = o.write(ctx, o.mine, o.rev); refused == nil {
			o.confirm(asked)
			return false, nil
		}
	}
	there, rev, err := o.read(ctx)
	switch {
	case err != nil:
		return false, errors.Join(refused, err)
	case there.Process == o.f.self && errors.Is(refused, jetstream.ErrKeyRevisionMismatch):
		stale := rev <= o.rev // a copy of the broker's that lags behind
		o.rev = max(o.rev, rev)
		return !stale, nil
	case there.Process == o.f.self && refused != nil && rev == o.rev:
		// The broker is full, say: nobody else can write either, and whoever tries
		// asks this process before.
		o.confirm(asked)
		return false, nil
	case there.Process == o.f.self: // its first write was not answered
		o.mine, o.rev = there, rev
		o.held.Store(true)
		return true, nil
	case o.held.Load() && rev > 0:
		o.lose(there)
	}
	o.observe(there, rev, asked)
	if !o.held.Load() && !o.free(ctx, there, rev) {
		o.stay()
		return false, nil
	}
	return o.take(ctx, there, rev, asked)
}

// find opens the bucket, and makes it where it is not there.
func (o *owner) find(ctx context.Context) (err error) {
	if o.kv != nil {
		return nil
	}
	bucket := o.f.names.stream()
	o.kv, err = o.f.js.KeyValue(ctx, bucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		// It has room of its own, so that it can be written when the starts fill theirs.
		o.kv, err = o.f.js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: bucket, Description: "which host serves a taskhost queue",
			MaxBytes: 1 << 20, Replicas: o.f.conf.Replicas})
	}
	if err != nil {
		o.kv = nil
		return fmt.Errorf("bucket %s: %w", bucket, err)
	}
	return nil
}

// write replaces the claim of that revision; 0 is none.
func (o *owner) write(ctx context.Context, c claim, rev uint64) error {
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	now, err := o.kv.Update(ctx, claimKey, data, rev)
	if err != nil {
		return fmt.Errorf("claim the queue: %w", err)
	}
	o.rev = now
	return nil
}

// read is the claim as it stands; revision 0 if there is none.
func (o *owner) read(ctx context.Context) (c claim, rev uint64, err error) {
	e, err := o.kv.Get(ctx, claimKey)
	if errors.Is(err, jetstream.ErrKeyNotFound) {
		return c, 0, nil
	}
	if err != nil {
		return c, 0, fmt.Errorf("read who serves the queue: %w", err)
	}
	if err := json.Unmarshal(e.Value(), &c); err != nil || c.Process == "" {
		return claim{Name: "unknown", Process: "?", Lease: o.mine.Lease}, e.Revision(), nil
	}
	return c, e.Revision(), nil
}

// observe notes when another's claim was last seen to be renewed. Only time counts
// in which the broker answered, and that once it is gone nobody renews.
func (o *owner) observe(c claim, rev uint64, now time.Time) {
	if !o.lastLook.IsZero() {
		o.clock.tick(now.Sub(o.lastLook), o.every, true)
	}
	o.lastLook = now
	if rev == 0 || rev == o.seenRev && c.Process == o.seen.Process {
		return
	}
	if c.Process == o.seen.Process {
		o.rival = c.Process
	}
	o.seen, o.seenRev, o.seenAt, o.seenTime = c, rev, o.clock.now(), now
}

// stay notes that the queue is another's.
func (o *owner) stay() {
	if o.f.status.belongs(&o.seen, o.seen.Host == o.id, o.seenTime) {
		o.f.log.Error("the queue belongs to another host: nothing runs here", "queue", o.f.names.queue, "host", o.seen.Name)
		o.f.cfg.Changed()
	}
	if o.clock.now() > time.Duration(o.f.conf.Rejoin) {
		o.f.mu.Lock()
		defer o.f.mu.Unlock()
		o.f.loseRunning(o.seen)
	}
}

// free says whether the queue may be taken: nobody has it, its owner did not renew
// its claim for the lease, or the owner is an earlier process of this host. An owner
// that answers keeps it.
func (o *owner) free(ctx context.Context, c claim, rev uint64) bool {
	if rev == 0 { // or a broker that lost all it kept, whose owner is on its way
		c = o.seen
		if c.Process == "" {
			return true
		}
	}
	lapsed := o.clock.now()-o.seenAt > c.Lease
	restarted := c.Host == o.id && c.Process != o.rival
	if !lapsed && !restarted {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	_, err := o.f.nc.RequestWithContext(ctx, o.f.names.claim(c.Process), nil)
	switch {
	case err == nil:
		o.rival = c.Process
		return false
	case errors.Is(err, nats.ErrNoResponders):
		return true
	}
	return lapsed
}

// take writes the claim of this process in place of another. Somebody else may be
// faster: the broker decides.
func (o *owner) take(ctx context.Context, last claim, rev uint64, asked time.Time) (again bool, err error) {
	c := o.mine
	if !o.held.Load() {
		c.Generation = max(last.Generation, o.seen.Generation, c.Generation) + 1
	}
	err = o.write(ctx, c, rev)
	if errors.Is(err, jetstream.ErrKeyRevisionMismatch) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	o.mine = c
	if !o.held.Swap(true) {
		o.f.log.Debug("the queue is this host's", "queue", o.f.names.queue, "generation", c.Generation)
		o.seen, o.seenRev = claim{}, 0
		o.f.queueTaken()
	}
	o.confirm(asked)
	return false, nil
}

// confirm notes that the queue was this process's when the broker was asked.
func (o *owner) confirm(asked time.Time) {
	was := o.sure()
	o.confirmed.Store(&asked)
	changed := o.f.status.belongs(nil, false, time.Time{})
	if !was {
		o.f.stream.wake()
	}
	if changed || !was {
		o.f.cfg.Changed()
	}
}

// lose lets go of the queue, which another has.
func (o *owner) lose(to claim) {
	o.doubt()
	o.held.Store(false)
	o.f.queueLost(to)
}

// answer tells others that this process lives.
func (o *owner) answer(m *nats.Msg) {
	if o.held.Load() {
		_ = m.Respond(nil) // unheard, it is asked again
	}
}

// queueTaken begins anew with the queue: what it holds is of an earlier owner.
func (f *fleet) queueTaken() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stream.ready = false
	f.stream.era++
}

// queueLost ends what another host's workers do: the new owner tells them to stop,
// and nobody tells this one how it ends. What was not begun waits.
func (f *fleet) queueLost(to claim) {
	f.log.Error("the queue was taken by another host: what runs is lost to this one", "queue", f.names.queue, "host", to.Name)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.loseRunning(to)
	clear(f.workers)
	clear(f.stream.lanes)
	f.stream.ready = false
}

// loseRunning ends what workers run, of which nothing more will be heard. f.mu is held.
func (f *fleet) loseRunning(to claim) {
	for _, a := range f.attempts {
		if a.phase == running {
			f.finish(a, lost(fmt.Sprintf("queue %q belongs to host %q now: nobody tells this one how the attempt ends", f.names.queue, to.Name)))
		}
	}
}
