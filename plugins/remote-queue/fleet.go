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
	cfg   sdk.Config
	conf  config
	names names
	log   hclog.Logger
	self  string // this process of the host, at random
	rest  string // the host's REST for workers; "" if there is none

	broker *broker // nil if it is another's
	nc     *nats.Conn
	js     jetstream.JetStream
	sub    *nats.Subscription
	out    *outbox
	clock  clock
	stream stream
	owner  owner
	status status

	cancel  context.CancelFunc
	ctx     context.Context
	loops   sync.WaitGroup
	count   counters
	payload atomic.Int64 // what a message of the broker may hold; 0 before it was seen

	drainMu sync.Mutex // held while drained and its file change; before mu

	mu       sync.Mutex
	attempts map[token]*attempt
	// ended are tokens whose end was settled while workers may still come back
	// from before this process; afterwards every unknown token is a stranger.
	ended   map[token]struct{}
	workers map[peer]*worker
	gone    map[string]goneWorker // by name; of names that are not among the workers
	drained map[string]struct{}   // the names that an operator drained
	// known are the types of present workers, and of those that are away.
	known      map[string]*knownType
	typesDirty bool      // not as on file
	typesSaved time.Time // when last

	routes map[string]map[string]string
	closed bool
}

// counters are what should not happen often, for those who look for a fault.
type counters struct {
	garbage atomic.Int64 // messages or items that could not be read
	refused atomic.Int64 // reports whose token is not wanted
	copies  atomic.Int64 // starts that had to be published again
	// dismissed are the messages for which a worker's session was ended.
	dismissed atomic.Int64
}

// open starts a fleet. The broker, if it is the host's own, listens when it returns.
func open(cfg sdk.Config, c config) (_ *fleet, err error) {
	f := &fleet{cfg: cfg, conf: c, names: names{c.Queue}, log: cfg.Log, self: rand.Text(), rest: c.restURL(cfg.HostURL),
		attempts: make(map[token]*attempt), ended: make(map[token]struct{}), workers: make(map[peer]*worker),
		known: make(map[string]*knownType), typesSaved: time.Now(), gone: make(map[string]goneWorker), drained: make(map[string]struct{}), routes: map[string]map[string]string{anyRoute: nil}}
	if f.log == nil {
		f.log = hclog.NewNullLogger()
	}
	if c.open() {
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
	f.out = newOutbox(func(to peer, data []byte) { f.send(f.names.down(to), data) })
	if err := f.connect(); err != nil {
		return nil, err
	}
	if f.sub, err = f.nc.Subscribe(f.names.allUp(), f.receive); err != nil {
		return nil, err
	}
	if err := f.sub.SetPendingLimits(1<<20, maxUnread); err != nil {
		return nil, err
	}
	if _, err = f.nc.Subscribe(f.names.claim(f.self), f.owner.answer); err != nil {
		return nil, err
	}
	f.owner.look() // a broker that is there answers at once
	f.loops.Go(func() { f.out.run(f.ctx) })
	f.loops.Go(f.owner.run)
	f.loops.Go(f.watch)
	f.loops.Go(f.stream.run)
	return f, nil
}

// maxUnread is how many bytes from workers may wait to be read. Beyond that messages
// are lost, and repeated by whoever needs an answer.
const maxUnread = 128 << 20

// heartbeat is how often a worker is heard.
func (f *fleet) heartbeat() time.Duration { return time.Duration(f.conf.Heartbeat) }

// hostID tells this host from others on the same broker, and stays the same.
func hostID(dir string) (string, error) {
	path := filepath.Join(dir, "host-id")
	if data, err := os.ReadFile(path); err == nil && len(data) > 0 {
		return string(data), nil
	}
	id := rand.Text()
	return id, writeWhole(path, []byte(id))
}

func (f *fleet) connect() (err error) {
	f.status.away("no answer yet")
	seldom := sparse(f.log)
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
	if f.conf.URL == "" {
		if f.broker, err = startBroker(&f.conf, f.cfg.DataDir, f.log); err != nil {
			return err
		}
		opts = append(opts, nats.InProcessServer(f.broker.srv), nats.UserInfo(hostUser, f.broker.secret))
	} else {
		more, err := clientOptions(f.conf.credentials())
		if err != nil {
			return err
		}
		opts = append(opts, more...)
	}
	if f.nc, err = nats.Connect(f.conf.URL, opts...); err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	if f.nc.IsConnected() {
		f.payload.Store(f.nc.MaxPayload())
		f.status.away("")
	}
	f.js, err = jetstream.New(f.nc, jetstream.WithPublishAsyncMaxPending(4096),
		jetstream.WithPublishAsyncTimeout(5*time.Second), jetstream.WithDefaultTimeout(5*time.Second),
		jetstream.WithPublishAsyncAckHandler(f.stream.published), jetstream.WithPublishAsyncErrHandler(f.stream.unpublished))
	return err
}

func (f *fleet) connected(nc *nats.Conn) {
	f.payload.Store(nc.MaxPayload())
	if f.status.away("") {
		f.cfg.Changed()
	}
	signal(f.owner.kick)
	f.stream.wake()
}

// disconnected notes why the broker is not there. Whose the queue is has to be asked
// again before anything else.
func (f *fleet) disconnected(err error) {
	f.owner.doubt()
	if f.status.away(err.Error()) {
		f.cfg.Changed()
	}
}

// sparse logs why a broker cannot be reached: at first, and then ever more rarely.
func sparse(log hclog.Logger) func(*nats.Conn, error) {
	var n atomic.Int64
	return func(_ *nats.Conn, err error) {
		if i := n.Add(1); i&(i-1) == 0 {
			log.Warn("the broker cannot be reached; it is tried again", "attempts", i, "error", err)
		}
	}
}

// credentials are how one proves to a broker who one is.
type credentials struct{ Token, User, Password, Creds, CA, Cert, Key string }

// prove says that there is something to prove it by. A ca says who the broker is.
func (c credentials) prove(urls string) bool {
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
	if !f.owner.sure() {
		return
	}
	if err := f.nc.Publish(subject, data); err != nil && !f.isClosed() {
		f.log.Debug("publish", "subject", subject, "error", err)
	}
}

func (f *fleet) isClosed() bool { return f.ctx.Err() != nil }

// tell queues an item for a worker.
func (f *fleet) tell(p peer, it *item) { f.out.add(p, it) }

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
func (f *fleet) maxMessage() int { return roomIn(f.payload.Load()) }

// maxStart is what a start may take: the stream has to hold it as well.
func (f *fleet) maxStart() int {
	if n := f.conf.MaxBytes; n > 0 {
		return min(f.maxMessage(), roomIn(n))
	}
	return f.maxMessage()
}

// roomIn is what a message of a broker that carries so much may hold; 0 is a broker
// that was never seen.
func roomIn(payload int64) int {
	if payload <= 0 {
		payload = 1 << 20
	}
	return int(payload - min(32<<10, payload/4))
}

// sendOffer tells a worker where to pull. f.mu is held.
func (f *fleet) sendOffer(w *worker) {
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
