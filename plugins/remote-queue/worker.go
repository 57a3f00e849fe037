package remotequeue

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/sdk"
)

// WorkerOptions is what a worker is made of.
type WorkerOptions struct {
	// Name is how hosts and operators know it; with a token of its own it proves it.
	Name    string
	Version string
	Labels  map[string]string // what a task's route may ask for

	// URL of the broker, several separated by commas for a cluster; or Join, the
	// data directory of a host on this machine with an embedded broker, with
	// JoinExecutor where that host has several.
	URL          string
	Join         string
	JoinExecutor string
	// Queue is the host's, "default" if it has not named one. Join finds it.
	Queue string
	// Token is what lets the worker in. User and Password, Creds (a file), and the
	// TLS files CA, Cert and Key are for brokers that ask for them.
	Token, User, Password, Creds, CA, Cert, Key string
	// AllowNoCredentials has a worker join a broker at URL without any, though it is
	// not on loopback.
	AllowNoCredentials bool

	Log   hclog.Logger
	Local []Local
}

// ParseQueue reads the queue block of a worker's config, one JSON object, into o.
// Unknown keys are refused.
func (o *WorkerOptions) ParseQueue(block []byte) error {
	var q struct {
		URL      string `json:"url"`
		Join     string `json:"join"`
		Executor string `json:"executor"`
		Queue    string `json:"queue"`
		Token    string `json:"token"`
		User     string `json:"user"`
		Password string `json:"password"`
		Creds    string `json:"creds"`
		CA       string `json:"ca"`
		Cert     string `json:"cert"`
		Key      string `json:"key"`
		Open     bool   `json:"allow_no_credentials"`
	}
	dec := json.NewDecoder(bytes.NewReader(block))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&q); err != nil {
		return fmt.Errorf("queue: %s", strings.TrimPrefix(err.Error(), "json: "))
	}
	o.URL, o.Join, o.JoinExecutor, o.Queue = q.URL, q.Join, q.Executor, q.Queue
	o.Token, o.User, o.Password, o.Creds, o.CA, o.Cert, o.Key = q.Token, q.User, q.Password, q.Creds, q.CA, q.Cert, q.Key
	o.AllowNoCredentials = q.Open
	return nil
}

func (o *WorkerOptions) credentials() credentials {
	return credentials{Token: o.Token, User: o.User, Password: o.Password, Creds: o.Creds, CA: o.CA, Cert: o.Cert, Key: o.Key}
}

// Local is one executor of a worker.
type Local struct {
	Name     string
	Executor sdk.Executor
	Slots    int // attempts at once; 0: what the executor says, or else 16
	// Changed says that Describe should be asked again; it may be nil.
	Changed <-chan struct{}
}

// Worker takes attempts from a broker and runs them on its executors. It looks for
// a host for ever, and keeps results while there is none.
type Worker struct {
	options         WorkerOptions
	peer            peer
	log             hclog.Logger
	broker          workerBroker // nil before Run has connected
	dial            workerDialer
	queue           string
	joinFile        string // empty where the options have the address
	outbox          *outbox
	http            *http.Client
	idleScripts     chan *run // to a goroutine that is free
	pullWanted      chan struct{}
	heartbeatWanted chan struct{}
	runRemoved      chan struct{} // signaled whenever a run leaves
	counters        counters
	ctx             context.Context
	cancel          context.CancelFunc
	loops           sync.WaitGroup
	// scripts are waited for as long as they listen to their contexts, and no longer.
	scripts  sync.WaitGroup
	returned chan struct{} // closed when Run has returned
	// dismissed has why the host ended the worker's session.
	dismissed chan error

	describeNext atomic.Bool // the next heartbeat says what the worker is

	mu              sync.Mutex
	started, closed bool
	draining        bool
	executors       []*localExecutor
	runs            map[token]*run
	suspect         *run // the one that has the worker's place for suspects
	offer           offer
	heardHost       time.Time
	hostSilent      bool
	restUnreachable bool
}

// localExecutor is an executor with what it offers and has free.
type localExecutor struct {
	Local
	types   map[string]sdk.TypeInfo
	offered []sdk.TypeInfo
	slots   int
	used    int
	pullers map[string]*puller // by consumer
}

