package engine

import (
	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// launch starts the attempt of t, which is on record, and is the attempt's own from now on. The
// caller has reserved its slot and its place in the share; rejoin says that an earlier host process started it.
func (e *Engine) launch(x *registry.Executor, s *registry.Share, t *task.Task, rejoin bool) {
	a := &attempt{engine: e, executor: x, share: s, id: t.ID, taskType: t.Type, seq: t.Seq, number: t.Attempt,
		token: t.Token, task: t, rejoin: rejoin, turn: make(chan struct{}, 1)}
	if rejoin {
		a.notes.firstLine = e.firstLine()
	}
	state := t.State // who finds the attempt may change the task at once
	e.mu.Lock()
	e.attempts[a.id] = a
	e.mu.Unlock()
	switch state {
	case task.Canceling:
		a.end(sdk.ErrCancel)
	case task.Running:
		a.startClock()
	}
	if e.ctx.Err() != nil {
		a.end(sdk.ErrDetach)
	}
	if a.number == 1 && !rejoin && state != task.Reverting && x.Async() != nil {
		a.run() // which waits for nothing
		return
	}
	e.runners.run(a)
}

// run makes the attempt. It waits for nothing if that is the first of its task, and the
// executor's attempts cost no goroutine.
func (a *attempt) run() {
	var children []sdk.ChildStatus
	if a.number > 1 || a.rejoin { // else there was nobody to make any
		children = a.sdkChildren()
		a.countChildren(len(children))
	}
	a.minVersion = a.engine.registry.LimitsOf(a.taskType).MinVersion
	a.mu.Lock() // a cancel may be changing the task already
	st, owner, reverting := a.sdkTask(), a.task.Owner, a.task.State == task.Reverting
	a.mu.Unlock()
	st.Children = children
	if err := a.unseal(&st, owner); err != nil {
		a.finish(sdk.Result{}, err)
		return
	}
	rep := sdk.NewReporter(sdk.ReporterFuncs{
		Started: a.started, StartedSoon: a.startedSoon, Progress: a.report, Checkpoint: a.checkpoint, Spawn: a.spawn, Line: a.line,
	})
	async := a.executor.Async()
	switch {
	case reverting:
		a.finish(sdk.Result{}, sdk.Revert(&a.ctx, a.executor.Executor, st, rep))
	case async != nil:
		sdk.ExecuteAsync(&a.ctx, async, st, rep, a.returned)
	default:
		a.finish(sdk.Execute(&a.ctx, a.executor.Executor, st, rep))
	}
}

// quickResult is how many bytes of a result are looked at beside other work, at the most.
const quickResult = 64 << 10

// returned finishes an attempt without waiting for the store, as an executor has to be answered
// that has others to hear: what is not plain is finished in a goroutine.
func (a *attempt) returned(res sdk.Result, err error) {
	if err == nil && !res.Stored && len(res.Data) <= quickResult && !a.notes.haveLines() {
		a.finish(res, nil)
	} else {
		go a.finish(res, err)
	}
}

// forget frees what attempts held, once their goroutines have come back and their ends are
// on record, or not theirs to write.
func (e *Engine) forget(attempts ...*attempt) {
	e.mu.Lock()
	for _, a := range attempts {
		if e.attempts[a.id] == a {
			delete(e.attempts, a.id)
		}
	}
	idle := e.idle
	if len(e.attempts) == 0 || e.ctx.Err() != nil {
		e.idle = make(chan struct{})
		close(idle)
	}
	e.mu.Unlock()
	freed := int64(0) // at once, so that as many are claimed at once
	for i, a := range attempts {
		a.ctx.End(nil)
		freed++
		if last := i == len(attempts)-1; last || attempts[i+1].executor != a.executor {
			a.executor.Release(freed)
			freed = 0
		}
	}
}

// sdkTask is the attempt as its executor sees it; a.mu is held.
func (a *attempt) sdkTask() sdk.Task {
	t := a.task
	deadline, _ := a.ctx.Deadline()
	st := sdk.Task{
		ID: t.ID.String(), Type: t.Type, Attempt: t.Attempt, Token: sdk.Token(t.Token), Input: t.Input, Suspect: t.Suspect, Priority: t.Priority,
		Checkpoint: t.Checkpoint, Rejoin: a.rejoin, Labels: t.Labels, Route: t.Route, MinVersion: a.minVersion, Timeout: t.Timeout, Deadline: deadline,
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
