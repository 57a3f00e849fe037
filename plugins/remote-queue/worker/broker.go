package worker

import (
	"github.com/taskhost/taskhost/plugins/remote-queue/broker"
)

// Broker is what the worker's half needs of a broker. Several goroutines call it at
// once.
type Broker interface {
	// Connected says whether the broker is there.
	Connected() bool
	// MaxPayload is what one message may hold, in bytes; 0 before the broker was seen.
	MaxPayload() int64
	// LocalAddress is this machine as the broker sees it, to be shown to operators.
	LocalAddress() string
	// Send tells the host something on a channel. It may be lost without an error.
	Send(channel string, data []byte) error
	// Consume begins to take the starts of a lane; nothing comes before it is pulled.
	Consume(lane string, events broker.LaneEvents) (broker.LaneConsumer, error)
	// Close sends what is on its way, for a second at the most, and ends the connection.
	Close()
}

// Dialer connects to a broker. One that is not there yet is no error.
type Dialer func(broker.WorkerConnection, broker.WorkerEvents) (Broker, error)
