package engine

import (
	"context"
	"errors"
	"strings"
	"sync"
	"time"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// attempt is one run of a task on an executor, from its record to its settlement.
type attempt struct {
	e   *Engine
	r   *runner
	id  task.ID
	typ string
	seq int64
	n   int // the attempt's number

	ctx   context.Context
	cause context.CancelCauseFunc

	mu       sync.Mutex // serializes all changes of the task by this attempt
	t        task.Task  // as last committed
	held     task.Token // its token, also once the task has let go of it
	over     bool       // the attempt no longer holds the task
	left     bool       // ... or this host has let go of it: it is the next one's
	acked    bool       // its executor was told that it may forget it
	timeout  *time.Timer
	grace    *time.Timer
	suspect  bool // counted in r.suspects
	uploaded *sdk.Result

	noteMu    sync.Mutex // guards what is on its way to the store
	progress  task.Progress
	reported  bool // there was any progress
	moved     bool // … that was not yet written
	marked    bool // in Engine.dirty
	fenced    bool // over: nothing is taken any more
	lines     []task.LogLine
	lineBase  int64 // what the numbers of the lines begin with
	lineCount int64
	logBytes  int
}

// launch starts the attempt of t, which is on record. The caller has reserved
// its slot; rejoin says that an earlier host process started it.
func (e *Engine) launch(r *runner, t task.Task, rejoin bool) {
	a := &attempt{e: e, r: r, id: t.ID, typ: t.Type, seq: t.Seq, n: t.Attempt, t: t, held: t.Token, suspect: t.Suspect()}
	a.ctx, a.cause = context.WithCancelCause(context.Background())
	if a.suspect {
		r.suspects.Add(1)
	}
	if rejoin {
		a.lineBase = e.firstLine()
	}
	e.mu.Lock()
	e.attempts[t.ID] = a
	e.mu.Unlock()
	switch t.State {
	case task.Canceling:
		a.end(sdk.ErrCancel)
	case task.Running:
		a.mu.Lock()
		a.startTimeout()
		a.mu.Unlock()
	}
	if e.ctx.Err() != nil {
		a.end(sdk.ErrDetach)
	}
	j := job{a, rejoin}
	select {
	case e.jobs <- j:
	default:
		go e.work(j)
	}
}

// job is an attempt to run.
type job struct {
	a      *attempt
	rejoin bool
}

// restBeforeEnd is how long a goroutine without an attempt waits for another.
const restBeforeEnd = time.Second

// work runs attempts one after another. A settlement needs more stack than a new
// goroutine has: one that is used again has grown already.
func (e *Engine) work(j job) {
	rest := time.NewTimer(restBeforeEnd)
	defer rest.Stop()
	for {
		j.a.run(j.rejoin)
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

func (a *attempt) run(rejoin bool) {
	a.mu.Lock() // a cancel may be changing the task already
	st, reverting := a.sdkTask(rejoin), a.t.State == task.Reverting
	a.mu.Unlock()
	rep := sdk.NewReporter(sdk.Reports{
		Started: a.started, Progress: a.report, Checkpoint: a.checkpoint, Line: a.line,
	})
	var res sdk.Result
	var err error
	if reverting {
		err = sdk.Revert(a.ctx, a.r.Impl, st, rep)
	} else {
		res, err = sdk.Execute(a.ctx, a.r.Impl, st, rep)
	}
	a.finish(res, err)
	a.e.forget(a)
}

// forget frees what the attempt held, once its goroutine has come back.
func (e *Engine) forget(a *attempt) {
	a.cause(nil)
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
	if a.suspect {
		a.r.suspects.Add(-1)
	}
	a.r.release(1)
}

// end ends the attempt's context with a cause, and bounds how long it may take
// to come back.
func (a *attempt) end(cause error) {
	a.cause(cause) // only the first cause counts
	if errors.Is(cause, sdk.ErrDetach) {
		return // Close has a bound of its own
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.grace == nil && !a.over {
		a.grace = time.AfterFunc(a.e.opts.CancelGrace, func() { a.giveUp(cause) })
	}
}

// startTimeout runs the attempt's clock; a.mu is held.
func (a *attempt) startTimeout() {
	d := a.remaining()
	a.timeout = time.AfterFunc(d, func() { a.end(sdk.ErrTimeout) })
}

func (a *attempt) remaining() time.Duration {
	end := a.t.StartedAt.Add(a.t.Timeout)
	if !a.t.Deadline.IsZero() && a.t.Deadline.Before(end) {
		end = a.t.Deadline
	}
	return max(time.Until(end), 0)
}

func (a *attempt) sdkTask(rejoin bool) sdk.Task {
	t := &a.t
	st := sdk.Task{
		ID: t.ID.String(), Type: t.Type, Attempt: t.Attempt, Token: sdk.Token(t.Token), Input: t.Input,
		Checkpoint: t.Checkpoint, Rejoin: rejoin, Labels: t.Labels, Route: t.Route, Timeout: t.Timeout,
	}
	if rejoin {
		st.Handle = t.Handle
	}
	if t.State == task.Running {
		st.Deadline = time.Now().Add(a.remaining())
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

var errOver = errors.New("this attempt no longer holds the task")

// started records that a handed-on attempt has begun. An error tells the
// executor that it must not.
func (a *attempt) started(handle []byte, node string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over {
		a.e.ignored.Add(1)
		return errOver
	}
	if a.t.State == task.Running && a.t.Node == node && string(a.t.Handle) == string(handle) {
		return nil
	}
	c, err := task.Started(a.t, handle, node, now())
	if err != nil {
		return err
	}
	if err := a.apply(c); err != nil {
		return err
	}
	if a.timeout == nil {
		a.startTimeout()
	}
	return nil
}

func (a *attempt) checkpoint(data []byte) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over {
		a.e.ignored.Add(1)
		return errOver
	}
	c, err := task.Checkpointed(a.t, data, now())
	if err != nil {
		return err
	}
	return a.apply(c)
}

// apply commits a change of the task that this attempt holds; a.mu is held. Where someone
// else changed the task meanwhile, the attempt is over.
func (a *attempt) apply(c task.Change) error {
	err := a.e.store.Apply(context.Background(), []task.Change{c})[0]
	if err != nil {
		return err
	}
	c.Task.Version++
	a.t = c.Task
	a.e.tell(&c)
	return nil
}

// report takes progress from the script.
func (a *attempt) report(done, total int64, message string) {
	if len(message) > task.MaxMessage {
		message = strings.ToValidUTF8(message[:task.MaxMessage], "")
	}
	p := task.Progress{Done: max(done, 0), Total: max(total, 0), Message: message}
	a.noteMu.Lock()
	if a.fenced {
		a.noteMu.Unlock()
		a.e.ignored.Add(1)
		return
	}
	first := a.mark()
	a.progress, a.reported, a.moved = p, true, true
	a.noteMu.Unlock()
	if first {
		a.e.markDirty(a)
	}
	a.e.hub.publish(a.id, task.Update{Progress: &p})
}

// mark says whether the attempt must be put among the dirty; a.noteMu is held.
func (a *attempt) mark() bool {
	first := !a.marked
	a.marked = true
	return first
}

func (e *Engine) markDirty(a *attempt) {
	e.dirtyMu.Lock()
	e.dirty[a] = struct{}{}
	e.dirtyMu.Unlock()
}

// AttemptInput is the input of the attempt with that token, for a worker that
// fetches by reference what its broker cannot carry.
func (e *Engine) AttemptInput(token task.Token) ([]byte, error) {
	a := e.byToken(token)
	if a == nil {
		return nil, task.Errorf(task.CodeNotFound, "no attempt runs with this token")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.t.Input, nil
}

// AttemptCheckpoint is the checkpoint of the attempt with that token, which may
// be too large for the broker as well.
func (e *Engine) AttemptCheckpoint(token task.Token) ([]byte, error) {
	a := e.byToken(token)
	if a == nil {
		return nil, task.Errorf(task.CodeNotFound, "no attempt runs with this token")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.t.Checkpoint, nil
}

// PutAttemptResult keeps the result of the attempt with that token until its
// outcome arrives and refers to it.
func (e *Engine) PutAttemptResult(token task.Token, contentType string, data []byte) error {
	a := e.byToken(token)
	if a == nil {
		return task.Errorf(task.CodeNotFound, "no attempt runs with this token")
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if limit := e.reg.limitsOf(a.typ).MaxResult; int64(len(data)) > limit {
		return task.Errorf(task.CodeTooLarge, "the result has %d bytes, the limit is %d", len(data), limit)
	}
	a.uploaded = &sdk.Result{ContentType: contentType, Data: data}
	return nil
}

func (e *Engine) byToken(token task.Token) *attempt {
	e.mu.Lock()
	var all []*attempt
	for _, a := range e.attempts {
		if a.held == token { // the others may be busy with the store
			all = append(all, a)
		}
	}
	e.mu.Unlock()
	for _, a := range all {
		a.mu.Lock()
		held := !a.over && a.t.Token == token
		a.mu.Unlock()
		if held {
			return a
		}
	}
	return nil
}
