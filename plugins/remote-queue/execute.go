package remotequeue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/taskhost/taskhost/sdk"
)

// Execute hands t to a worker and waits for its outcome.
func (f *fleet) Execute(ctx context.Context, t sdk.Task, r sdk.Reporter) (sdk.Result, error) {
	return f.carry(ctx, actExecute, t, r)
}

// Revert has a worker undo t: perhaps not the one that did it.
func (f *fleet) Revert(ctx context.Context, t sdk.Task, r sdk.Reporter) error {
	_, err := f.carry(ctx, actRevert, t, r)
	return err
}

// Settled forgets an attempt, and tells its worker to.
func (f *fleet) Settled(t sdk.Token) {
	f.mu.Lock()
	defer f.mu.Unlock()
	a := f.attempts[t]
	switch {
	case a == nil: // let go, or forgotten already
	case a.phase == over:
		if a.peer != (peer{}) {
			f.tell(a.peer, &item{kind: kindAck, token: t})
		}
		f.end(t)
	default: // nobody waits for it any more
		if a.phase != waiting {
			f.tell(a.peer, &item{kind: kindRefuse, token: t, text: "the task is settled without this attempt"})
		}
		f.finish(a, lost("the host settled the attempt before it ended"))
		f.end(t)
	}
}

// end forgets a token. f.mu is held.
func (f *fleet) end(t token) {
	delete(f.attempts, t)
	if f.clock.now() <= time.Duration(f.conf.Rejoin) {
		f.ended[t] = struct{}{}
	}
}

// carry makes one attempt, or joins it where it is.
func (f *fleet) carry(ctx context.Context, act action, t sdk.Task, r sdk.Reporter) (sdk.Result, error) {
	a := newAttempt(act, &t)
	if !t.Rejoin {
		if err := f.encode(a); err != nil {
			return result(tooMuch(err))
		}
	}
	a, owner, err := f.admit(a, t, r)
	if err != nil {
		return sdk.Result{}, err
	}
	return f.follow(ctx, a, r, owner)
}

// encode writes the start of a so that the broker carries it. What that is may have
// changed since it was written.
func (f *fleet) encode(a *attempt) error {
	limit := f.maxStart()
	if a.body != nil && len(a.body) <= limit {
		return nil
	}
	body, refs, fits := encodeStart(a.action, a.task, limit)
	if !fits || refs && f.rest == "" {
		return fmt.Errorf("it takes more than the %d bytes that the broker carries, and the workers cannot fetch it from the host's REST", limit)
	}
	a.body = body
	return nil
}

// tooMuch is what becomes of a task that the broker never carries.
func tooMuch(err error) sdk.Outcome {
	return sdk.Outcome{Kind: sdk.OutcomeFailed, Code: sdk.CodeExecutorFailed, Permanent: true, Message: "the task is too large: " + err.Error()}
}

// admit enters an attempt, or finds the one that is there. The owner is the one
// that puts the start on record.
func (f *fleet) admit(a *attempt, t sdk.Task, r sdk.Reporter) (_ *attempt, owner bool, err error) {
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
		f.end(t.Token)
		return nil, false, sdk.ErrReleased
	case t.Rejoin:
		p, err := parseHandle(t.Handle)
		if err != nil {
			return nil, false, sdk.FailedWith(lost(err.Error()))
		}
		a.phase, a.peer = running, p
		a.forgetStart()
		a.seen = f.clock.now() + time.Duration(f.conf.Rejoin-f.conf.Lapse)
	default:
		if _, known := f.routes[a.lane.route]; !known {
			f.routes[a.lane.route] = t.Route
		}
		a.served = f.clock.now()
		f.stream.add(a)
	}
	f.attempts[a.token] = a
	return a, true, nil
}

