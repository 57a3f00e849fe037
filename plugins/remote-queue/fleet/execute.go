package fleet

import (
	"context"
	"errors"
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/sdk"
)

// ExecuteAsync hands t to a worker. done is called with f.mu held, mostly.
func (f *fleet) ExecuteAsync(ctx context.Context, t sdk.Task, r sdk.Reporter, done func(sdk.Result, error)) {
	f.runAttempt(ctx, wire.ActionExecute, &t, r, done)
}

// Execute hands t to a worker and waits for its outcome.
func (f *fleet) Execute(ctx context.Context, t sdk.Task, r sdk.Reporter) (sdk.Result, error) {
	return sdk.Await(func(done func(sdk.Result, error)) { f.runAttempt(ctx, wire.ActionExecute, &t, r, done) })
}

// Revert has a worker undo t: perhaps not the one that did it.
func (f *fleet) Revert(ctx context.Context, t sdk.Task, r sdk.Reporter) error {
	_, err := sdk.Await(func(done func(sdk.Result, error)) { f.runAttempt(ctx, wire.ActionRevert, &t, r, done) })
	return err
}

// runAttempt makes one attempt, or joins it where it is.
func (f *fleet) runAttempt(ctx context.Context, act wire.Action, t *sdk.Task, r sdk.Reporter, done func(sdk.Result, error)) {
	if !t.Rejoin {
		if err := f.checkStart(act, t); err != nil {
			done(resultOf(notCarried(err)))
			return
		}
	}
	if err := f.enterAttempt(ctx, newAttempt(act, t), t, caller{reporter: r, done: done}); err != nil {
		done(sdk.Result{}, err)
	}
}

// enterAttempt enters an attempt for its caller, the one that puts the start on record, or adds
// the caller to those of the one that is there.
func (f *fleet) enterAttempt(ctx context.Context, a *attempt, t *sdk.Task, c caller) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return sdk.ErrDetach
	}
	if have := f.attempts[t.Token]; have != nil {
		f.joinAttempt(ctx, have, c)
		return nil
	}
	switch {
	case t.Rejoin && len(t.Handle) == 0:
		// No start is on record, so nobody was told go, and nobody will be.
		f.forgetAttempt(t.Token)
		return sdk.ErrReleased
	case t.Rejoin:
		p, err := parseHandle(t.Handle)
		if err != nil {
			return sdk.FailedWith(wire.LostOutcome(err.Error()))
		}
		a.phase = running
		a.peer = p
		a.forgetStart()
		a.lastNamed = f.clock.now() + time.Duration(f.queueConfig.Rejoin-f.queueConfig.Lapse)
	default:
		if _, known := f.routes[a.lane.Route]; !known {
			f.routes[a.lane.Route] = routeOf(t)
		}
		a.lastServed = f.clock.now()
		f.starts.enqueue(a)
	}
	f.attempts[a.token] = a
	a.addCaller(c, f.watchCaller(ctx, a))
	return nil
}

// joinAttempt adds a caller that comes later. It has to hear of the start as well. f.mu is held.
func (f *fleet) joinAttempt(ctx context.Context, a *attempt, c caller) {
	if a.phase == ended {
		c.done(resultOf(a.outcome))
		return
	}
	a.addCaller(c, f.watchCaller(ctx, a))
	if a.phase == running {
		go f.tellStarted(a, a.peer, c.reporter)
	}
}

// tellStarted tells a caller that joined where the attempt runs.
func (f *fleet) tellStarted(a *attempt, p wire.Peer, r sdk.Reporter) {
	if err := r.Started(encodeHandle(p), p.Name); err != nil {
		f.stopAttempt(a, wire.CauseCancel)
	}
}

// watchCaller does what the end of a caller's context asks, until it is told that nobody cares.
func (f *fleet) watchCaller(ctx context.Context, a *attempt) (unwatch func() bool) {
	return sdk.AfterFunc(ctx, func() {
		cause := context.Cause(ctx)
		if errors.Is(cause, sdk.ErrDetach) {
			f.detachAttempt(a)
		} else {
			f.stopAttempt(a, causeOf(cause))
		}
	})
}

func causeOf(err error) wire.StopCause {
	switch {
	case errors.Is(err, sdk.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return wire.CauseTimeout
	case errors.Is(err, sdk.ErrPause):
		return wire.CausePause
	}
	return wire.CauseCancel
}

// startRecorded tells the worker to go, once its start is on record.
func (f *fleet) startRecorded(a *attempt, p wire.Peer, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case a.phase == ended:
	case err != nil:
		f.endAttempt(a, wire.ReleasedOutcome("the start was not wanted any more: "+err.Error()))
	case !f.owner.claimed.Load():
		f.endAttempt(a, wire.ReleasedOutcome("the queue was taken by another host before the worker was told to go"))
	default:
		a.phase, a.lastNamed = running, f.clock.now()
		a.forgetStart()
		for _, c := range a.callers[1:] {
			go f.tellStarted(a, p, c.reporter)
		}
		f.queueItem(p, &wire.Item{Kind: wire.KindGo, Token: a.token, Timeout: a.remainingTime()})
		if a.stopCause != 0 { // asked for meanwhile: the record says that it began, and so it ends as one that did
			f.askToStop(a, a.stopCause)
		}
		return
	}
	f.queueItem(p, &wire.Item{Kind: wire.KindRefuse, Token: a.token, Text: "the attempt is not wanted any more"})
}

// stopAttempt ends an attempt before its time: one that nobody was told to start is taken
// back, any other is asked to stop until it has.
func (f *fleet) stopAttempt(a *attempt, why wire.StopCause) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch a.phase {
	case waiting:
		f.withdrawAttempt(a, "withdrawn before it started")
	case starting:
		a.stopCause = why
	case running:
		f.askToStop(a, why)
	}
}

// askToStop tells the worker of an attempt that it is to stop. f.mu is held.
func (f *fleet) askToStop(a *attempt, why wire.StopCause) {
	a.stopCause = why
	a.cancelSentAt = f.clock.now()
	f.queueItem(a.peer, &wire.Item{Kind: wire.KindCancel, Token: a.token, Cause: why})
}
