// Package engine owns the life of tasks: it accepts them, hands attempts to
// executors, and turns what became of each into the next state. It is the only
// room that knows both vocabularies, the domain's (host/task) and the plugins'
// (sdk). The rules are pure and live in host/task; here is when they are asked.
//
// Whatever changes a task passes commit.go, and what follows from the change
// (watchers hear of it, whoever runs it next is woken) is decided there alone.
package engine

import (
	"cmp"
	"context"
	"crypto/rand"
	mathrand "math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/host/board"
	"github.com/taskhost/taskhost/host/group"
	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/resource"
	"github.com/taskhost/taskhost/host/schedule"
	"github.com/taskhost/taskhost/host/secret"
	"github.com/taskhost/taskhost/host/task"
)

// Store is what an engine needs of a store.
type Store interface {
	task.Store
	task.OfferStore
	task.HostStore
	task.UploadStore
	task.InfoStore
	task.ChangeFeed
	task.TransactionStore
	task.SignalStore
	task.ChildStore
	task.BacklogStore
	task.TypeStore
	task.LimitStore
	task.QuotaStore
	group.Store
	resource.Store
	schedule.Store
}

// Options are what New needs. Store is required.
type Options struct {
	Store     Store
	Executors []registry.Binding // in the order of the config file: the first that offers a type gets it
	Types     map[string]task.TypeConfig
	Quotas    task.Quotas // of owners; SetQuotas changes them
	// Board is where workers ask for what the executors have that are on demand; nil if none is.
	Board *board.Board
	Log   hclog.Logger
	// Secrets are the keys that inputs are sealed with where their type's schema says so. Without
	// any, tasks that need one are refused.
	Secrets *secret.Ring
	// CancelGrace bounds how long an attempt whose context ended may take to
	// return before it is settled without it; 10 s if 0.
	CancelGrace time.Duration
	// DrainTimeout is how long Close lets attempts finish before it detaches
	// from them; 5 s if 0. SetDrainTimeout changes it.
	DrainTimeout time.Duration
	// LogLines and LogBytes bound what is kept of the lines that one attempt logs: of more,
	// the beginning, and how much was dropped. task.DefaultLogLines and task.DefaultLogBytes if
	// 0, and no more lines than task.MaxLogLines. One that outlives a host begins anew with the next.
	LogLines, LogBytes int64
	// Now is the system's clock, as tasks show it; time.Now if nil. What waits for a
	// delay, and every timeout, goes by the monotonic clock instead.
	Now func() time.Time
}

// Engine runs tasks. Make one with New, then call Start; Close ends it.
type Engine struct {
	store Store
	log   hclog.Logger
	opts  Options
	// logMost is what is kept of what one attempt logs.
	logMost logSize

	registry *registry.Registry
	board    *board.Board
	hub      hub
	delays   delays
	failures failures
	started  time.Time

	ctx    context.Context // ends when Close begins: nothing new is started
	cancel context.CancelFunc
	loops  sync.WaitGroup // the engine's own goroutines

	launches launchGate
	closed   chan struct{} // when Close has returned: what still runs is the next host's
	closing  sync.Once

	runners runners

	mu       sync.Mutex
	attempts map[task.ID]*attempt
	idle     chan struct{} // closed and renewed whenever an attempt ends

	drainTimeout atomic.Int64 // a time.Duration

	settlements settlements
	starts      starts
	suspects    suspectTurns

	unsaved unsavedNotes
	polls   polls
	due     chan struct{} // wakes the timer: something is scheduled
	// signalled wakes decideSignals, rescheduled fireSchedules.
	signalled, rescheduled chan struct{}
	rated                  chan struct{} // wakes openRates: some of a rate was used up
	ignored                atomic.Int64  // reports of attempts that no longer hold their task
}

// polls are how often something looks for work without being woken, so that nothing waits
// for ever because a wake-up was missed.
type polls struct{ dispatch, promote, retire, signals, schedules time.Duration }

// New makes an engine that does nothing yet.
func New(o Options) *Engine {
	if o.Log == nil {
		o.Log = hclog.NewNullLogger()
	}
	if o.CancelGrace <= 0 {
		o.CancelGrace = 10 * time.Second
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	most := logSize{lines: min(cmp.Or(o.LogLines, task.DefaultLogLines), task.MaxLogLines), bytes: cmp.Or(o.LogBytes, task.DefaultLogBytes)}
	if o.Board == nil {
		o.Board = board.New(board.Options{})
	}
	ctx, cancel := context.WithCancel(context.Background())
	e := &Engine{
		store: o.Store, log: o.Log, opts: o, logMost: most, board: o.Board, ctx: ctx, cancel: cancel, started: o.Now(),
		attempts: map[task.ID]*attempt{}, idle: make(chan struct{}), closed: make(chan struct{}),
		due: make(chan struct{}, 1), signalled: make(chan struct{}, 1), rescheduled: make(chan struct{}, 1), rated: make(chan struct{}, 1),
		starts: starts{wake: make(chan struct{}, 1)},
		polls:  polls{dispatch: time.Second, promote: 5 * time.Second, retire: 10 * time.Second, signals: time.Second, schedules: 10 * time.Second},
	}
	e.SetDrainTimeout(o.DrainTimeout)
	e.hub.subs = map[task.ID]map[*subscriber]struct{}{}
	e.registry = registry.New(registry.Options{Store: o.Store, Log: o.Log, Executors: append(slices.Clone(o.Executors), e.ownExecutor()), Types: o.Types})
	return e
}

// Ignored counts reports that changed nothing because their attempt no longer
// held its task.
func (e *Engine) Ignored() int64 { return e.ignored.Load() }

// now is the time for the record: UTC, to the microsecond, as the store keeps it.
func (e *Engine) now() time.Time { return e.opts.Now().UTC().Truncate(time.Microsecond) }

func newToken() (t task.Token) {
	rand.Read(t[:]) // never fails: crypto/rand ends the process instead
	return t
}

func chance() float64 { return mathrand.Float64() }

// wakeTimer has the timer look for scheduled tasks. It never blocks.
func (e *Engine) wakeTimer() {
	select {
	case e.due <- struct{}{}:
	default:
	}
}
