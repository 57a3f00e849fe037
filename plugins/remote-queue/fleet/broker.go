package fleet

import (
	"context"
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/broker"
	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
)

// Broker is what the host's half needs of a broker. Several goroutines call it at once,
// except for the claim, which one goroutine keeps.
type Broker interface {
	hostLink
	startStore
	claimStore
}

// Dialer connects to a broker. One that is not there yet is no error.
type Dialer func(broker.HostConnection, broker.HostEvents) (Broker, error)

// hostLink is how a host speaks to workers and hears them. Messages may be lost: whoever
// needs an answer repeats its own.
type hostLink interface {
	// Connected says whether the broker is there.
	Connected() bool
	// MaxPayload is what one message may hold, in bytes; 0 before the broker was seen.
	MaxPayload() int64
	// Unread is how many messages of workers wait to be handed to Received.
	Unread() (int, error)
	// Send tells a worker something.
	Send(to wire.Peer, data []byte) error
	// Close ends the connection, and the broker where it is embedded.
	Close()
}

// startStore holds the starts that wait for workers, in a lane for each type and route: one or
// several to a message, which the first names. A message is delivered to one worker, and again
// until one accepts it. What the store loses is published again by the host, so it need not be
// durable.
type startStore interface {
	// SetUp makes the store where it is not there, and empties it if purge is set. Created
	// tells one life of the store from the next: a new one is empty.
	SetUp(ctx context.Context, purge bool) (created time.Time, err error)
	// Created is what SetUp returned, or another time if the store was lost since.
	Created(ctx context.Context) (time.Time, error)
	// MakeLane makes a lane where it is not there. An error that is errStoreMissing, or
	// comes while the broker is away, concerns all lanes, any other this one.
	MakeLane(ctx context.Context, l wire.Lane) error
	// DeleteLane takes a lane away; it is no error if it is not there.
	DeleteLane(ctx context.Context, l wire.Lane) error
	// Publish puts a message of starts into its lane. The events Published or PublishFailed
	// follow, unless it returns an error. One that is published twice may be delivered twice.
	Publish(l wire.Lane, starts []byte) error
	// Withdraw takes a message out, if no worker has it and the broker can.
	Withdraw(position uint64) error
	// Missing are those of the messages of a lane that surely are in the store no more,
	// as far as it was found out before an error; errLaneMissing if the lane is gone.
	Missing(ctx context.Context, l wire.Lane, starts []broker.PlacedStart) ([]broker.PlacedStart, error)
}

// claimStore holds one record: which process serves the queue. It outlives the connection.
type claimStore interface {
	// ReadClaim is the claim as it stands, with its revision; 0 if there is none.
	ReadClaim(ctx context.Context) (claim []byte, revision uint64, err error)
	// WriteClaim replaces the claim of that revision, in one step that no other writer
	// can come between, and returns the new revision; errClaimChanged if it is another.
	WriteClaim(ctx context.Context, claim []byte, revision uint64) (uint64, error)
	// AskAlive asks a process whether it lives and has the queue; nil if it says so,
	// errNobody if it surely is not connected.
	AskAlive(ctx context.Context, process string) error
}
