package supervisor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// Executor is one supervised plugin. To whoever runs attempts it is an
// sdk.Executor like any other, whose process comes and goes behind it.
type Executor struct {
	sup     *Supervisor
	opts    Options
	config  task.ExecutorConfig
	dataDir string // its own; "" if it has none
	log     hclog.Logger

	orders  chan order    // to the goroutine of run
	changed chan struct{} // see Changed
	done    chan struct{} // closed when run has ended
	starts  int           // processes so far; of run's goroutine
	stuck   chan struct{} // signaled when an attempt was given up, and when one beside it returned

	mu       sync.Mutex
	status   task.ExecutorStatus
	serving  *instance     // takes new attempts; nil if there is none
	moved    chan struct{} // closed and replaced when serving or the state changes
	board    board
	deferred bool // it hands attempts on, by its own word: they do not run in its process
}

// order is what an operator or the host wants of an executor.
type order struct {
	kind  orderKind
	ctx   context.Context
	reply chan error // buffered
}

type orderKind int

const (
	orderRestart orderKind = iota
	orderDrain
	orderStop
)

func newExecutor(s *Supervisor, config task.ExecutorConfig, dataDir string) *Executor {
	return &Executor{
		sup: s, opts: s.opts, config: config, dataDir: dataDir, log: s.opts.Log.Named(config.Name),
		orders: make(chan order), changed: make(chan struct{}, 1), done: make(chan struct{}),
		status: task.ExecutorStatus{Name: config.Name, Plugin: config.Plugin, State: task.ExecutorStarting, Reason: "the plugin is being started"},
		moved:  make(chan struct{}), stuck: make(chan struct{}, 1),
		board: board{flights: map[sdk.Token]*flight{}},
	}
}

// Status is how the executor is now, as far as its processes say: who uses its slots is
// for its caller to add.
func (e *Executor) Status() task.ExecutorStatus {
	e.mu.Lock()
	defer e.mu.Unlock()
	st := e.status
	st.Instances = slices.Clone(st.Instances)
	for _, i := range st.Instances {
		st.Version = i.Version
	}
	return st
}

// Changed is signaled after the Status changed or the plugin said that its offer
// did; several changes may be one signal. It is for one reader.
func (e *Executor) Changed() <-chan struct{} { return e.changed }

// Restart replaces the process: a new one is started, and when it is ready takes
// the new attempts, while the old one finishes what it runs. If the new one cannot
// be started the old one stays, and the error says why. It also brings back an
// executor that is quarantined, drained or stopped by Drain.
func (e *Executor) Restart(ctx context.Context) error { return e.order(ctx, orderRestart) }

// Drain takes nothing new, waits until what runs has finished, and then ends the
// process. If ctx ends first, what still runs is left running, the executor stays
// Draining, and the error says so.
func (e *Executor) Drain(ctx context.Context) error { return e.order(ctx, orderDrain) }

// Stop drains for at most Options.DrainTimeout or until ctx ends, then ends the
// process whatever it does. The executor cannot be used after it.
func (e *Executor) Stop(ctx context.Context) error {
	err := e.order(ctx, orderStop)
	if errors.Is(err, errStopped) {
		return nil
	}
	return err
}

var errStopped = errors.New("executor is stopped")

func (e *Executor) order(ctx context.Context, kind orderKind) error {
	o := order{kind: kind, ctx: ctx, reply: make(chan error, 1)}
	select {
	case e.orders <- o:
	case <-e.done:
		return fmt.Errorf("executor %q: %w", e.config.Name, errStopped)
	case <-ctx.Done():
		if kind != orderStop {
			return ctx.Err()
		}
		// A stop is obeyed even when there is no time left for it.
		select {
		case e.orders <- o:
		case <-e.done:
			return nil
		}
	}
	if kind == orderStop { // bounded by itself
		return <-o.reply
	}
	select {
	case err := <-o.reply:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (e *Executor) running() bool {
	select {
	case <-e.done:
		return false
	default:
		return true
	}
}

// update changes the status and tells those who wait for it.
func (e *Executor) update(change func(*task.ExecutorStatus)) {
	e.mu.Lock()
	change(&e.status)
	close(e.moved)
	e.moved = make(chan struct{})
	e.mu.Unlock()
	e.signal()
}

func (e *Executor) signal() { poke(e.changed) }

// poke signals on a channel that holds one.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// become sets the executor's state.
func (e *Executor) become(s task.ExecutorState, reason string) {
	e.log.Debug("executor", "state", s, "reason", reason)
	e.update(func(st *task.ExecutorStatus) { st.State, st.Reason = s, reason })
}

// route sends new attempts to inst from now on; nil: to nobody.
func (e *Executor) route(inst *instance) {
	e.mu.Lock()
	e.serving = inst
	close(e.moved)
	e.moved = make(chan struct{})
	e.mu.Unlock()
}

// unroute ends the routing to inst, if it is still there: its process died, and
// what to do about it is decided in a moment.
func (e *Executor) unroute(inst *instance) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.serving != inst {
		return
	}
	e.serving = nil
	e.status.State, e.status.Reason = task.ExecutorDegraded, "the plugin died"
	close(e.moved)
	e.moved = make(chan struct{})
	e.signal()
}

// failed keeps an error for operators.
func (e *Executor) failed(err error) {
	if e.Status().LastError == err.Error() { // as when a file is looked for again
		e.log.Debug("executor failed as before", "error", err)
	} else {
		e.log.Error("executor failed", "error", err)
	}
	e.update(func(st *task.ExecutorStatus) { st.LastError = err.Error() })
}
