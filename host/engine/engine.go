// Package engine owns the life of tasks: it accepts them, hands attempts to
// executors, and turns what became of each into the next state. It is the only
// room that knows both vocabularies, the domain's (host/task) and the plugins'
// (sdk). The rules are pure and live in host/task; here is when they are asked.
package engine

import (
	"context"
	"crypto/rand"
	mathrand "math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// Executor is a configured executor as the engine is given it.
type Executor struct {
	Name   string
	Plugin string
	Slots  int // the operator's limit; 0 leaves it to what the executor offers
	Impl   sdk.Executor
	// Status says how its process is; nil for built-ins, which are always ready.
	Status func() task.ExecutorStatus
	// Changed is signaled when Status or what Describe says may have changed.
	Changed <-chan struct{}
	// Control does "restart" and "drain" to the process; nil if it has none.
	Control func(ctx context.Context, action string) error
}

// TypeConfig is the operator's word on a task type. Zero and nil leave a value
// to the executor's defaults, and then to the host's.
type TypeConfig struct {
	Executor    string
	Timeout     time.Duration
	MaxAttempts int
	MaxLost     *int
	Retain      *time.Duration
	QueueLimit  int64
	MaxInput    int64
	Priority    int
	Route       map[string]string
	Backoff     *task.Backoff
}

// Options are what New needs. Store is required.
type Options struct {
	Store     task.Store
	Executors []Executor // in the order of the config file: the first that offers a type gets it
	Types     map[string]TypeConfig
	Log       hclog.Logger
	// CancelGrace bounds how long an attempt whose context ended may take to
	// return before it is given up unconfirmed; 10 s if 0.
	CancelGrace time.Duration
	// DrainTimeout is how long Close lets attempts finish before it detaches
	// from them; 5 s if 0.
	DrainTimeout time.Duration
}

// Engine runs tasks. Make one with New, then call Start; Close ends it.
type Engine struct {
	store task.Store
	log   hclog.Logger
	opts  Options

	reg reg
	hub hub

	ctx    context.Context // ends when Close begins: nothing new is started
	cancel context.CancelFunc
	loops  sync.WaitGroup // the engine's own goroutines

	// begins is held, shared, from before an attempt is on record until it is in
	// attempts. Who takes it whole knows that none is on its way.
	begins sync.RWMutex
	closed chan struct{} // when Close has returned: what still runs is the next host's
	ending sync.Once

	jobs chan job // to a goroutine that has just run another

	mu       sync.Mutex
	attempts map[task.ID]*attempt
	idle     chan struct{} // closed and renewed whenever an attempt ends

	dirtyMu sync.Mutex
	dirty   map[*attempt]struct{} // with progress or log lines not yet written

	due     chan struct{} // pokes the timer: something is scheduled
	ignored atomic.Int64  // reports of attempts that no longer hold their task
}

// New makes an engine that does nothing yet.
func New(o Options) *Engine {
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	if o.CancelGrace <= 0 {
		o.CancelGrace = 10 * time.Second
	}
	if o.DrainTimeout <= 0 {
		o.DrainTimeout = 5 * time.Second
	}
	ctx, cancel := context.WithCancel(context.Background())
	e := &Engine{
		store: o.Store, log: o.Log, opts: o, ctx: ctx, cancel: cancel,
		attempts: map[task.ID]*attempt{}, idle: make(chan struct{}), closed: make(chan struct{}),
		dirty: map[*attempt]struct{}{}, jobs: make(chan job), due: make(chan struct{}, 1),
	}
	e.hub.subs = map[task.ID]map[*subscriber]struct{}{}
	e.reg.init(e, o)
	return e
}

// Start learns what the executors offer, takes up what an earlier host left, and begins to
// dispatch. It returns once tasks can be accepted; executors that are not ready
// yet are waited for in the background.
func (e *Engine) Start(ctx context.Context) error {
	if err := e.reg.recall(ctx); err != nil {
		return err
	}
	for _, r := range e.reg.runners {
		e.reg.refresh(ctx, r)
	}
	if err := e.recover(ctx); err != nil {
		return err
	}
	for _, r := range e.reg.runners {
		e.loop(func() { e.follow(r) })
		e.loop(func() { e.dispatch(r) })
		r.poke()
	}
	e.loop(e.promote)
	e.loop(e.retire)
	e.loop(e.flush)
	return nil
}

func (e *Engine) loop(fn func()) {
	e.loops.Add(1)
	go func() {
		defer e.loops.Done()
		fn()
	}()
}

// Close stops dispatching, lets attempts finish for a while, detaches from the
// rest and waits for them, within ctx. Attempts that outlive the host go on;
// those of local executors go back to their queue. What does not return in time
// stays on record as running and is settled by the next host as lost.
func (e *Engine) Close(ctx context.Context) error {
	e.cancel()
	e.awaitBegins()
	e.detach(func(a *attempt) bool { return a.r.outlives() })
	e.awaitIdle(ctx, e.opts.DrainTimeout)
	e.detach(func(*attempt) bool { return true })
	left := e.awaitIdle(ctx, e.opts.CancelGrace)
	e.loops.Wait()
	e.flushNotes() // of those that were let go
	e.ending.Do(func() { close(e.closed) })
	if left > 0 {
		e.log.Warn("attempts did not stop in time; the next host settles them as lost", "attempts", left)
		return task.Errorf(task.CodeInternal, "%d attempts did not stop in time", left)
	}
	return nil
}

// awaitBegins returns when every attempt that was on record before is in attempts.
func (e *Engine) awaitBegins() {
	e.begins.Lock()
	defer e.begins.Unlock()
}

func (e *Engine) detach(which func(*attempt) bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, a := range e.attempts {
		if which(a) {
			a.end(sdk.ErrDetach)
		}
	}
}

// awaitIdle waits until no attempt is left, for d at the most, and says how many are.
func (e *Engine) awaitIdle(ctx context.Context, d time.Duration) int {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for {
		e.mu.Lock()
		n, idle := len(e.attempts), e.idle
		e.mu.Unlock()
		if n == 0 {
			return 0
		}
		select {
		case <-idle:
		case <-timer.C:
			return n
		case <-ctx.Done():
			return n
		}
	}
}

// Ignored counts reports that changed nothing because their attempt no longer
// held its task.
func (e *Engine) Ignored() int64 { return e.ignored.Load() }

// now is the time for the record: UTC, to the microsecond, as the store keeps it.
func now() time.Time { return time.Now().UTC().Truncate(time.Microsecond) }

func newToken() (t task.Token) {
	rand.Read(t[:]) // never fails: crypto/rand ends the process instead
	return t
}

func chance() float64 { return mathrand.Float64() }