const defaultWorkerSlots = 16

// newWorker checks the options. Run does the rest.
func newWorker(o WorkerOptions, dial workerDialer) (*Worker, error) {
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	switch {
	case !workerName.MatchString(o.Name):
		return nil, fmt.Errorf("worker name %q: letters, digits, '.', '_' and '-', 100 at the most", o.Name)
	case (o.URL == "") == (o.Join == ""):
		return nil, errors.New("a worker needs the url of a broker, or the data directory of a host to join: one of the two")
	case len(o.Local) == 0:
		return nil, errors.New("a worker needs at least one executor")
	}
	if o.URL != "" {
		if err := checkCredentials(o.URL, o.credentials(), o.AllowNoCredentials); err != nil {
			return nil, err
		}
		if !o.credentials().canAuthenticate(o.URL) {
			o.Log.Warn("the broker is not told who this worker is: whoever can connect to it may take tasks and answer for them; set a token, or other credentials")
		}
	}
	w := &Worker{options: o, dial: dial, log: o.Log, peer: peer{o.Name, rand.Text()[:16]}, runs: make(map[token]*run),
		idleScripts: make(chan *run), pullWanted: make(chan struct{}, 1), heartbeatWanted: make(chan struct{}, 1), runRemoved: make(chan struct{}, 1), returned: make(chan struct{}), dismissed: make(chan error, 1),
		http: &http.Client{Transport: &http.Transport{ResponseHeaderTimeout: 30 * time.Second, MaxIdleConnsPerHost: 8}}}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	if o.Join != "" {
		path, err := findJoin(o.Join, o.JoinExecutor)
		if err != nil {
			return nil, err
		}
		w.joinFile = path
		j, err := readJoin(path)
		if err != nil {
			return nil, err
		}
		o.Queue = j.Queue
	}
	if o.Queue == "" {
		o.Queue = "default"
	}
	if !queueName.MatchString(o.Queue) {
		return nil, fmt.Errorf("queue %q: letters, digits, '_' and '-', 32 at the most", o.Queue)
	}
	w.queue = o.Queue
	w.outbox = newOutbox(func(_ peer, data []byte) {
		if err := w.broker.Send(upItems, data); err != nil {
			w.log.Trace("send", "error", err)
		}
	})
	for _, l := range o.Local {
		w.executors = append(w.executors, &localExecutor{Local: l, pullers: make(map[string]*puller)})
	}
	return w, nil
}

// Run works until ctx ends, or until Drain is through. When ctx ends, what runs is
// stopped, and its outcome told if the host can be reached at once.
func (w *Worker) Run(ctx context.Context) error {
	w.mu.Lock()
	if w.started {
		w.mu.Unlock()
		return errors.New("a worker runs once")
	}
	w.started = true
	w.mu.Unlock()
	defer close(w.returned)
	defer w.cancel()
	for _, l := range w.executors {
		w.describeExecutor(ctx, l)
	}
	if err := w.connect(); err != nil {
		return err
	}
	defer w.closeAll()
	w.loops.Go(func() { w.outbox.run(w.ctx) })
	w.loops.Go(w.pullLoop)
	w.loops.Go(w.heartbeatLoop)
	for _, l := range w.executors {
		if l.Changed != nil {
			w.loops.Go(func() { w.watchOffer(l) })
		}
	}
	select {
	case <-ctx.Done():
		w.stopRuns(time.Second)
		return ctx.Err()
	case err := <-w.dismissed:
		w.log.Error("the worker ends", "error", err)
		w.stopRuns(time.Second)
		return err
	case <-w.ctx.Done(): // drained
		return nil
	}
}

// closeAll closes what Run opened.
func (w *Worker) closeAll() {
	w.mu.Lock()
	w.closed = true
	for _, r := range w.runs {
		if r.phase == working {
			r.cancel(sdk.ErrDetach)
		}
	}
	w.mu.Unlock()
	w.cancel()
	w.loops.Wait()
	if !waitGroup(&w.scripts, 500*time.Millisecond) {
		w.log.Warn("scripts that do not stop are left behind: they end with the process")
	}
	if w.broker.Connected() {
		w.sendHeartbeat(true)
	}
	w.broker.Close()
	w.http.CloseIdleConnections()
}

