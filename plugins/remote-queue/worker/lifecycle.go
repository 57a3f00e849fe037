package worker

import (
	"context"
	"crypto/rand"
	"errors"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/plugins/remote-queue/broker"
	"github.com/taskhost/taskhost/plugins/remote-queue/config"
	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/sdk"
)

const defaultWorkerSlots = 16

// New checks the options. Run does the rest.
func New(o Options, dial Dialer) (*Worker, error) {
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	if err := errors.Join(o.CheckName(), o.CheckQueue()); err != nil {
		return nil, err
	}
	if len(o.Local) == 0 {
		return nil, errors.New("a worker needs at least one executor")
	}
	if o.URL != "" && !config.CanAuthenticate(o.URL, o.Credentials) {
		o.Log.Warn("the broker is not told who this worker is: whoever can connect to it may take tasks and answer for them; set a token, or other credentials")
	}
	rest, err := o.restClient()
	if err != nil {
		return nil, err
	}
	w := &Worker{options: o, dial: dial, log: o.Log, peer: wire.Peer{Name: o.Name, Instance: rand.Text()[:16]}, runs: make(map[sdk.Token]*run), putBack: make(map[sdk.Token]time.Time),
		pullWanted: make(chan struct{}, 1), heartbeatWanted: make(chan struct{}, 1), runRemoved: make(chan struct{}, 1), runnerWanted: make(chan struct{}, 1), returned: make(chan struct{}), dismissed: make(chan error, 1),
		http: rest}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	if o.Join != "" {
		path, err := config.FindJoin(o.Join, o.JoinExecutor)
		if err != nil {
			return nil, err
		}
		w.joinFile = path
		j, err := config.ReadJoin(path)
		if err != nil {
			return nil, err
		}
		o.Queue = j.Queue
	}
	if o.Queue == "" {
		o.Queue = "default"
	}
	if err := wire.CheckQueueName(o.Queue); err != nil {
		return nil, err
	}
	w.queue = o.Queue
	w.outbox = wire.NewOutbox(func(_ wire.Peer, data []byte) {
		if err := w.broker.Send(wire.ChannelItems, data); err != nil {
			w.log.Trace("send", "error", err)
		}
	}, w.maxMessage)
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
	w.loops.Go(func() { w.outbox.Run(w.ctx) })
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
			r.ctx.End(sdk.ErrDetach)
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
	b, err := w.dial(broker.WorkerConnection{Peer: w.peer, Queue: w.queue, URL: w.options.URL, JoinFile: w.joinFile,
		Credentials: w.options.Credentials, Log: w.log},
		broker.WorkerEvents{Connected: w.handleConnected, Received: w.receiveFromHost})
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
	w.revision++ // its address may be another one
	w.mu.Unlock()
	w.describeNext.Store(true)
	wire.Wake(w.heartbeatWanted)
	wire.Wake(w.pullWanted)
}
