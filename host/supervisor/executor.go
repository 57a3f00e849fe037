package supervisor

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/host/task"
)

// Executor is one supervised plugin. To whoever runs attempts it is an sdk.Executor like
// any other, whose process comes and goes behind it: new attempts go to the current
// process, and each stays where it began. All methods may be called at once from many
// goroutines; those that wait end with their context. After Stop there is no process, and
// an attempt is given back, or lost if it was to be joined.
type Executor struct {
	supervisor *Supervisor
	options    Options
	config     task.ExecutorConfig
	dataDir    string // its own; "" if it has none
	log        hclog.Logger

	requests    chan request  // to the controller
	changed     chan struct{} // what Changed gives
	done        chan struct{} // closed when run has ended
	startCount  int           // processes so far; the controller's own
	killedAtEnd atomic.Bool   // a process did not end when it was asked to
	stuckSignal chan struct{} // signaled when an attempt is abandoned, and when one beside it returned

	mu            sync.Mutex
	status        task.ExecutorStatus
	current       *instance     // takes new attempts; nil if there is none
	statusChanged chan struct{} // closed and replaced when current or the status changes
	attempts      attemptTable
	deferred      bool // by its Info it hands attempts on: they do not run in its process
}

func newExecutor(s *Supervisor, config task.ExecutorConfig, dataDir string) *Executor {
	return &Executor{
		supervisor: s, options: s.options, config: config, dataDir: dataDir, log: s.options.Log.Named(config.Name),
		requests: make(chan request), changed: make(chan struct{}, 1), done: make(chan struct{}),
		status:        task.ExecutorStatus{Name: config.Name, Plugin: config.Plugin, State: task.ExecutorStarting, Reason: "the plugin is being started"},
		statusChanged: make(chan struct{}), stuckSignal: make(chan struct{}, 1),
		attempts: newAttemptTable(),
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

// State is that of Status, for whoever asks often.
func (e *Executor) State() task.ExecutorState {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.status.State
}

// KilledAtEnd says whether a process had to be killed because it did not end when it was
// asked to.
func (e *Executor) KilledAtEnd() bool { return e.killedAtEnd.Load() }

// Changed is signaled after the Status changed or the plugin said that its offer
// did; several changes may be one signal. It is for one reader.
func (e *Executor) Changed() <-chan struct{} { return e.changed }

func (e *Executor) isRunning() bool {
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
	close(e.statusChanged)
	e.statusChanged = make(chan struct{})
	e.mu.Unlock()
	e.signalChanged()
}

func (e *Executor) signalChanged() { signal(e.changed) }

// signal signals on a channel that holds one.
func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// setState sets the executor's state. An operator hears of one that goes into quarantine.
func (e *Executor) setState(s task.ExecutorState, reason string) {
	level := hclog.Debug
	if s == task.ExecutorQuarantined && e.Status().State != s {
		level = hclog.Warn
	}
	e.log.Log(level, "executor has changed", "state", s, "reason", reason)
	e.update(func(st *task.ExecutorStatus) {
		st.State = s
		st.Reason = reason
	})
}

// routeTo sends new attempts to inst from now on; nil: to nobody.
func (e *Executor) routeTo(inst *instance) {
	e.mu.Lock()
	e.current = inst
	close(e.statusChanged)
	e.statusChanged = make(chan struct{})
	e.mu.Unlock()
}

// stopRoutingTo ends the routing to inst, if it is still there: its process died, and
// what to do about it is decided in a moment.
func (e *Executor) stopRoutingTo(inst *instance) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.current != inst {
		return
	}
	e.current = nil
	e.status.State = task.ExecutorDegraded
	e.status.Reason = "the plugin died"
	close(e.statusChanged)
	e.statusChanged = make(chan struct{})
	e.signalChanged()
}

// recordError keeps an error for operators.
func (e *Executor) recordError(err error) {
	if e.Status().LastError == err.Error() { // as when a file is looked for again
		e.log.Debug("executor failed as before", "error", err)
	} else {
		e.log.Error("executor failed", "error", err)
	}
	e.update(func(st *task.ExecutorStatus) { st.LastError = err.Error() })
}
