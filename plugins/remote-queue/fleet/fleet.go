// Package fleet is the host's half of a queue: an executor that hands each attempt to some
// worker, and returns what became of it. The host's store is the only truth. What a broker
// loses is published again, as long as no worker was told to start.
package fleet

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/plugins/remote-queue/config"
	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/sdk"
)

// fleet is the executor: the host's half. What it knows of attempts and workers is in
// memory alone and guarded by mu; a later process of the host learns it again from the
// store, which says what to rejoin, and from the workers' heartbeats. Nothing that waits
// for the store or for the broker runs with mu held.
type fleet struct {
	cfg         sdk.Config
	queueConfig config.Executor
	log         hclog.Logger
	// process is this process of the host, at random.
	process string
	// restURL is the host's REST for workers; empty if they cannot use it.
	restURL string

	// broker is nil until Open has connected, and does not change afterwards.
	broker Broker
	// outbox is where everything goes that workers are told, except for offers.
	outbox *wire.Outbox
	// clock is what lapses are measured by: it stands still while nobody can be heard.
	clock lapseClock
	// heardFrom is when workers can be heard again that the broker was away from, too; nil before
	// it was there first.
	heardFrom atomic.Pointer[time.Time]
	starts    startQueue
	owner     owner
	status    status

	// ctx ends when the fleet is closed; loops are the goroutines that end with it.
	ctx      context.Context
	cancel   context.CancelFunc
	loops    sync.WaitGroup
	counters counters

	// drainedMu is held while drained and its file change. It is taken before mu.
	drainedMu sync.Mutex

	mu sync.Mutex
	// attempts are those that somebody waits for, and those whose outcome is not settled.
	attempts map[sdk.Token]*attempt
	// forgottenTokens are tokens whose end was settled while workers may still come back
	// from before this process. Afterwards every token without an attempt is unknown for good.
	forgottenTokens map[sdk.Token]struct{}
	// workers are those that were heard within the lapse.
	workers map[wire.Peer]*remoteWorker
	// goneWorkers are shown to operators for a while; by name, and of names that are not
	// among the workers.
	goneWorkers map[string]goneWorker
	// drained are the names of the workers that an operator drained, wherever they are.
	drained map[string]struct{}
	// knownTypes are the types of present workers, and of those that are away.
	knownTypes map[string]*knownType
	// typesUnsaved says that knownTypes are not as on file, and typesSaved when they were.
	typesUnsaved bool
	typesSaved   time.Time
	// routes are what tasks asked of workers, by their keys.
	routes map[string]wire.Route
	closed bool
}

// counters are what should not happen often, for those who look for a fault.
type counters struct {
	// garbled are messages and items that could not be read.
	garbled atomic.Int64
	// refusedReports are items whose token is not wanted.
	refusedReports atomic.Int64
	// republished are starts that had to be published again.
	republished atomic.Int64
	// dismissedWorkers are the messages for which a worker's session was ended.
	dismissedWorkers atomic.Int64
}

// remoteWorker is one process of a worker, as the host knows it. It is guarded by the
// fleet's mu. It leaves when it says so, when it was silent for the lapse, or when it said
// more than a worker may.
type remoteWorker struct {
	peer wire.Peer
	// described says that info was heard. Before that the worker is offered nothing.
	described bool
	// info is what the worker said of itself, except for its types, and revision which of it
	// that was.
	info     wire.WorkerInfo
	revision uint64
	// types are those that it offers and that the fleet had room for.
	types []string
	// versions are in which version it offers them, where it says so.
	versions map[string]string
	// lastHeartbeat is without what it names and describes.
	lastHeartbeat wire.Heartbeat
	// heardAt is when that was, by the fleet's clock, and heardTime by the wall clock.
	heardAt   time.Duration
	heardTime time.Time
}

// goneWorker is a worker that left, as it is shown to operators.
type goneWorker struct {
	node   sdk.Node
	leftAt time.Time
}

// knownType is a task type that a worker offers or once offered.
type knownType struct {
	sdk.TypeInfo
	// LastOffered is when a worker was last here that offers it.
	LastOffered time.Time `json:"last_offered,omitzero"`
}
