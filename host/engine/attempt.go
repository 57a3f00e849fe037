package engine

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// attempt is one run of a task on an executor, from its record to its settlement.
// Its changes of the task are made one at a time, by whoever has the turn; no lock is
// held while one is on its way to the disk.
type attempt struct {
	engine   *Engine
	executor *registry.Executor
	share    *registry.Share
	id       task.ID
	taskType string
	seq      int64
	number   int
	token    task.Token
	rejoin   bool // an earlier host process started it

	ctx    context.Context
	cancel context.CancelCauseFunc
	turn   chan struct{} // full while a change is under way
	notes  notes

	mu    sync.Mutex
	hold  hold
	task  task.Task // as last committed
	clock clock
	acked bool // its executor was told that it may forget it
}

// hold is whether the attempt holds its task.
type hold uint8

const (
	holding  hold = iota // what becomes of the task is for this attempt to say
	settled              // it was said, or someone else has the task
	detached             // this host has let go of it: it is the next one's
)

// clock bounds an attempt: by its timeout, and once its context has ended by the grace.
type clock struct {
	timeout *time.Timer
	grace   *time.Timer
	expires time.Time // when the timeout ends it; zero before it has started
	stopped bool      // the attempt came back: neither matters any more
}

func (c *clock) stop() {
	c.stopped = true
	if c.timeout != nil {
		c.timeout.Stop()
	}
	if c.grace != nil {
		c.grace.Stop()
	}
}

// launch starts the attempt of t, which is on record. The caller has reserved
// its slot and its place in the share; rejoin says that an earlier host process started it.
func (e *Engine) launch(x *registry.Executor, s *registry.Share, t task.Task, rejoin bool) {
	a := &attempt{engine: e, executor: x, share: s, id: t.ID, taskType: t.Type, seq: t.Seq, number: t.Attempt,
		token: t.Token, task: t, rejoin: rejoin, turn: make(chan struct{}, 1)}
	a.ctx, a.cancel = context.WithCancelCause(context.Background())
	if rejoin {
		a.notes.firstLine = e.firstLine()
	}
	e.mu.Lock()
	e.attempts[t.ID] = a
	e.mu.Unlock()
	switch t.State {
	case task.Canceling:
		a.end(sdk.ErrCancel)
	case task.Running:
		a.startClock()
	}
	if e.ctx.Err() != nil {
		a.end(sdk.ErrDetach)
	}
	select {
	case e.jobs <- job{a}:
	default:
		go e.work(job{a})
	}
}

// job is an attempt to run.
type job struct{ a *attempt }

// restBeforeEnd is how long a goroutine without an attempt waits for another.
const restBeforeEnd = time.Second

// work runs attempts one after another. A settlement needs more stack than a new
// goroutine has: one that is used again has grown already.
func (e *Engine) work(j job) {
	rest := time.NewTimer(restBeforeEnd)
	defer rest.Stop()
	for {
		j.a.run()
		rest.Reset(restBeforeEnd)
		select {
		case j = <-e.jobs:
		case <-rest.C:
			return
		case <-e.ctx.Done():
			return
		}
	}
}

// attemptOf is the attempt that runs the task in this process, if there is one.
func (e *Engine) attemptOf(id task.ID) *attempt {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.attempts[id]
}

func (a *attempt) run() {
	a.mu.Lock() // a cancel may be changing the task already
	st, reverting := a.sdkTask(), a.task.State == task.Reverting
	a.mu.Unlock()
	rep := sdk.NewReporter(sdk.ReporterFuncs{
		Started: a.started, Progress: a.report, Checkpoint: a.checkpoint, Line: a.line,
	})
	var res sdk.Result
	var err error
	if reverting {
		err = sdk.Revert(a.ctx, a.executor.Executor, st, rep)
	} else {
		res, err = sdk.Execute(a.ctx, a.executor.Executor, st, rep)
	}
	a.finish(res, err)
	a.engine.forget(a)
}

// forget frees what the attempt held, once its goroutine has come back.
func (e *Engine) forget(a *attempt) {
	a.cancel(nil)
	e.mu.Lock()
	if e.attempts[a.id] == a {
		delete(e.attempts, a.id)
	}
	idle := e.idle
	if len(e.attempts) == 0 || e.ctx.Err() != nil {
		e.idle = make(chan struct{})
		close(idle)
	}
	e.mu.Unlock()
	a.executor.Release(1)
}

// end ends the attempt's context with a cause, and bounds how long it may take
// to come back.
func (a *attempt) end(cause error) {
	a.cancel(cause) // only the first cause counts
	if errors.Is(cause, sdk.ErrDetach) {
		return // Close has a bound of its own
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.clock.grace == nil && !a.clock.stopped {
		a.clock.grace = time.AfterFunc(a.engine.opts.CancelGrace, func() { a.settleUnresponsive(cause) })
	}
}

// startClock lets the attempt's time run, from now: what the store took to write its
// start down is not the attempt's.
func (a *attempt) startClock() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.clock.timeout != nil || a.clock.stopped {
		return
	}
	d := attemptTime(&a.task, a.rejoin, a.engine.now())
	a.clock.expires = time.Now().Add(d)
	a.clock.timeout = time.AfterFunc(d, func() { a.end(sdk.ErrTimeout) })
}

// attemptTime is how long the current attempt of t may still run. Of one that was started
// by an earlier host only the record's times are known, on a clock that may have been set
// since: it is never given more than its timeout.
func attemptTime(t *task.Task, rejoin bool, now time.Time) time.Duration {
	d := t.Timeout
	if rejoin {
		d -= max(now.Sub(t.StartedAt), 0)
	}
	if !t.Deadline.IsZero() {
		d = min(d, t.Deadline.Sub(now))
	}
	return max(d, 0)
}

// sdkTask is the attempt as its executor sees it; a.mu is held.
func (a *attempt) sdkTask() sdk.Task {
	t := &a.task
	st := sdk.Task{
		ID: t.ID.String(), Type: t.Type, Attempt: t.Attempt, Token: sdk.Token(t.Token), Input: t.Input, Suspect: t.Suspect,
		Checkpoint: t.Checkpoint, Rejoin: a.rejoin, Labels: t.Labels, Route: t.Route, Timeout: t.Timeout, Deadline: a.clock.expires,
	}
	if a.rejoin {
		st.Handle = t.Handle
	}
	if t.Trace != "" {
		st.Trace = map[string]string{"traceparent": t.Trace}
	}
	if t.State == task.Reverting {
		if t.Result != nil {
			st.Result = &sdk.Result{ContentType: t.ResultType, Data: t.Result}
		}
		if t.Error != nil {
			st.Failure = &sdk.Failure{Code: t.Error.Code, Message: t.Error.Message}
		}
	}
	return st
}
