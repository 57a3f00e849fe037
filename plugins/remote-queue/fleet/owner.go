package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/broker"
)

func (o *owner) init(f *fleet, id string) {
	lapse := time.Duration(f.queueConfig.Lapse)
	o.fleet, o.hostID, o.wakeUp = f, id, make(chan struct{}, 1)
	o.renewEvery = lapse / 2
	o.validFor = 2 * lapse
	name, err := os.Hostname()
	if err != nil {
		name = "unknown"
	}
	o.ownClaim = claim{Host: id, Process: f.process, Name: name, Lease: 3 * lapse}
}

// run keeps the claim, or waits until it may be taken.
func (o *owner) run() {
	tick := time.NewTicker(o.renewEvery)
	defer tick.Stop()
	for {
		select {
		case <-o.fleet.ctx.Done():
			return
		case <-tick.C:
		case <-o.wakeUp:
		}
		o.renewOrTake()
	}
}

// renewOrTake renews the claim, or sees whether it may be taken.
func (o *owner) renewOrTake() {
	if !o.fleet.broker.Connected() {
		return
	}
	ctx, cancel := context.WithTimeout(o.fleet.ctx, max(o.renewEvery, 2*time.Second))
	defer cancel()
	var again bool
	var err error
	for range 3 { // whoever wrote at the same time is read first
		if again, err = o.tryClaim(ctx); err != nil || !again {
			break
		}
	}
	if o.fleet.status.noteClaim(err) {
		o.fleet.cfg.Changed()
	}
}

// tryClaim is one look; again says that the claim turned out to be another one.
func (o *owner) tryClaim(ctx context.Context) (again bool, err error) {
	asked := time.Now()
	refused := error(nil)
	if o.claimed.Load() {
		if refused = o.writeClaim(ctx, o.ownClaim, o.ownRevision); refused == nil {
			o.noteConfirmed(asked)
			return false, nil
		}
	}
	there, rev, err := o.readClaim(ctx)
	switch {
	case err != nil:
		return false, errors.Join(refused, err)
	case there.Process == o.fleet.process && errors.Is(refused, broker.ErrClaimChanged):
		stale := rev <= o.ownRevision // a copy of the broker's that lags behind
		o.ownRevision = max(o.ownRevision, rev)
		return !stale, nil
	case there.Process == o.fleet.process && refused != nil && rev == o.ownRevision:
		// The broker is full, say: nobody else can write either, and whoever tries
		// asks this process before.
		o.noteConfirmed(asked)
		return false, nil
	case there.Process == o.fleet.process: // its first write was not answered
		o.ownClaim = there
		o.ownRevision = rev
		o.claimed.Store(true)
		return true, nil
	case o.claimed.Load() && rev > 0:
		o.loseQueue(there)
	}
	o.noteOtherClaim(there, rev, asked)
	if !o.claimed.Load() && !o.mayTake(ctx, there, rev) {
		o.noteNotOwner()
		return false, nil
	}
	return o.takeQueue(ctx, there, rev, asked)
}

// writeClaim replaces the claim of that revision; 0 is none.
func (o *owner) writeClaim(ctx context.Context, c claim, rev uint64) error {
	data, err := json.Marshal(c)
	if err != nil {
		return err
	}
	now, err := o.fleet.broker.WriteClaim(ctx, data, rev)
	if err != nil {
		return err
	}
	o.ownRevision = now
	return nil
}

// readClaim is the claim as it stands; revision 0 if there is none.
func (o *owner) readClaim(ctx context.Context) (c claim, rev uint64, err error) {
	data, rev, err := o.fleet.broker.ReadClaim(ctx)
	if err != nil || rev == 0 {
		return c, 0, err
	}
	if err := json.Unmarshal(data, &c); err != nil || c.Process == "" {
		return claim{Name: "unknown", Process: "?", Lease: o.ownClaim.Lease}, rev, nil
	}
	return c, rev, nil
}

