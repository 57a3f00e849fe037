package worker

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/sdk"
)

// startScript starts the script. w.mu is held.
func (w *Worker) startScript(r *run, timeout time.Duration) {
	// Not below the worker's own context: it would keep a list of thousands.
	ctx, cancel := context.WithCancelCause(context.Background())
	r.phase = working
	r.cancel = cancel
	if timeout > 0 {
		at := time.Now().Add(timeout)
		r.start.Task.Deadline = at
		r.timeoutTimer = time.AfterFunc(timeout, func() { cancel(sdk.ErrTimeout) })
		ctx = deadlineContext{ctx, at}
	}
	r.ctx = ctx
	w.logStart(r)
	if w.closed {
		return
	}
	s := w.takeRunner()
	s.run = r
	w.begun = append(w.begun, s)
}

// scriptRunner is a goroutine that runs one attempt after the other. One that is used again
// has its stack grown already, which is much of the cost of a short script.
type scriptRunner struct {
	next      chan *run // holds one; closed if there will be none
	run       *run      // what next is to get
	idleSince time.Time
}

// takeRunner is the goroutine that was idle last, or a new one. w.mu is held.
func (w *Worker) takeRunner() *scriptRunner {
	if n := len(w.idle); n > 0 {
		s := w.idle[n-1]
		w.idle = w.idle[:n-1]
		return s
	}
	s := &scriptRunner{next: make(chan *run, 1)}
	w.scripts.Go(func() { w.runScripts(s) })
	return s
}

// noteIdle takes up a goroutine whose script has returned. w.mu is held.
func (w *Worker) noteIdle(s *scriptRunner) {
	if w.closed {
		close(s.next)
		return
	}
	s.run = nil
	s.idleSince = time.Now()
	w.idle = append(w.idle, s)
}

// endIdleScripts ends the goroutines that have been idle since then or longer. w.mu is held.
func (w *Worker) endIdleScripts(since time.Time) {
	n := 0
	for n < len(w.idle) && !w.idle[n].idleSince.After(since) {
		close(w.idle[n].next)
		n++
	}
	w.idle = slices.Delete(w.idle, 0, n)
}

// deadlineContext is a context that also tells its deadline; whoever made it sees to it
// that it ends then.
type deadlineContext struct {
	context.Context
	at time.Time
}

func (d deadlineContext) Deadline() (time.Time, bool) { return d.at, true }

// scriptIdle is how long a goroutine waits for another run, at the least.
const scriptIdle = time.Second

// runScripts runs one attempt after the other.
func (w *Worker) runScripts(s *scriptRunner) {
	for r := range s.next {
		o := w.runScript(r.ctx, r)
		if r.timeoutTimer != nil {
			r.timeoutTimer.Stop()
		}
		r.cancel(nil)
		w.scriptReturned(s, r, o)
	}
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

// scriptReturned keeps the outcome until the host has it on record, and frees the slot:
// that of a large result only when it is acked, since its bytes are still here.
func (w *Worker) scriptReturned(s *scriptRunner, r *run, o sdk.Outcome) {
	w.logOutcome(r, &o)
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.phase == working { // else it was given up
		w.keepOutcome(r.start.Task.Token, r, o)
	}
	w.noteIdle(s)
}

// keepOutcome is scriptReturned with w.mu held.
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
		r.largeResult = &o.Result
		r.outcome.Result = sdk.Result{ContentType: o.Result.ContentType, Stored: true}
		w.upload(t, r)
		return
	}
	r.freeSlot(w)
	w.reportOutcome(t, r, time.Second)
}
