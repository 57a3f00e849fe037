package fleet

import (
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/sdk"
)

// hostPhase is how far an attempt is, as the host knows it.
type hostPhase uint8

const (
	// waiting is an attempt whose start is published, or about to be. Nobody may start it.
	waiting hostPhase = iota
	// starting is one for which a worker asked; its name is being put on record.
	starting
	// running is one whose worker was told to go, or is on record as its worker.
	running
	// ended is one whose outcome is known. Execute returns it, and Settled forgets it.
	ended
)

// attempt is one token that the host asked for. It only ever goes forward through its
// phases: nobody goes back to waiting, so at most one worker is ever told to go, and one
// outcome is returned, the first.
type attempt struct {
	token    sdk.Token
	id       string
	lane     wire.Lane
	action   wire.Action
	timeout  time.Duration
	deadline time.Time

	// What follows is guarded by the fleet's mu.

	phase hostPhase
	// task is kept until the attempt runs: its start may have to be written anew.
	task sdk.Task
	// peer is the worker of an attempt that starts, runs or has run.
	peer wire.Peer
	// lastNamed is when a heartbeat last answered for the token, and lastServed when a
	// worker was last heard that may run it.
	lastNamed  time.Duration
	lastServed time.Duration
	// message is what the start was published in last; nil if it is to be published.
	// refusals is how often the broker did not take it, publishedAt the last time that it
	// was published, and alone says that it goes in a message of its own.
	message     *startMessage
	refusals    int
	publishedAt time.Duration
	alone       bool
	// stopCause is why the attempt was asked to stop, 0 if it was not, and cancelSentAt
	// when its worker was last told.
	stopCause    wire.StopCause
	cancelSentAt time.Duration
	outcome      sdk.Outcome
	// reportedByWorker says that the outcome is the worker's own word.
	reportedByWorker bool
	// callers are all who ask for the attempt, the first one before those that joined it. What
	// it says goes to all, what is to be put on record to the first. waited says that they still
	// wait: it has not ended, and does not go on without this host.
	callers []caller
	waited  bool
	// savingSeqs are the checkpoints that are being written, savingBytes what they take,
	// and lastSavedSeq the last one that was written.
	savingSeqs   map[uint64]struct{}
	savingBytes  int
	lastSavedSeq uint64
}

// caller is one who asks for an attempt.
type caller struct {
	reporter sdk.Reporter
	done     func(sdk.Result, error)
	unwatch  func() bool // ends the watch of its context
}

// addCaller adds one whose context is watched until unwatch. fleet.mu is held.
func (a *attempt) addCaller(c caller, unwatch func() bool) {
	c.unwatch = unwatch
	a.callers = append(a.callers, c)
	a.waited = true
}

// tellCallers tells those who wait for the attempt, if they still do, what became of it.
// fleet.mu is held.
func (a *attempt) tellCallers(res sdk.Result, err error) {
	if !a.waited {
		return
	}
	a.waited = false
	for _, c := range a.callers {
		c.unwatch()
		c.done(res, err)
	}
}

func newAttempt(act wire.Action, t *sdk.Task) *attempt {
	return &attempt{action: act, task: *t, token: t.Token, id: t.ID, lane: wire.Lane{Route: routeOf(t).Key(), Type: t.Type},
		timeout: t.Timeout, deadline: t.Deadline, alone: t.Suspect}
}

func routeOf(t *sdk.Task) wire.Route { return wire.Route{Labels: t.Route, MinVersion: t.MinVersion} }

// forgetStart frees what is needed as long as nobody has begun. fleet.mu is held.
func (a *attempt) forgetStart() { a.task, a.message = sdk.Task{}, nil }

// remainingTime is how long an attempt that starts now may run; 0 for ever.
func (a *attempt) remainingTime() time.Duration {
	if a.timeout > 0 {
		return a.timeout
	}
	if a.deadline.IsZero() {
		return 0
	}
	return max(time.Until(a.deadline), 1)
}

// resultOf turns an outcome into what Execute returns.
func resultOf(o sdk.Outcome) (sdk.Result, error) {
	if o.Kind == sdk.OutcomeSucceeded {
		return o.Result, nil
	}
	return sdk.Result{}, sdk.FailedWith(o)
}
