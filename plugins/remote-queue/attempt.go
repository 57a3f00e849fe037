package remotequeue

import (
	"time"

	"github.com/taskhost/taskhost/sdk"
)

// phase is how far an attempt is, as the host knows it.
type phase uint8

const (
	waiting  phase = iota // published, or about to be: nobody may start it
	starting              // a worker asked; its name is being put on record
	running               // a worker was told go
	over                  // the outcome is known; Execute returns it
)

// attempt is one token that the host asked for. The fields below mu of the fleet
// are guarded by it.
type attempt struct {
	token    token
	id       string
	lane     lane
	action   action
	task     sdk.Task // until it runs: the start may have to be written anew
	body     []byte   // the start as published
	timeout  time.Duration
	deadline time.Time

	asks chan peer     // who asked first; one at the most
	done chan struct{} // closed when over; outcome is set before

	// guarded by fleet.mu
	phase     phase
	peer      peer          // of starting and running
	seen      time.Duration // when its token was last named
	served    time.Duration // when a worker that may run it was last heard
	seq       uint64        // in the stream; 0 until the broker confirmed it
	copies    int           // how often it was published
	refusals  int           // how often the broker did not take it
	published time.Duration
	canceled  cause // asked for; 0 if not
	told      time.Duration
	outcome   sdk.Outcome
	reporters []sdk.Reporter
	started   chan struct{}       // closed when running; made for those who join
	saving    map[uint64]struct{} // checkpoints that are being written
	saved     uint64              // the last one written
	heard     bool                // the outcome is the worker's own word
	// savingBytes is how much of its checkpoints waits for the store.
	savingBytes int
}

func newAttempt(act action, t *sdk.Task) *attempt {
	return &attempt{action: act, task: *t, token: t.Token, id: t.ID, lane: lane{routeKey(t.Route), t.Type},
		asks: make(chan peer, 1), done: make(chan struct{}),
		timeout: t.Timeout, deadline: t.Deadline}
}

// forgetStart frees what is needed as long as nobody has begun. fleet.mu is held.
func (a *attempt) forgetStart() { a.body, a.task = nil, sdk.Task{} }

// limit is how long an attempt that starts now may run; 0 for ever.
func (a *attempt) limit() time.Duration {
	if a.timeout > 0 {
		return a.timeout
	}
	if a.deadline.IsZero() {
		return 0
	}
	return max(time.Until(a.deadline), 1)
}

// result turns an outcome into what Execute returns.
func result(o sdk.Outcome) (sdk.Result, error) {
	if o.Kind == sdk.OutcomeSucceeded {
		return o.Result, nil
	}
	return sdk.Result{}, sdk.FailedWith(o)
}

func lost(why string) sdk.Outcome {
	return sdk.Outcome{Kind: sdk.OutcomeLost, Code: sdk.CodeExecutorLost, Message: why}
}

func released(why string) sdk.Outcome {
	return sdk.Outcome{Kind: sdk.OutcomeReleased, Message: why}
}