// connect joins the worker to its broker.
func (w *Worker) connect() error {
	b, err := w.dial(workerConnection{Peer: w.peer, Queue: w.queue, URL: w.options.URL, JoinFile: w.joinFile,
		Credentials: w.options.credentials(), Log: w.log},
		workerEvents{Connected: w.handleConnected, Received: w.receiveFromHost, Accepted: w.handleAcceptConfirmed})
	if err != nil {
		return err
	}
	w.broker = b
	return nil
}

// handleConnected begins anew with a broker that just came (back): what was asked of the
// old connection is not answered any more.
func (w *Worker) handleConnected() {
	w.mu.Lock()
	for _, l := range w.executors {
		for _, p := range l.pullers {
			p.requested = 0
		}
	}
	w.mu.Unlock()
	w.describeNext.Store(true)
	wake(w.heartbeatWanted)
	wake(w.pullWanted)
}

// queueItem has an item told to the host.
func (w *Worker) queueItem(it *item) { w.outbox.add(w.peer, it) }

// spawn runs f until the worker leaves. w.mu is held.
func (w *Worker) spawn(f func()) {
	if !w.closed {
		w.loops.Go(f)
	}
}

// describeExecutor learns what an executor offers.
func (w *Worker) describeExecutor(ctx context.Context, l *localExecutor) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	info, err := l.Executor.Describe(ctx)
	if err != nil {
		w.log.Info("executor is not ready; its types are not offered", "executor", l.Name, "reason", err)
		info = sdk.Info{}
	}
	w.mu.Lock()
	l.slots = l.Slots
	if info.Slots > 0 && (l.slots == 0 || info.Slots < l.slots) {
		l.slots = info.Slots
	}
	if l.slots == 0 {
		l.slots = defaultWorkerSlots
	}
	l.types, l.offered = make(map[string]sdk.TypeInfo, len(info.Types)), nil
	for _, t := range info.Types {
		if !t.Unavailable {
			l.types[t.Name] = t
			l.offered = append(l.offered, t)
		}
	}
	w.mu.Unlock()
	w.describeNext.Store(true)
	wake(w.heartbeatWanted)
	wake(w.pullWanted)
}

// watchOffer asks again when an executor's offer changes.
func (w *Worker) watchOffer(l *localExecutor) {
	for {
		select {
		case <-w.ctx.Done():
			return
		case _, ok := <-l.Changed:
			if !ok {
				return
			}
			w.describeExecutor(w.ctx, l)
		}
	}
}

// describeSelf is what the worker is. w.mu is held.
func (w *Worker) describeSelf() *workerInfo {
	a := &workerInfo{Version: w.options.Version, Labels: w.options.Labels, Address: w.broker.LocalAddress(), TypeSlots: make(map[string]int)}
	seen := make(map[string]bool)
	for _, l := range w.executors {
		a.Slots += l.slots
		for _, t := range l.offered {
			if seen[t.Name] {
				continue
			}
			seen[t.Name] = true
			a.Types = append(a.Types, t)
			if len(w.executors) > 1 { // the slots of each are its own
				a.TypeSlots[t.Name] = l.slots
			}
		}
	}
	return a
}

// sendHeartbeat tells the host what goes on here.
func (w *Worker) sendHeartbeat(bye bool) {
	w.mu.Lock()
	h := heartbeat{Draining: w.takesNothing(), Offer: w.offer.ID, Unreachable: w.restUnreachable, Bye: bye}
	for _, l := range w.executors {
		h.Used += l.used
	}
	for t, r := range w.runs {
		if !r.fenced {
			h.Running = append(h.Running, t[:]...)
		}
	}
	if w.describeNext.Swap(false) {
		h.Info = w.describeSelf()
	}
	w.mu.Unlock()
	data, err := json.Marshal(h)
	if err != nil {
		w.log.Error("heartbeat", "error", err)
		return
	}
	if err := w.broker.Send(upHeartbeat, data); err != nil && h.Info != nil {
		w.describeNext.Store(true)
	}
}
