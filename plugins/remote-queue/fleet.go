package remotequeue

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
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/taskhost/taskhost/sdk"
)

// fleet is the executor: the host's half.
type fleet struct {
	cfg         sdk.Config
	queueConfig config
	names       subjects
	log         hclog.Logger
	process     string // this process of the host, at random
	restURL     string // the host's REST for workers; "" if there is none

	broker         *embeddedBroker // nil if it is another's
	nc             *nats.Conn
	js             jetstream.JetStream
	upSubscription *nats.Subscription
	outbox         *outbox
	clock          lapseClock
	stream         stream
	owner          owner
	status         status

	cancel        context.CancelFunc
	ctx           context.Context
	loops         sync.WaitGroup
	counters      counters
	brokerPayload atomic.Int64 // what a message of the broker may hold; 0 before it was seen

	drainedMu sync.Mutex // held while drained and its file change; before mu

	mu       sync.Mutex
	attempts map[token]*attempt
	// forgottenTokens are tokens whose end was settled while workers may still come back
	// from before this process; afterwards every unknown token is a stranger.
	forgottenTokens map[token]struct{}
	workers         map[peer]*remoteWorker
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

// open starts a fleet. The broker, if it is the host's own, listens when it returns.
func open(cfg sdk.Config, c config) (_ *fleet, err error) {
	f := &fleet{cfg: cfg, queueConfig: c, names: subjects{c.Queue}, log: cfg.Log, process: rand.Text(), restURL: c.restURL(cfg.HostURL),
		attempts: make(map[token]*attempt), forgottenTokens: make(map[token]struct{}), workers: make(map[peer]*remoteWorker),
		knownTypes: make(map[string]*knownType), typesSaved: time.Now(), goneWorkers: make(map[string]goneWorker), drained: make(map[string]struct{}), routes: map[string]map[string]string{anyRoute: nil}}
	if f.log == nil {
		f.log = hclog.NewNullLogger()
	}
	if c.openToAll() {
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
	f.stream.init(f)
	f.owner.init(f, id)
	f.outbox = newOutbox(func(to peer, data []byte) { f.send(f.names.down(to), data) })
	if err := f.connect(); err != nil {
		return nil, err
	}
	if f.upSubscription, err = f.nc.Subscribe(f.names.allUp(), f.receiveFromWorkers); err != nil {
		return nil, err
	}
	if err := f.upSubscription.SetPendingLimits(1<<20, maxUnread); err != nil {
		return nil, err
	}
	if _, err = f.nc.Subscribe(f.names.claim(f.process), f.owner.answerAlive); err != nil {
		return nil, err
	}
	f.owner.renewOrTake() // a broker that is there answers at once
	f.loops.Go(func() { f.outbox.run(f.ctx) })
	f.loops.Go(f.owner.run)
	f.loops.Go(f.watchAttempts)
	f.loops.Go(f.stream.run)
	return f, nil
}

// maxUnread is how many bytes from workers may wait to be read. Beyond that messages
// are lost, and repeated by whoever needs an answer.
const maxUnread = 128 << 20

// heartbeat is how often a worker is heard.
func (f *fleet) heartbeat() time.Duration { return time.Duration(f.queueConfig.Heartbeat) }

// hostID tells this host from others on the same broker, and stays the same.
func hostID(dir string) (string, error) {
	path := filepath.Join(dir, "host-id")
	if data, err := os.ReadFile(path); err == nil && len(data) > 0 {
		return string(data), nil
	}
	id := rand.Text()
	return id, replaceFile(path, []byte(id))
}

func (f *fleet) connect() (err error) {
	f.status.noteBroker("no answer yet")
	seldom := logSparsely(f.log)
	opts := []nats.Option{nats.Name("taskhost " + f.cfg.Executor), nats.MaxReconnects(-1), nats.IgnoreAuthErrorAbort(),
		nats.ReconnectErrHandler(func(nc *nats.Conn, err error) { f.disconnected(err); seldom(nc, err) }),
		nats.RetryOnFailedConnect(true), nats.ReconnectWait(250 * time.Millisecond), nats.ReconnectJitter(50*time.Millisecond, 50*time.Millisecond),
		nats.PingInterval(2 * time.Second), nats.MaxPingsOutstanding(2), nats.ReconnectBufSize(-1),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { f.log.Warn("broker", "error", err) }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				f.disconnected(err)
				f.log.Warn("the broker is away; nothing is dispatched and no lapse counts until it is back", "error", err)
			}
		}),
		nats.ConnectHandler(f.connected),
		nats.ReconnectHandler(func(nc *nats.Conn) { f.log.Info("the broker is back"); f.connected(nc) })}
	if f.queueConfig.URL == "" {
		if f.broker, err = startBroker(&f.queueConfig, f.cfg.DataDir, f.log); err != nil {
			return err
		}
		opts = append(opts, nats.InProcessServer(f.broker.server), nats.UserInfo(hostUser, f.broker.secret))
	} else {
		more, err := clientOptions(f.queueConfig.credentials())
		if err != nil {
			return err
		}
		opts = append(opts, more...)
	}
	if f.nc, err = nats.Connect(f.queueConfig.URL, opts...); err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	if f.nc.IsConnected() {
		f.brokerPayload.Store(f.nc.MaxPayload())
		f.status.noteBroker("")
	}
	f.js, err = jetstream.New(f.nc, jetstream.WithPublishAsyncMaxPending(4096),
		jetstream.WithPublishAsyncTimeout(5*time.Second), jetstream.WithDefaultTimeout(5*time.Second),
		jetstream.WithPublishAsyncAckHandler(f.stream.publishConfirmed), jetstream.WithPublishAsyncErrHandler(f.stream.publishFailed))
	return err
}

