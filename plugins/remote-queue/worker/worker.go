// Package worker is the consuming half of a queue: it takes starts from a broker, asks the
// host whether it may begin, runs them on executors of its own, and repeats each outcome
// until the host has it on record.
package worker

import (
	"context"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/plugins/remote-queue/broker"
	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/sdk"
)

// Worker takes attempts from a broker and runs them on its executors. It looks for a host
// for ever, and keeps results while there is none: a result is only given up when the host
// has it on record, when the host does not want it, or when the process ends. Run may be
// called once, and Drain while it runs.
type Worker struct {
	options Options
	peer    wire.Peer
	log     hclog.Logger
	dial    Dialer
	queue   string
	// joinFile says where the broker is; empty where the options do.
	joinFile string
	// broker is nil until Run has connected, and does not change afterwards.
	broker Broker
	outbox *wire.Outbox
	http   *http.Client

	// Each of these holds one signal: starts can be asked for, the host is to be spoken
	// to, and a run was removed.
	pullWanted      chan struct{}
	heartbeatWanted chan struct{}
	runRemoved      chan struct{}
	// runnerWanted calls a goroutine that waits for a run.
	runnerWanted chan struct{}
	// dismissed has why the host ended the worker's session.
	dismissed chan error
	// returned is closed when Run has returned.
	returned chan struct{}
	// describeNext says that the next heartbeat tells what the worker is. Whether the host hears
	// it, nobody says: see revision.
	describeNext atomic.Bool

	// ctx ends when the worker does; loops are the goroutines that end with it.
	ctx    context.Context
	cancel context.CancelFunc
	loops  sync.WaitGroup
	// scripts are waited for as long as they listen to their contexts, and no longer.
	scripts sync.WaitGroup

	mu        sync.Mutex
	started   bool
	closed    bool
	draining  bool
	executors []*localExecutor
	// revision counts the changes of what the worker is.
	revision uint64
	// begun are runs that wait for a goroutine, idleRunners counts the goroutines that wait for
	// a run and were not called, and runnerComing says that one was called and is not here yet.
	begun        []*run
	idleRunners  int
	runnerComing bool
	runs         map[sdk.Token]*run
	// putBack are the starts that were given back to be delivered again later, and until when
	// they are.
	putBack map[sdk.Token]time.Time
	// suspect is the run that has the worker's place for suspects; nil if it is free.
	suspect *run
	// offer is the host's last, with the zero offer before any was heard.
	offer wire.Offer
	// heardHost is when the host was last heard, and hostSilent that this is long ago.
	heardHost  time.Time
	hostSilent bool
	// restUnreachable says that the host's REST does not answer here.
	restUnreachable bool
}

// localExecutor is an executor of this worker with what it offers and has free. It is
// guarded by the worker's mu.
type localExecutor struct {
	Local
	// types are those that it offers, and offered the same in its own order.
	types   map[string]sdk.TypeInfo
	offered []sdk.TypeInfo
	slots   int
	used    int
	// notReady is why it could not say what it offers, "" if it could.
	notReady string
	// pullers are those of the lanes that it serves, by the lanes' names.
	pullers map[string]*puller
}

// puller takes the starts of one lane for one executor. It asks for as many messages as fill
// the slots that the executor has free, and for more only as they are used up.
type puller struct {
	executor *localExecutor
	laneName string
	taskType string
	lane     broker.LaneConsumer

	// What follows is guarded by the worker's mu.

	// requested is how many messages were asked for and have not come, requestedAt when that
	// was, and pausedUntil how long the broker is left alone after a refusal. perMessage is
	// about how many starts one had of late; 0 before any came.
	requested   int
	perMessage  float64
	requestedAt time.Time
	pausedUntil time.Time
}

// queueItem has an item told to the host.
func (w *Worker) queueItem(it *wire.Item) { w.outbox.Add(w.peer, it) }

// spawn runs f until the worker leaves. w.mu is held.
func (w *Worker) spawn(f func()) {
	if !w.closed {
		w.loops.Go(f)
	}
}
