package fleet

import (
	"context"
	"errors"
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/sdk"
)

// Execute hands t to a worker and waits for its outcome.
func (f *fleet) Execute(ctx context.Context, t sdk.Task, r sdk.Reporter) (sdk.Result, error) {
	return f.runAttempt(ctx, wire.ActionExecute, t, r)
}

// Revert has a worker undo t: perhaps not the one that did it.
func (f *fleet) Revert(ctx context.Context, t sdk.Task, r sdk.Reporter) error {
	_, err := f.runAttempt(ctx, wire.ActionRevert, t, r)
	return err
}

// runAttempt makes one attempt, or joins it where it is.
func (f *fleet) runAttempt(ctx context.Context, act wire.Action, t sdk.Task, r sdk.Reporter) (sdk.Result, error) {
	if !t.Rejoin {
		if err := f.checkStart(act, &t); err != nil {
			return resultOf(notCarried(err))
		}
	}
	a, owner, err := f.enterAttempt(newAttempt(act, &t), t, r)
	if err != nil {
		return sdk.Result{}, err
	}
	return f.awaitOutcome(ctx, a, r, owner)
}

// enterAttempt enters an attempt, or finds the one that is there. The owner is the one
// that puts the start on record.
func (f *fleet) enterAttempt(a *attempt, t sdk.Task, r sdk.Reporter) (_ *attempt, owner bool, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil, false, sdk.ErrDetach
	}
	if have := f.attempts[t.Token]; have != nil {
		have.reporters = append(have.reporters, r)
		if have.started == nil {
			have.started = make(chan struct{})
			if have.phase == running {
				close(have.started)
			}
		}
		return have, false, nil
	}
	a.reporters = []sdk.Reporter{r}
	switch {
	case t.Rejoin && len(t.Handle) == 0:
		// No start is on record, so nobody was told go, and nobody will be.
		f.forgetAttempt(t.Token)
		return nil, false, sdk.ErrReleased
	case t.Rejoin:
		p, err := parseHandle(t.Handle)
		if err != nil {
			return nil, false, sdk.FailedWith(wire.LostOutcome(err.Error()))
		}
		a.phase = running
		a.peer = p
		a.forgetStart()
		a.lastNamed = f.clock.now() + time.Duration(f.queueConfig.Rejoin-f.queueConfig.Lapse)
	default:
		if _, known := f.routes[a.lane.Route]; !known {
			f.routes[a.lane.Route] = routeOf(&t)
		}
		a.lastServed = f.clock.now()
		f.starts.enqueue(a)
	}
	f.attempts[a.token] = a
	return a, true, nil
}

// awaitOutcome waits for the outcome, as one of those who asked for it.
func (f *fleet) awaitOutcome(ctx context.Context, a *attempt, r sdk.Reporter, owner bool) (sdk.Result, error) {
	ended := ctx.Done()
	var started <-chan struct{}
	if !owner {
		started = a.started
	}
	for {
		select {
		case <-started: // joined: this caller has to hear of the start as well
			started = nil
			f.mu.Lock()
			p := a.peer
			f.mu.Unlock()
			if err := r.Started(encodeHandle(p), p.Name); err != nil {
				f.stopAttempt(a, wire.CauseCancel)
			}
		case <-a.done:
			if a.detached {
				return sdk.Result{}, sdk.ErrDetach
			}
			return resultOf(a.outcome)
		case <-ended:
			ended = nil
			cause := context.Cause(ctx)
			if errors.Is(cause, sdk.ErrDetach) {
				f.detachAttempt(a)
				return sdk.Result{}, sdk.ErrDetach
			}
			f.stopAttempt(a, causeOf(cause))
		}
	}
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
		if a.started != nil {
			close(a.started)
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
