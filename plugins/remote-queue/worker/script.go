package worker

import (
	"context"
	"errors"
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/sdk"
)

// startScript starts the script. w.mu is held.
func (w *Worker) startScript(r *run, timeout time.Duration) {
	r.phase = working
	if timeout > 0 {
		r.ctx.Limit(timeout, nil)
		r.start.Task.Deadline, _ = r.ctx.Deadline()
	}
	w.logStart(r)
	if w.closed {
		return
	}
	w.begun = append(w.begun, r)
}

// scriptIdle is how long a goroutine without a run waits for another.
const scriptIdle = time.Second

// callRunner has a goroutine come if a run waits for one and none is on its way. Whoever takes a
// run first has another goroutine come for the next one: so a script that waits holds up nobody,
// and those that end at once follow one another in the same goroutine, whose stack has grown.
// w.mu is held.
func (w *Worker) callRunner() {
	if w.runnerComing || len(w.begun) == 0 {
		return
	}
	w.runnerComing = true
	if w.idleRunners == 0 {
		w.scripts.Go(w.runScripts)
		return
	}
	w.idleRunners--
	w.runnerWanted <- struct{}{} // there is room: one is on its way at a time
}

// runScripts runs one attempt after the other, for as long as some come.
func (w *Worker) runScripts() {
	idle := time.NewTimer(scriptIdle)
	defer idle.Stop()
	for {
		w.mu.Lock()
		w.runnerComing = false
		for len(w.begun) > 0 {
			r := w.begun[0]
			w.begun[0] = nil
			w.begun = w.begun[1:]
			w.callRunner()
			w.mu.Unlock()
			o := w.runScript(&r.ctx, r)
			r.ctx.End(nil)
			w.logOutcome(r, &o)
			w.mu.Lock()
			if r.phase == working { // else it was given up
				w.keepOutcome(r.start.Task.Token, r, o)
			}
		}
		w.idleRunners++
		w.mu.Unlock()
		idle.Reset(scriptIdle)
		select {
		case <-w.runnerWanted:
			continue
		case <-idle.C:
		case <-w.ctx.Done():
		}
		if w.runnerLeaves() {
			return
		}
		<-w.runnerWanted
	}
}

// runnerLeaves says that a goroutine without a run may end: none was called that is not here yet.
func (w *Worker) runnerLeaves() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.idleRunners == 0 {
		return false
	}
	w.idleRunners--
	return true
}

// runScript runs the script and makes its outcome fit to travel.
func (w *Worker) runScript(ctx context.Context, r *run) sdk.Outcome {
	task := r.start.Task
	if err := w.fetchPayloads(ctx, &r.start, &task); err != nil {
		if errors.Is(context.Cause(ctx), sdk.ErrDetach) {
			return wire.ReleasedOutcome("the worker ended before it had the task's input")
		}
		return sdk.OutcomeOf(ctx, sdk.Result{}, sdk.FailedWith(sdk.Outcome{Kind: sdk.OutcomeFailed, Code: sdk.CodeExecutorFailed, Message: err.Error()}))
	}
	to := w.reporter(r)
	var res sdk.Result
	var err error
	if r.start.Action == wire.ActionRevert {
		err = sdk.Revert(ctx, r.executor.Executor, task, to)
	} else {
		res, err = sdk.Execute(ctx, r.executor.Executor, task, to)
	}
	return limitOutcome(sdk.OutcomeOf(ctx, res, err), w.maxResult())
}

// keepOutcome keeps the outcome until the host has it on record, and frees the slot:
// that of a large result only when it is acked, since its bytes are still here. w.mu is held.
func (w *Worker) keepOutcome(t sdk.Token, r *run, o sdk.Outcome) {
	r.failUnacked()
	w.clearSuspect(r)
	r.sendProgress(w)
	r.outcome = o
	if r.fenced {
		r.phase = reporting
		w.removeRun(t, r)
		return
	}
	if o.Kind == sdk.OutcomeSucceeded && len(o.Result.Data) > w.maxResult() {
		r.largeResult = new(o.Result)
		r.outcome.Result = sdk.Result{ContentType: o.Result.ContentType, Stored: true}
		w.upload(t, r)
		return
	}
	r.freeSlot(w)
	w.reportOutcome(t, r, time.Second)
}
