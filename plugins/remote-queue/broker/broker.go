// Package broker holds what the halves of a queue and every kind of broker say to one
// another: how to connect, which events come back, and what an error means. The interfaces
// that a broker fulfils stand where they are used: fleet.Broker and worker.Broker.
package broker

import (
	"errors"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/plugins/remote-queue/config"
	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/sdk"
)

// What a broker's error means to either half. A broker wraps its own errors in these.
var (
	// ErrStoreMissing means that the place that holds the queue's starts is not there:
	// it has to be set up again, and is empty then.
	ErrStoreMissing = errors.New("the broker does not have the queue")
	// ErrLaneMissing means that one lane is not there, while the queue is.
	ErrLaneMissing = errors.New("the broker does not have the lane")
	// ErrStartTooLarge means that the broker never takes a start of this size.
	ErrStartTooLarge = errors.New("the broker takes no start of this size")
	// ErrRefused means that the broker answered and said no, for now or for good.
	ErrRefused = errors.New("the broker refuses")
	// ErrClaimChanged means that somebody else wrote the claim first.
	ErrClaimChanged = errors.New("the claim is not what it was")
	// ErrNobody means that no process listens where one was asked for.
	ErrNobody = errors.New("nobody answers there")
)

const (
	// AcceptWait is how long the broker waits for a worker to accept what it delivered,
	// which it does at once. Then it delivers the start again.
	AcceptWait = 10 * time.Second
	// PullExpiry is how long the broker keeps what a worker asked for.
	PullExpiry = 30 * time.Second
)

// HostConnection is what a broker must know to serve a host's half.
type HostConnection struct {
	Executor string // the executor's name, for the broker's lists of connections
	Process  string // this process of the host, at random
	DataDir  string // where an embedded broker keeps its data and the join file
	Config   *config.Executor
	Log      hclog.Logger
}

// HostEvents are what a broker calls while a host's half is connected. None of them may
// be nil. Except where it says otherwise they may come at any time, several at once, and
// before the function that connects has returned.
type HostEvents struct {
	// Connected comes whenever the broker is there (again).
	Connected func()
	// Disconnected comes when the broker is away, and for each vain try to reach it.
	Disconnected func(err error)
	// Received is one message of a worker on a channel; one at a time, in order, and it
	// must not block. Data is the receiver's. A sender that makes no sense is the zero peer.
	Received func(from wire.Peer, channel string, data []byte)
	// Published confirms a message of starts; t is the first one's token, and position where
	// the broker keeps it.
	Published func(t sdk.Token, position uint64)
	// PublishFailed says that the broker did not take a message of starts, or did not answer.
	PublishFailed func(t sdk.Token, err error)
	// HoldsQueue is asked when another process wants to know whether this one lives and
	// serves the queue.
	HoldsQueue func() bool
}

// PlacedStart is a message of starts at its place in the broker, named by the token of the first.
type PlacedStart struct {
	Token    sdk.Token
	Position uint64
}

// WorkerConnection is what a broker must know to serve a worker's half.
type WorkerConnection struct {
	Peer  wire.Peer
	Queue string
	// URL is the broker's; empty where JoinFile says it.
	URL         string
	JoinFile    string
	Credentials config.Credentials
	Log         hclog.Logger
}

// WorkerEvents are what a broker calls while a worker's half is connected; the same
// rules hold as for the host's.
type WorkerEvents struct {
	// Connected comes whenever the broker is there (again): what was pulled before is
	// not delivered any more.
	Connected func()
	// Received is one message of the host.
	Received func(data []byte)
}

// LaneEvents are what a broker calls for one lane that a worker consumes.
type LaneEvents struct {
	// Delivered is one message of starts. It must be answered by exactly one of its methods.
	Delivered func(d Delivery)
	// PullEnded says that of what was pulled the last unused messages will not come, or
	// that none will if unused is negative; refused that this is no expiry, so that the
	// next pull should wait a little.
	PullEnded func(unused int, refused bool)
}

// Delivery is a message of one or several starts as the broker delivers it to a worker.
type Delivery interface {
	// Data is the message as the host wrote it.
	Data() []byte
	// Accept takes the message out of the broker's hands. Nothing confirms it: one of
	// which the broker did not hear is delivered again, and whoever asks second for what it
	// starts is refused. An error means that the broker surely was not told.
	Accept() error
	// GiveBack has the broker deliver the message again, not before after has passed.
	GiveBack(after time.Duration)
	// Discard has the broker throw the message away.
	Discard()
}

// LaneConsumer takes the starts of one lane.
type LaneConsumer interface {
	// Pull asks for up to n messages more. Those that have not come within pullExpiry do
	// not come any more, of which PullEnded tells.
	Pull(n int) error
	// Close takes nothing more; what still comes is delivered again, to others.
	Close()
}