// noteOtherClaim notes when another's claim was last seen to be renewed. Only time counts
// in which the broker answered, and that once it is gone nobody renews.
func (o *owner) noteOtherClaim(c claim, rev uint64, now time.Time) {
	if !o.lastLook.IsZero() {
		o.clock.tick(now.Sub(o.lastLook), o.renewEvery, true)
	}
	o.lastLook = now
	if rev == 0 || rev == o.otherRevision && c.Process == o.otherClaim.Process {
		return
	}
	if c.Process == o.otherClaim.Process {
		o.liveRival = c.Process
	}
	o.otherClaim, o.otherRevision, o.otherRenewedAt, o.otherRenewedTime = c, rev, o.clock.now(), now
}

// noteNotOwner notes that the queue is another's.
func (o *owner) noteNotOwner() {
	if o.fleet.status.noteOwner(&o.otherClaim, o.otherClaim.Host == o.hostID, o.otherRenewedTime) {
		o.fleet.log.Error("the queue belongs to another host: nothing runs here", "queue", o.fleet.queueConfig.Queue, "host", o.otherClaim.Name)
		o.fleet.cfg.Changed()
	}
	if o.clock.now() > time.Duration(o.fleet.queueConfig.Rejoin) {
		o.fleet.mu.Lock()
		defer o.fleet.mu.Unlock()
		o.fleet.endRunningAsLost(o.otherClaim)
	}
}

// mayTake says whether the queue may be taken: nobody has it, its owner did not renew
// its claim for the lease, or the owner is an earlier process of this host. An owner
// that answers keeps it.
func (o *owner) mayTake(ctx context.Context, c claim, rev uint64) bool {
	if rev == 0 { // or a broker that lost all it kept, whose owner is on its way
		c = o.otherClaim
		if c.Process == "" {
			return true
		}
	}
	lapsed := o.clock.now()-o.otherRenewedAt > c.Lease
	restarted := c.Host == o.hostID && c.Process != o.liveRival
	if !lapsed && !restarted {
		return false
	}
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	err := o.fleet.broker.AskAlive(ctx, c.Process)
	switch {
	case err == nil:
		o.liveRival = c.Process
		return false
	case errors.Is(err, broker.ErrNobody):
		return true
	}
	return lapsed
}

// takeQueue writes the claim of this process in place of another. Somebody else may be
// faster: the broker decides.
func (o *owner) takeQueue(ctx context.Context, last claim, rev uint64, asked time.Time) (again bool, err error) {
	c := o.ownClaim
	if !o.claimed.Load() {
		c.Generation = max(last.Generation, o.otherClaim.Generation, c.Generation) + 1
	}
	err = o.writeClaim(ctx, c, rev)
	if errors.Is(err, broker.ErrClaimChanged) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	o.ownClaim = c
	if !o.claimed.Swap(true) {
		o.fleet.log.Debug("the queue is this host's", "queue", o.fleet.queueConfig.Queue, "generation", c.Generation)
		o.otherClaim = claim{}
		o.otherRevision = 0
		o.fleet.noteQueueTaken()
	}
	o.noteConfirmed(asked)
	return false, nil
}

// noteConfirmed notes that the queue was this process's when the broker was asked.
func (o *owner) noteConfirmed(asked time.Time) {
	was := o.ownsQueue()
	o.confirmedAt.Store(&asked)
	changed := o.fleet.status.noteOwner(nil, false, time.Time{})
	if !was {
		o.fleet.starts.wakeLoop()
	}
	if changed || !was {
		o.fleet.cfg.Changed()
	}
}

// loseQueue lets go of the queue, which another has.
func (o *owner) loseQueue(to claim) {
	o.invalidate()
	o.claimed.Store(false)
	o.fleet.noteQueueLost(to)
}

// noteQueueTaken begins anew with the queue: what it holds is of an earlier owner.
func (f *fleet) noteQueueTaken() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.starts.isSetUp = false
	f.starts.ownership++
}

// noteQueueLost ends what another host's workers do: the new owner tells them to stop,
// and nobody tells this one how it ends. What was not begun waits.
func (f *fleet) noteQueueLost(to claim) {
	f.log.Error("the queue was taken by another host: what runs is lost to this one", "queue", f.queueConfig.Queue, "host", to.Name)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.endRunningAsLost(to)
	clear(f.workers)
	clear(f.starts.lanes)
	f.starts.isSetUp = false
}
