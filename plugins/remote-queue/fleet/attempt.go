package fleet

import (
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/sdk"
)

// hostPhase is how far an attempt is, as the host knows it.
type hostPhase uint8

const (
	waiting  hostPhase = iota // published, or about to be: nobody may start it
	starting                  // a worker asked; its name is being put on record
	running                   // a worker was told go
	ended                     // the outcome is known; Execute returns it
)

// attempt is one token that the host asked for. The fields below mu of the fleet
// are guarded by it.
type attempt struct {
	token        sdk.Token
	id           string
	lane         wire.Lane
	action       wire.Action
	task         sdk.Task // until it runs: the start may have to be written anew
	encodedStart []byte   // the start as published
	timeout      time.Duration
	deadline     time.Time

	firstAsk chan wire.Peer // who asked first; one at the most
	done     chan struct{}  // closed when over; outcome is set before

	// guarded by fleet.mu
	phase            hostPhase
	peer             wire.Peer     // of starting and running
	lastNamed        time.Duration // when its token was last named
	lastServed       time.Duration // when a worker that may run it was last heard
	position         uint64        // in the stream; 0 until the broker confirmed it
	republished      int           // how often it was published
	refusals         int           // how often the broker did not take it
	publishedAt      time.Duration
	stopCause        wire.StopCause // asked for; 0 if not
	cancelSentAt     time.Duration
	outcome          sdk.Outcome
	reporters        []sdk.Reporter
	started          chan struct{}       // closed when running; made for those who join
	savingSeqs       map[uint64]struct{} // checkpoints that are being written
	lastSavedSeq     uint64              // the last one written
	reportedByWorker bool                // the outcome is the worker's own word
	// savingBytes is how much of its checkpoints waits for the store.
	savingBytes int
}

func newAttempt(act wire.Action, t *sdk.Task) *attempt {
	return &attempt{action: act, task: *t, token: t.Token, id: t.ID, lane: wire.Lane{Route: wire.RouteKey(t.Route), Type: t.Type},
		firstAsk: make(chan wire.Peer, 1), done: make(chan struct{}),
		timeout: t.Timeout, deadline: t.Deadline}
}

// forgetStart frees what is needed as long as nobody has begun. fleet.mu is held.
func (a *attempt) forgetStart() { a.encodedStart, a.task = nil, sdk.Task{} }

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