// follow waits for the outcome, as one of those who asked for it.
func (f *fleet) follow(ctx context.Context, a *attempt, r sdk.Reporter, owner bool) (sdk.Result, error) {
	asks, ended := a.asks, ctx.Done()
	var started <-chan struct{}
	if !owner {
		asks, started = nil, a.started
	}
	for {
		select {
		case p := <-asks:
			f.begin(a, p, r)
		case <-started: // joined: this caller has to hear of the start as well
			started = nil
			f.mu.Lock()
			p := a.peer
			f.mu.Unlock()
			if err := r.Started(handle(p), p.name); err != nil {
				f.stop(a, causeCancel)
			}
		case <-a.done:
			return result(a.outcome)
		case <-ended:
			ended = nil
			cause := context.Cause(ctx)
			if errors.Is(cause, sdk.ErrDetach) {
				f.letGo(a)
				return sdk.Result{}, sdk.ErrDetach
			}
			f.stop(a, causeOf(cause))
		case <-f.ctx.Done():
			return sdk.Result{}, sdk.ErrDetach
		}
	}
}

func causeOf(err error) cause {
	switch {
	case errors.Is(err, sdk.ErrTimeout), errors.Is(err, context.DeadlineExceeded):
		return causeTimeout
	case errors.Is(err, sdk.ErrPause):
		return causePause
	}
	return causeCancel
}

// begin puts a start on record and only then tells the worker to go.
func (f *fleet) begin(a *attempt, p peer, r sdk.Reporter) {
	err := r.Started(handle(p), p.name)
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case a.phase == over:
	case err != nil:
		f.finish(a, released("the start was not wanted any more: "+err.Error()))
	case a.canceled != 0:
		f.finish(a, released("withdrawn before it started"))
	case !f.owner.held.Load():
		f.finish(a, released("the queue was taken by another host before the worker was told to go"))
	default:
		a.phase, a.seen = running, f.clock.now()
		a.forgetStart()
		if a.started != nil {
			close(a.started)
		}
		f.tell(p, &item{kind: kindGo, token: a.token, timeout: a.limit()})
		return
	}
	f.tell(p, &item{kind: kindRefuse, token: a.token, text: "the attempt is not wanted any more"})
}

// stop ends an attempt before its time: one that nobody was told to start is taken
// back, any other is asked to stop until it has.
func (f *fleet) stop(a *attempt, why cause) {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch a.phase {
	case waiting:
		f.takeBack(a, "withdrawn before it started")
	case starting:
		a.canceled = why
	case running:
		a.canceled, a.told = why, f.clock.now()
		f.tell(a.peer, &item{kind: kindCancel, token: a.token, cause: why})
	}
}

// takeBack ends an attempt that nobody was told to start. f.mu is held.
func (f *fleet) takeBack(a *attempt, why string) {
	f.stream.withdraw(a.seq)
	f.finish(a, released(why))
}

// letGo forgets an attempt that goes on without this host.
func (f *fleet) letGo(a *attempt) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if a.phase == waiting {
		f.stream.withdraw(a.seq)
	}
	if f.attempts[a.token] == a {
		delete(f.attempts, a.token)
	}
}

// finish ends an attempt with o, if it has not ended. f.mu is held.
func (f *fleet) finish(a *attempt, o sdk.Outcome) {
	if a.phase == over {
		return
	}
	a.phase, a.outcome = over, o
	a.forgetStart()
	a.seen = f.clock.now()
	close(a.done)
}

// A handle is the worker's name and instance: an instance that is gone never
// comes back, so what it ran is lost.
type handleData struct {
	Worker   string `json:"worker"`
	Instance string `json:"instance"`
}

// handle writes it by hand: neither part holds what JSON would escape.
func handle(p peer) []byte {
	return []byte(`{"worker":"` + p.name + `","instance":"` + p.instance + `"}`)
}

func parseHandle(b []byte) (peer, error) {
	var h handleData
	if err := json.Unmarshal(b, &h); err != nil || h.Worker == "" || h.Instance == "" {
		return peer{}, errors.New("the handle on record names no worker")
	}
	return peer{h.Worker, h.Instance}, nil
}
