package fleet

import (
	"errors"
	"sync/atomic"
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/sdk"
)

// startQueue keeps the broker's store of starts: it sets it up, fills it, and looks after
// what is in it. One goroutine of it is the only one that publishes. What the broker loses
// is published again, for an attempt that nobody was told to start can be handed out any
// number of times.
type startQueue struct {
	fleet  *fleet
	wakeUp chan struct{}
	// withdrawals are positions of starts that are to be taken out of the broker.
	withdrawals chan uint64
	// reconnected says that the broker was away since its store was last looked at: it may have
	// come back with another one.
	reconnected atomic.Bool
	// starts and written are room for those of the message that run makes.
	starts  [][]byte
	written []byte

	// What follows is guarded by the fleet's mu.

	// toPublish are the attempts whose starts are not in the broker.
	toPublish []*attempt
	// unconfirmed are the messages that the broker has not answered for, by their tokens. It
	// has two of one token where a start is published again before the first was confirmed.
	unconfirmed map[sdk.Token][]*startMessage
	// joinedBytes is what a message of several starts holds at the most.
	joinedBytes int
	// lanes are those that the broker has, with when something was last published there.
	lanes map[wire.Lane]time.Duration
	// refusedLanes are those that the broker does not make.
	refusedLanes map[wire.Lane]*laneRefusal
	// isSetUp says that the store was there when it was last asked for.
	isSetUp bool
	// ownership is one more whenever this process takes the queue, and purgedFor the
	// ownership for which what others left in the store was purged.
	ownership int
	purgedFor int
	// createdAt tells one life of the store from the next.
	createdAt time.Time
	// After a refusal nothing is published until pausedUntil; pause doubles each time.
	pausedUntil time.Time
	pause       time.Duration
}

// laneRefusal is a lane that the broker does not make: how often it was tried, and until
// when it is left alone. Unanswered says that the broker said nothing the last time.
type laneRefusal struct {
	tries      int
	unanswered bool
	retryAfter time.Time
}

// errLaneRefused is a lane that the broker refuses; the others go on.
var errLaneRefused = errors.New("the broker refuses a lane")
