package supervisor

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// controller decides everything that happens to one executor. Its goroutine, that of run,
// alone touches its fields and calls its methods, one thing after another; the others hand
// in what they saw through its channels, and whoever only looks sees Executor.Status.
type controller struct {
	executor *Executor
	endings  endings
	// startTimer fires when the next process is to be started.
	startTimer *time.Timer
	// drainedByOperator says that no process is started before the operator's Restart.
	drainedByOperator bool

	// current is the process that takes new attempts; nil if there is none.
	current    *instance
	readySince time.Time // of current
	// deaths gives each instance that was connected and is gone.
	deaths chan death
	// drainingByItself gives each instance that says that somebody else than this host
	// told it to stop.
	drainingByItself chan *instance

	// launching is the process that is being started; nil if none is.
	launching    *instance
	abortLaunch  context.CancelFunc
	launchResult chan error
	// restartWaiters are told how the launch ended.
	restartWaiters []chan error

	// drainRequests are those who wait for an operator's Drain. The context of the first
	// bounds it; when that one's time is up, the next may have more.
	drainRequests []request
	drainResult   chan error

	// retiring counts processes that take no new attempts and finish what they run.
	retiring sync.WaitGroup
	// retireContext ends when they must be gone.
	retireContext context.Context
}

// death is what ended an instance that was connected.
type death struct {
	inst *instance
	why  error
}

// run keeps the executor until it is stopped.
func (e *Executor) run() {
	defer close(e.done)
	retireContext, endRetiring := context.WithCancel(context.Background())
	c := &controller{
		executor: e, startTimer: time.NewTimer(time.Hour), retireContext: retireContext,
		deaths: make(chan death), drainingByItself: make(chan *instance),
		launchResult: make(chan error), drainResult: make(chan error),
	}
	c.startTimer.Stop()
	c.launch(task.ExecutorStarting, "the plugin is being started")
	for {
		select {
		case err := <-c.launchResult:
			c.onLaunched(err)
		case d := <-c.deaths:
			c.onDeath(d)
		case inst := <-c.drainingByItself:
			c.onDrainingByItself(inst)
		case <-e.stuckSignal:
			c.onStuck()
		case <-c.startTimer.C:
			if c.current == nil {
				c.launch("", "")
			}
		case err := <-c.drainResult:
			c.onDrained(err)
		case r := <-e.requests:
			if r.kind == requestStop {
				r.reply <- c.stop(r.ctx, endRetiring)
				return
			}
			c.handle(r)
		}
	}
}

// send hands something to run, unless that has ended.
func send[T any](c *controller, to chan<- T, what T) {
	select {
	case to <- what:
	case <-c.executor.done:
	}
}

// launch starts a process in the background; an empty state leaves the shown one.
func (c *controller) launch(state task.ExecutorState, reason string) {
	if c.launching != nil {
		return
	}
	c.startTimer.Stop()
	inst := c.executor.newInstance()
	c.executor.startCount++
	ctx, cancel := context.WithCancel(context.Background())
	c.launching = inst
	c.abortLaunch = cancel
	c.executor.update(func(st *task.ExecutorStatus) {
		if state != "" {
			st.State = state
			st.Reason = reason
		}
		st.Instances = append(st.Instances, task.Instance{ID: inst.id, State: string(task.ExecutorStarting), Since: time.Now(), Restarts: inst.restarts})
	})
	go func() { send(c, c.launchResult, c.executor.launch(ctx, inst)) }()
}