func (f *fleet) connected(nc *nats.Conn) {
	f.brokerPayload.Store(nc.MaxPayload())
	if f.status.noteBroker("") {
		f.cfg.Changed()
	}
	wake(f.owner.wakeUp)
	f.stream.wakeLoop()
}

// disconnected notes why the broker is not there. Whose the queue is has to be asked
// again before anything else.
func (f *fleet) disconnected(err error) {
	f.owner.invalidate()
	if f.status.noteBroker(err.Error()) {
		f.cfg.Changed()
	}
}

// logSparsely logs why a broker cannot be reached: at first, and then ever more rarely.
func logSparsely(log hclog.Logger) func(*nats.Conn, error) {
	var n atomic.Int64
	return func(_ *nats.Conn, err error) {
		if i := n.Add(1); i&(i-1) == 0 {
			log.Warn("the broker cannot be reached; it is tried again", "attempts", i, "error", err)
		}
	}
}

// credentials are how one proves to a broker who one is.
type credentials struct{ Token, User, Password, Creds, CA, Cert, Key string }

// canAuthenticate says that there is something to prove it by. A ca says who the broker is.
func (c credentials) canAuthenticate(urls string) bool {
	if c.Token != "" || c.User != "" && c.Password != "" || c.Creds != "" || c.Cert != "" {
		return true
	}
	all := brokerURLs(urls)
	for _, u := range all {
		if u.User == nil {
			return false
		}
	}
	return len(all) > 0
}

func clientOptions(c credentials) ([]nats.Option, error) {
	var opts []nats.Option
	if c.Token != "" {
		opts = append(opts, nats.Token(c.Token))
	}
	if c.User != "" || c.Password != "" {
		opts = append(opts, nats.UserInfo(c.User, c.Password))
	}
	if c.Creds != "" {
		if _, err := os.Stat(c.Creds); err != nil {
			return nil, fmt.Errorf("creds: %w", err)
		}
		opts = append(opts, nats.UserCredentials(c.Creds))
	}
	if c.CA != "" {
		if _, err := os.Stat(c.CA); err != nil {
			return nil, fmt.Errorf("ca: %w", err)
		}
		opts = append(opts, nats.RootCAs(c.CA))
	}
	if c.Cert != "" {
		if _, err := os.Stat(c.Cert); err != nil {
			return nil, fmt.Errorf("cert: %w", err)
		}
		opts = append(opts, nats.ClientCert(c.Cert, c.Key))
	}
	return opts, nil
}

// send is a core publish. What it loses is repeated by whoever needs the answer. A
// host that does not surely have the queue says nothing.
func (f *fleet) send(subject string, data []byte) {
	if !f.owner.ownsQueue() {
		return
	}
	if err := f.nc.Publish(subject, data); err != nil && !f.isClosed() {
		f.log.Debug("publish", "subject", subject, "error", err)
	}
}

func (f *fleet) isClosed() bool { return f.ctx.Err() != nil }

// queueItem queues an item for a worker.
func (f *fleet) queueItem(p peer, it *item) { f.outbox.add(p, it) }

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
	if f.nc != nil {
		_ = f.nc.FlushTimeout(time.Second) // the last acks; unheard, they are asked for again
		f.nc.Close()
	}
	if f.broker != nil {
		f.broker.stop()
	}
	return nil
}

// maxMessage is what a message may hold, less room for what stands around it.
func (f *fleet) maxMessage() int { return messageLimit(f.brokerPayload.Load()) }

// maxStart is what a start may take: the stream has to hold it as well.
func (f *fleet) maxStart() int {
	if n := f.queueConfig.MaxBytes; n > 0 {
		return min(f.maxMessage(), messageLimit(n))
	}
	return f.maxMessage()
}

// messageLimit is what a message of a broker that carries so much may hold; 0 is a broker
// that was never seen.
func messageLimit(payload int64) int {
	if payload <= 0 {
		payload = 1 << 20
	}
	return int(payload - min(32<<10, payload/4))
}

// sendOffer tells a worker where to pull. f.mu is held.
func (f *fleet) sendOffer(w *remoteWorker) {
	o := f.offerFor(w)
	data, err := json.Marshal(o)
	if err != nil {
		f.log.Error("offer", "worker", w.peer.name, "error", err)
		return
	}
	f.send(f.names.down(w.peer), data)
}

// String names the fleet in logs.
func (f *fleet) String() string { return strings.TrimSpace("remote-queue " + f.cfg.Executor) }
