package worker

import (
	"errors"
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/sdk"
)

// workerPhase is how far an attempt is, as its worker knows it.
type workerPhase uint8

const (
	// asking is a start to which the host has not answered whether it may begin.
	asking workerPhase = iota
	// working is one whose script runs.
	working
	// uploading is one whose result goes to the host's REST before it is reported.
	uploading
	// reporting is one whose outcome the host has not acked.
	reporting
)

// run is one attempt on a worker, from its delivery until the host has its outcome or does
// not want it. It is guarded by the worker's mu, and only ever goes forward through its
// phases. Its script runs at most once.
type run struct {
	start    wire.Start
	executor *localExecutor
	phase    workerPhase
	// reportedAt is when the host was last told what it has to answer, and repeatAfter how
	// long it is waited for.
	reportedAt  time.Time
	repeatAfter time.Duration
	// ctx is the script's, once that has begun.
	ctx sdk.AttemptContext
	// fenced says that nothing of the attempt is wanted, though its script may still run.
	fenced bool
	// slotFreed says that its slot was given back.
	slotFreed bool
	outcome   sdk.Outcome
	// largeResult is a result that no message carries. It is kept until the outcome is
	// acked. uploadedTo is the process of the host that has it.
	largeResult *sdk.Result
	uploadedTo  string
	// saveTurn lets one checkpoint or child at a time wait; nil before the first. It is taken
	// before the worker's mu.
	saveTurn chan struct{}
	unacked  map[uint64]*unackedItem
	lastSeq  uint64
	// progress is the latest that was not sent, and progressAt when some was.
	progress   *wire.Item
	progressAt time.Time
	// droppedLines counts the lines that were dropped since the last one that was sent.
	droppedLines uint64
}

// unackedItem is a checkpoint or a child that the host has not answered.
type unackedItem struct {
	item wire.Item
	done chan answer
	sent time.Time
}

// answer is what the host said to it.
type answer struct {
	id  string // of the child
	err error
}

var errAttemptEnded = errors.New("the attempt is over")

// fence ends what the host does not want. w.mu is held.
func (w *Worker) fence(t sdk.Token, r *run, why string) {
	switch r.phase {
	case asking:
		w.removeRun(t, r)
	case working:
		if !r.fenced {
			w.log.Warn("an attempt is not wanted any more and is stopped", "task", r.start.Task.ID, "reason", why)
			r.fenced = true
			w.clearSuspect(r) // settled, whether or not its script listens
			r.ctx.End(sdk.ErrCancel)
			r.failUnacked()
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

// dropUnaccepted gives up starts that the broker was not told of: it delivers them again.
func (w *Worker) dropUnaccepted(starts []sdk.Token) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, t := range starts {
		if r := w.runs[t]; r != nil && r.phase == asking {
			w.removeRun(t, r)
		}
	}
}

// failUnacked answers all that waits: nothing is on record for them any more. The
// worker's mu is held.
func (r *run) failUnacked() {
	for seq := range r.unacked {
		r.answer(seq, answer{err: errAttemptEnded})
	}
}

// answer answers a checkpoint or a child. The worker's mu is held.
func (r *run) answer(seq uint64, with answer) {
	if s := r.unacked[seq]; s != nil {
		delete(r.unacked, seq)
		s.done <- with
	}
}
