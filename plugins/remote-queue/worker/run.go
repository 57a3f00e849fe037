package worker

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/sdk"
)

// workerPhase is how far an attempt is, as its worker knows it.
type workerPhase uint8

const (
	accepting workerPhase = iota // the broker has not confirmed yet
	asking                       // the host has not answered yet
	working
	uploading // the result goes to the host's REST first
	reporting // the host has not acked yet
)

// run is one attempt on a worker. Its fields are guarded by the worker's mu.
type run struct {
	start        wire.Start
	executor     *localExecutor
	phase        workerPhase
	receivedAt   time.Time
	reportedAt   time.Time     // when the host was last told what it has to answer
	repeatAfter  time.Duration // until it is told again
	ctx          context.Context
	cancel       context.CancelCauseFunc
	timeoutTimer *time.Timer // ends ctx when the attempt's time is up; nil if it has none
	fenced       bool        // nothing of it is wanted
	slotFreed    bool        // its slot was given back
	outcome      sdk.Outcome
	largeResult  *sdk.Result // a result that no message carries; kept until it is acked
	uploadedTo   string      // the host process that has it
	saveLock     sync.Mutex  // of its checkpoints; taken before the worker's mu
	unackedSaves map[uint64]*unackedSave
	lastSeq      uint64
	progressAt   time.Time
	progress     *wire.Item // the latest, if it was not sent
	droppedLines uint64
}

// unackedSave is a checkpoint that is not acked yet.
type unackedSave struct {
	data []byte
	done chan error
	sent time.Time
}

// scriptReturned keeps the outcome until the host has it on record, and frees the slot:
// that of a large result only when it is acked, since its bytes are still here.
func (w *Worker) scriptReturned(t sdk.Token, r *run, o sdk.Outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.phase == working { // else it was given up
		w.keepOutcome(t, r, o)
	}
}

// keepOutcome is scriptReturned with w.mu held.
func (w *Worker) keepOutcome(t sdk.Token, r *run, o sdk.Outcome) {
	r.failSaves()
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

// freeSlot gives back the slot of a run, once. The worker's mu is held.
func (r *run) freeSlot(w *Worker) {
	if r.slotFreed {
		return
	}
	r.slotFreed = true
	r.executor.used--
	for _, p := range r.executor.pullers {
		if r.executor.pullCount(p) > 0 {
			wire.Wake(w.pullWanted)
			return
		}
	}
}

var errAttemptEnded = errors.New("the attempt is over")

// fence ends what the host does not want. w.mu is held.
func (w *Worker) fence(t sdk.Token, r *run, why string) {
	switch r.phase {
	case accepting, asking:
		w.removeRun(t, r)
	case working:
		if !r.fenced {
			w.log.Warn("an attempt is not wanted any more and is stopped", "task", r.start.Task.ID, "reason", why)
			r.fenced = true
			w.clearSuspect(r) // settled, whether or not its script listens
			r.cancel(sdk.ErrCancel)
			r.failSaves()
		}
	case uploading, reporting:
		w.log.Warn("a result came too late and is thrown away", "task", r.start.Task.ID, "reason", why)
		w.removeRun(t, r)
	}
}

// removeRun forgets a run. w.mu is held.
func (w *Worker) removeRun(t sdk.Token, r *run) {
	delete(w.runs, t)
	w.clearSuspect(r)
	r.freeSlot(w)
	if s, ok := r.executor.Executor.(sdk.Settler); ok && r.phase >= uploading {
		s.Settled(t)
	}
	wire.Wake(w.runRemoved)
}

// clearSuspect gives up the place for suspects if r has it. w.mu is held.
func (w *Worker) clearSuspect(r *run) {
	if w.suspect == r {
		w.suspect = nil
	}
}

// dropUnaccepted gives up a start that was never acknowledged: the broker delivers it again.
func (w *Worker) dropUnaccepted(t sdk.Token) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r := w.runs[t]; r != nil && r.phase == accepting {
		w.removeRun(t, r)
	}
}

// failSaves answers all checkpoints that wait: nothing is on record for them any more. The
// worker's mu is held.
func (r *run) failSaves() {
	for seq := range r.unackedSaves {
		r.answerSave(seq, errAttemptEnded)
	}
}

// answerSave answers a checkpoint. The worker's mu is held.
func (r *run) answerSave(seq uint64, err error) {
	if s := r.unackedSaves[seq]; s != nil {
		delete(r.unackedSaves, seq)
		s.done <- err
	}
}
