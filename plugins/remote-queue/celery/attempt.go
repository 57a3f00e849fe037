package celery

import (
	"time"

	"github.com/taskhost/taskhost/sdk"
)

// attempt is one message and what was heard of it. Its fields are guarded by the executor's
// mu, but for those that do not change.
type attempt struct {
	id     string // the message's
	token  sdk.Token
	taskID string
	typ    string

	// owned says that an Execute waits for it and acts on what is heard.
	owned bool
	// wakeUp is signaled when something was heard, or the broker is there again.
	wakeUp chan struct{}
	// started is closed once the start is on record, and done once the outcome is known.
	started chan struct{}
	done    chan struct{}
	outcome sdk.Outcome

	// sent says what is known of the message.
	sent sending
	// publishedAt is when it was published first.
	publishedAt time.Time
	// on is where a worker says that it runs; worker is empty while that is not known.
	on handle
	// ran says that a worker said that it starts it.
	ran bool
	// progress and notes are what was heard and is not yet reported.
	progress *progress
	notes    []string
	// lastProgress is what a worker last said of how far it is.
	lastProgress *progress
	// refused says why the broker did not take the message.
	refused error
	// connection counts the broker's connections, as of when the message was sent.
	connection int
	// lost says why nothing more will be heard.
	lost string
	// final is the reply that ends it.
	final *heardReply
	// stopping says that workers were told to discard it.
	stopping bool
}

// sending is how far a message is on its way.
type sending uint8

const (
	unsent    sending = iota // surely not in the queue
	unknown                  // perhaps
	underway                 // the broker is about to say
	confirmed                // it was in the queue
)

// heardReply is a final reply with the message that it came in, which is acknowledged once
// the outcome is on record.
type heardReply struct {
	reply
	ack func()
}

// maxNotes bounds what is kept of one attempt until it is reported.
const maxNotes = 100

func newAttempt(id string, t *sdk.Task) *attempt {
	return &attempt{id: id, token: t.Token, taskID: t.ID, typ: t.Type, wakeUp: make(chan struct{}, 1),
		started: make(chan struct{}), done: make(chan struct{})}
}

// wake has whoever owns the attempt look at it. It never blocks.
func (a *attempt) wake() {
	select {
	case a.wakeUp <- struct{}{}:
	default:
	}
}

// ended says that the outcome is known.
func (a *attempt) ended() bool {
	select {
	case <-a.done:
		return true
	default:
		return false
	}
}

func (a *attempt) hasStarted() bool {
	select {
	case <-a.started:
		return true
	default:
		return false
	}
}
