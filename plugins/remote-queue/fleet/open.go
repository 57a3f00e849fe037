package fleet

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/plugins/remote-queue/broker"
	"github.com/taskhost/taskhost/plugins/remote-queue/config"
	"github.com/taskhost/taskhost/plugins/remote-queue/files"
	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/sdk"
)

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
		knownTypes: make(map[string]*knownType), typesSaved: time.Now(), goneWorkers: make(map[string]goneWorker), drained: make(map[string]struct{}), routes: map[string]wire.Route{wire.AnyRoute: {}}}
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
	id, err := files.StableID(cfg.DataDir) // tells this host from others on the same broker
	if err != nil {
		return nil, err
	}
	f.starts.init(f)
	f.owner.init(f, id)
	f.outbox = wire.NewOutbox(f.send, f.maxMessage)
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
	f.noteBack(f.status.brokerAwayFor())
	if f.status.noteBroker("") {
		f.cfg.Changed()
	}
	wire.Wake(f.owner.wakeUp)
	f.starts.noteReconnected()
}

// handleDisconnected notes why the broker is not there. Whose the queue is has to be
// asked again before anything else.
func (f *fleet) handleDisconnected(err error) {
	f.owner.invalidate()
	if f.status.noteBroker(err.Error()) {
		f.cfg.Changed()
	}
}

// Close lets go of the broker, and ends it if it is the host's own. What runs on
// workers goes on; every attempt that has not ended returns sdk.ErrDetach.
func (f *fleet) Close() error {
	f.mu.Lock()
	if f.closed {
		f.mu.Unlock()
		return nil
	}
	f.closed = true
	for _, a := range f.attempts { // from here on none is added
		a.tellCallers(sdk.Result{}, sdk.ErrDetach)
	}
	f.mu.Unlock()
	f.cancel()
	f.loops.Wait()
	if f.broker != nil {
		f.broker.Close()
	}
	return nil
}

// String names the fleet in logs.
func (f *fleet) String() string { return strings.TrimSpace("remote-queue " + f.cfg.Executor) }
