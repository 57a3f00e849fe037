// Package celery runs attempts on the workers of a Celery app as they are: the executor of
// an executor block with protocol = "celery". The host publishes a message of Celery's
// protocol 2 for each attempt, and workers answer to a queue of this host's own, as they do
// with result_backend = "rpc://".
//
// What differs from workers of taskhost's own:
//
//   - A worker does not ask before it starts. Once a message is published it may have run,
//     unless a worker tells when it starts (task_track_started, or events of tasks). So the
//     host takes no task of such a type that must never run twice.
//   - Nobody answers for an attempt that a worker lost. Where the worker that runs it is
//     known, its silence, or a new process of its name, ends the attempt as lost; where not,
//     the timeout does.
//   - A message is known by an id that is made of the attempt's token. What else is known
//     of an attempt is in memory, in its handle on record, and in a file of what was
//     published.
package celery

import (
	"context"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/plugins/remote-queue/amqp"
	"github.com/taskhost/taskhost/plugins/remote-queue/config"
	"github.com/taskhost/taskhost/plugins/remote-queue/files"
	"github.com/taskhost/taskhost/sdk"
)

const (
	// defaultSlots is how many messages are out at once where the operator does not say: what
	// is in Celery's queue cannot be put in another order.
	defaultSlots = 200
	// stopWait is how long an attempt that was told to stop may take to say that it has.
	stopWait = 10 * time.Second
	// lateReply is how long after its timeout a message may still be answered.
	lateReply = 5 * time.Second
)

// executor hands attempts to Celery's workers. What it knows of attempts and workers is
// guarded by mu. Nothing that waits for the store or for the broker runs with mu held.
type executor struct {
	sdk.Irreversible
	cfg         sdk.Config
	queueConfig config.Executor
	log         hclog.Logger
	// host tells this host's queue from others', and stays the same.
	host      string
	link      link
	published *journal
	// opened is when replies were listened for first: those to attempts that are yet to be
	// rejoined come soon after.
	opened time.Time

	ctx    context.Context
	cancel context.CancelFunc
	loops  sync.WaitGroup

	mu       sync.Mutex
	attempts map[string]*attempt // by message id
	// early are final replies to messages that nobody has asked for yet.
	early map[string]heardReply
	// workers are those that were heard, by their names; gone ones for a while.
	workers map[string]*worker
	// tellStart are the types of which a worker has said that it starts them.
	tellStart map[string]bool
	// brokerAway says why the broker cannot be used, and awaySince since when.
	brokerAway string
	awaySince  time.Time
	// connection counts how often the broker was connected.
	connection int
	// heardSince is since when workers can be heard: before, their silence says nothing. After an
	// outage that is later than the broker is back.
	heardSince time.Time
	closed     bool
}

// Open makes an executor. The broker need not be there yet.
func Open(cfg sdk.Config, c config.Executor) (_ sdk.Executor, err error) {
	if cfg.DataDir == "" {
		return nil, fmt.Errorf("executor %q: remote-queue needs a data directory", cfg.Executor)
	}
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("executor %q: %w", cfg.Executor, err)
	}
	e := &executor{cfg: cfg, queueConfig: c, log: cfg.Log, opened: time.Now(), attempts: map[string]*attempt{}, early: map[string]heardReply{},
		workers: map[string]*worker{}, tellStart: map[string]bool{}, brokerAway: "no answer yet", awaySince: time.Now()}
	if e.log == nil {
		e.log = hclog.NewNullLogger()
	}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	if e.host, err = files.StableID(cfg.DataDir); err != nil {
		return nil, fmt.Errorf("executor %q: %w", cfg.Executor, err)
	}
	if e.published, err = openJournal(cfg.DataDir); err != nil {
		return nil, fmt.Errorf("executor %q: %w", cfg.Executor, err)
	}
	e.link.init(e)
	if e.link.connection, err = amqp.New(amqp.Options{URLs: c.URL, Name: "taskhost " + cfg.Executor, Credentials: c.Credentials, Log: e.log,
		Setup: e.link.setUp, Up: e.connected, Down: e.disconnected}); err != nil {
		return nil, fmt.Errorf("executor %q: %w", cfg.Executor, err)
	}
	e.link.connection.Start()
	e.loops.Go(e.watch)
	return e, nil
}

func (e *executor) connected() {
	e.mu.Lock()
	now := time.Now()
	if e.brokerAway != "" {
		e.heardSince = now.Add(min(now.Sub(e.awaySince), maxRetryPause))
	}
	e.brokerAway = ""
	for _, a := range e.attempts {
		a.wake() // what was not confirmed is published again
	}
	e.mu.Unlock()
	e.cfg.Changed()
}

func (e *executor) disconnected(err error) {
	e.mu.Lock()
	changed := e.brokerAway == ""
	if changed {
		e.awaySince = time.Now()
	}
	e.brokerAway = err.Error()
	e.mu.Unlock()
	if changed {
		e.cfg.Changed()
	}
}

// Describe offers a type for each task of the config. One that no worker serves at present is
// unavailable.
func (e *executor) Describe(context.Context) (sdk.Info, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	info := sdk.Info{Deferred: true, Outlives: true, StartUnknown: true, Slots: e.cfg.Slots}
	if info.Slots == 0 {
		info.Slots = defaultSlots
	}
	if e.brokerAway != "" {
		info.Unavailable = fmt.Sprintf("the broker%s cannot be used since %s: %s", e.queueConfig.BrokerAddress(), e.awaySince.UTC().Format(time.RFC3339), e.brokerAway)
	}
	info.Nodes = e.describeWorkers()
	info.Types = e.describeTypes(info.Nodes)
	return info, nil
}

// Close lets go of the broker. What workers run goes on, and their answers wait in the queue
// of this host; every Execute that has not returned returns sdk.ErrDetach.
func (e *executor) Close() error {
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil
	}
	e.closed = true
	e.mu.Unlock()
	e.cancel()
	e.loops.Wait()
	e.link.close()
	return e.published.close()
}

// String names the executor in logs.
func (e *executor) String() string { return "remote-queue " + e.cfg.Executor }