// onLaunched takes over the process that was started, or decides when to try again.
func (c *controller) onLaunched(err error) {
	inst := c.launching
	c.launching = nil
	c.abortLaunch()
	for _, reply := range c.restartWaiters {
		reply <- err
	}
	c.restartWaiters = nil
	if err != nil {
		c.executor.recordError(err)
		if c.current == nil {
			c.startAfterFailure(err)
		}
		return
	}
	old := c.current
	c.current = inst
	c.readySince = time.Now()
	hello := inst.conn.Hello()
	c.executor.routeTo(inst)
	c.executor.update(func(st *task.ExecutorStatus) {
		st.State = task.ExecutorReady
		st.Reason = ""
		if s := inst.statusEntry(st); s != nil {
			s.State = string(task.ExecutorReady)
			s.Since = time.Now()
			s.Version = hello.Version
		}
	})
	c.executor.log.Info("plugin is ready", "plugin", c.executor.config.Plugin, "version", hello.Version, "pid", inst.process.pid())
	// After it is routed to: one that is dead by now is routed away from by whoever sees that.
	go func() { send(c, c.deaths, death{inst, inst.watch()}) }()
	go c.relaySignals(inst)
	if old != nil {
		c.retire(old, "it was replaced by a restart")
	}
}

// relaySignals passes on that the plugin's offer changed, and that it drains.
func (c *controller) relaySignals(inst *instance) {
	draining := inst.conn.Draining()
	for {
		select {
		case <-inst.conn.Changed():
			c.executor.signalChanged()
		case <-draining:
			draining = nil
			send(c, c.drainingByItself, inst)
		case <-inst.conn.Done():
			return
		}
	}
}

// onDeath decides what follows the end of a process that was connected.
func (c *controller) onDeath(d death) {
	suspect := c.executor.forgetInstance(d.inst)
	if d.inst != c.current { // it was being replaced
		return
	}
	c.current = nil
	d.inst.end()
	if c.drainRequests != nil {
		return // onDrained comes, too
	}
	c.endings.noteReady(time.Since(c.readySince), c.executor.options)
	if d.inst.isDraining() && !c.drainedByOperator { // it said so in the moment of its end
		c.scheduleStart(endExcused, task.ExecutorStarting, reasonDrainingByItself)
		return
	}
	c.executor.recordError(d.why)
	switch {
	case c.drainedByOperator && c.launching == nil:
		c.executor.setState(task.ExecutorStopped, reasonDrained)
	case c.launching != nil:
		c.executor.setState(task.ExecutorDegraded, "the plugin died while its successor was being started")
	case suspect:
		c.scheduleStart(endExcused, task.ExecutorDegraded, "the plugin died while a task ran that had been lost before, which does not count against it")
	default:
		c.startAfterFailure(d.why)
	}
}

// startAfterFailure decides when to try again after a failure.
func (c *controller) startAfterFailure(err error) {
	if operator := (*operatorError)(nil); errors.As(err, &operator) {
		c.scheduleStart(endNeedsOperator, task.ExecutorDegraded, operator.Error())
		return
	}
	if none := (*missingFileError)(nil); errors.As(err, &none) {
		c.scheduleStart(endFileMissing, task.ExecutorDegraded, none.Error())
		return
	}
	c.scheduleStart(endFailed, task.ExecutorDegraded, "the plugin failed")
}

// scheduleStart has the next process started when it is time; why is shown until then, with the state.
func (c *controller) scheduleStart(e ending, state task.ExecutorState, why string) {
	r := c.executor.options
	wait, quarantine, count := c.endings.next(e, time.Now(), r, jitter())
	switch {
	case quarantine && e != endFailed:
		c.executor.setState(task.ExecutorQuarantined, fmt.Sprintf("%s; tried again every %s, or at once by a restart", why, wait))
	case quarantine:
		c.executor.setState(task.ExecutorQuarantined, fmt.Sprintf("the plugin keeps failing (%d times within %s); tried again every %s, or at once by a restart; see the last error",
			count, r.QuarantineWindow, r.QuarantineRetry))
	case wait == 0:
		c.launch(state, why+"; a new process is being started")
		return
	default:
		c.executor.setState(state, fmt.Sprintf("%s; a new process is started in %s; see the last error", why, wait.Round(time.Millisecond)))
	}
	c.startTimer.Reset(wait)
}
