// Package fleet is the host's half of a queue: an executor that hands each attempt to some
// worker, and returns what became of it. The host's store is the only truth. What a broker
// loses is published again, as long as no worker was told to start.
package fleet

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/plugins/remote-queue/broker"
	"github.com/taskhost/taskhost/plugins/remote-queue/config"
	"github.com/taskhost/taskhost/plugins/remote-queue/files"
	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/sdk"
)

// fleet is the executor: the host's half.
type fleet struct {
	cfg         sdk.Config
	queueConfig config.Executor
	log         hclog.Logger
	process     string // this process of the host, at random
	restURL     string // the host's REST for workers; "" if there is none

	broker Broker // nil before it is connected
	outbox *wire.Outbox
	clock  lapseClock
	starts startQueue
	owner  owner
	status status

	cancel   context.CancelFunc
	ctx      context.Context
	loops    sync.WaitGroup
	counters counters

	drainedMu sync.Mutex // held while drained and its file change; before mu

	mu       sync.Mutex
	attempts map[sdk.Token]*attempt
	// forgottenTokens are tokens whose end was settled while workers may still come back
	// from before this process; afterwards every unknown token is a stranger.
	forgottenTokens map[sdk.Token]struct{}
	workers         map[wire.Peer]*remoteWorker
	goneWorkers     map[string]goneWorker // by name; of names that are not among the workers
	drained         map[string]struct{}   // the names that an operator drained
	// knownTypes are the types of present workers, and of those that are away.
	knownTypes   map[string]*knownType
	typesUnsaved bool      // not as on file
	typesSaved   time.Time // when last

	routes map[string]map[string]string
	closed bool
}

// counters are what should not happen often, for those who look for a fault.
type counters struct {
	garbled        atomic.Int64 // messages or items that could not be read
	refusedReports atomic.Int64 // reports whose token is not wanted
	republished    atomic.Int64 // starts that had to be published again
	// dismissedWorkers are the messages for which a worker's session was ended.
	dismissedWorkers atomic.Int64
}

// Open starts a fleet. The broker, if it is the host's own, listens when it returns.
func Open(cfg sdk.Config, c config.Executor, dial Dialer) (_ *fleet, err error) {
	if cfg.DataDir == "" {
		return nil, fmt.Errorf("executor %q: remote-queue needs a data directory", cfg.Executor)
	}
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("executor %q: %w", cfg.Executor, err)
	}
	f := &fleet{cfg: cfg, queueConfig: c, log: cfg.Log, process: rand.Text(), restURL: c.RestURL(cfg.HostURL),
		attempts: make(map[sdk.Token]*attempt), forgottenTokens: make(map[sdk.Token]struct{}), workers: make(map[wire.Peer]*remoteWorker),
		knownTypes: make(map[string]*knownType), typesSaved: time.Now(), goneWorkers: make(map[string]goneWorker), drained: make(map[string]struct{}), routes: map[string]map[string]string{wire.AnyRoute: nil}}
	if f.log == nil {
		f.log = hclog.NewNullLogger()
	}
	if c.OpenToAll() {
		f.log.Warn("the broker asks nobody who they are: whoever can connect to it may take tasks and answer for them; set a token, or other credentials")
	}
	f.ctx, f.cancel = context.WithCancel(context.Background())
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("executor %q: %w", cfg.Executor, err), f.Close())
		}
	}()
	f.loadTypes()
	f.loadDrained()
	id, err := hostID(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	f.starts.init(f)
	f.owner.init(f, id)
	f.outbox = wire.NewOutbox(f.send)
	if err := f.connect(dial); err != nil {
		return nil, err
	}
	f.owner.renewOrTake() // a broker that is there answers at once
	f.loops.Go(func() { f.outbox.Run(f.ctx) })
	f.loops.Go(f.owner.run)
	f.loops.Go(f.watchAttempts)
	f.loops.Go(f.starts.run)
	return f, nil
}

// heartbeat is how often a worker is heard.
func (f *fleet) heartbeat() time.Duration { return time.Duration(f.queueConfig.Heartbeat) }

// hostID tells this host from others on the same broker, and stays the same.
func hostID(dir string) (string, error) {
	path := filepath.Join(dir, "host-id")
	if data, err := os.ReadFile(path); err == nil && len(data) > 0 {
		return string(data), nil
	}
	id := rand.Text()
	return id, files.Replace(path, []byte(id))
}

// connect joins the fleet to its broker.
func (f *fleet) connect(dial Dialer) error {
	f.status.noteBroker("no answer yet")
	b, err := dial(broker.HostConnection{Executor: f.cfg.Executor, Process: f.process, DataDir: f.cfg.DataDir, Config: &f.queueConfig, Log: f.log},
		broker.HostEvents{
			Connected: f.handleConnected, Disconnected: f.handleDisconnected, Received: f.receiveFromWorkers,
			Published: f.starts.publishConfirmed, PublishFailed: f.starts.publishFailed, HoldsQueue: f.owner.claimed.Load,
		})
	if err != nil {
		return err
	}
	f.broker = b
	if b.Connected() {
		f.status.noteBroker("")
	}
	return nil
}

func (f *fleet) handleConnected() {
	if f.status.noteBroker("") {
		f.cfg.Changed()
	}
	wire.Wake(f.owner.wakeUp)
	f.starts.wakeLoop()
}

// handleDisconnected notes why the broker is not there. Whose the queue is has to be
// asked again before anything else.
func (f *fleet) handleDisconnected(err error) {
	f.owner.invalidate()
	if f.status.noteBroker(err.Error()) {
		f.cfg.Changed()
	}
}

// send tells a worker something. What is lost is repeated by whoever needs the answer. A
// host that does not surely have the queue says nothing.
func (f *fleet) send(to wire.Peer, data []byte) {
	if !f.owner.ownsQueue() {
		return
	}
	if err := f.broker.Send(to, data); err != nil && !f.isClosed() {
		f.log.Debug("send", "worker", to.Name, "error", err)
	}
}

func (f *fleet) isClosed() bool { return f.ctx.Err() != nil }

// queueItem queues an item for a worker.
func (f *fleet) queueItem(p wire.Peer, it *wire.Item) { f.outbox.Add(p, it) }

// Close lets go of the broker, and ends it if it is the host's own. What runs on
// workers goes on; every Execute that has not returned returns sdk.ErrDetach.
func (f *fleet) Close() error {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return nil
	}
	f.closed = true
	f.mu.Unlock()
	f.cancel()
	f.loops.Wait()
	if f.broker != nil {
		f.broker.Close()
	}
	return nil
}

// maxMessage is what a message may hold, less room for what stands around it.
func (f *fleet) maxMessage() int { return wire.MessageLimit(f.broker.MaxPayload()) }

// maxStart is what a start may take: the stream has to hold it as well.
func (f *fleet) maxStart() int {
	if n := f.queueConfig.MaxBytes; n > 0 {
		return min(f.maxMessage(), wire.MessageLimit(n))
	}
	return f.maxMessage()
}

// sendOffer tells a worker where to pull. f.mu is held.
func (f *fleet) sendOffer(w *remoteWorker) {
	o := f.offerFor(w)
	data, err := json.Marshal(o)
	if err != nil {
		f.log.Error("offer", "worker", w.peer.Name, "error", err)
		return
	}
	f.send(w.peer, data)
}

// String names the fleet in logs.
func (f *fleet) String() string { return strings.TrimSpace("remote-queue " + f.cfg.Executor) }
