package remotequeue

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

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
	start        startMessage
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
	progress     *item // the latest, if it was not sent
	droppedLines uint64
}

// unackedSave is a checkpoint that is not acked yet.
type unackedSave struct {
	data []byte
	done chan error
	sent time.Time
}

// receiveFromHost takes what the host says.
func (w *Worker) receiveFromHost(data []byte) {
	w.noteHostHeard()
	if len(data) > 0 && data[0] == '{' {
		o, err := decodeOffer(data)
		if err != nil {
			w.counters.garbled.Add(1)
			return
		}
		w.handleOffer(o)
		return
	}
	w.mu.Lock()
	bad, err := decodeBatch(data, w.handleHostItem)
	w.mu.Unlock()
	if bad > 0 || err != nil {
		w.counters.garbled.Add(1)
	}
}

// handleOffer takes a new offer. If the host's process is another one, what it has to
// answer is told at once.
func (w *Worker) handleOffer(o offer) {
	w.mu.Lock()
	fresh := w.offer.Host != o.Host
	probe := w.offer.HostURL != o.HostURL
	turned := w.offer.Drain != o.Drain
	w.offer = o
	if turned && o.Drain {
		w.log.Info("drained by the host: nothing more is taken until it is resumed")
		w.handBackUnstarted()
	} else if turned {
		w.log.Info("resumed by the host")
	}
	if probe {
		w.spawn(w.probeHost)
	}
	if fresh {
		for _, r := range w.runs {
			r.repeatAfter, r.reportedAt = 0, time.Time{}
		}
	}
	w.mu.Unlock()
	if fresh {
		w.log.Info("host found", "host", o.Host[:min(8, len(o.Host))])
	}
	wake(w.heartbeatWanted)
	wake(w.pullWanted)
}

// handleHostItem is one item of the host. w.mu is held.
func (w *Worker) handleHostItem(it item) {
	switch it.kind {
	case kindDescribe:
		w.describeNext.Store(true)
		wake(w.heartbeatWanted)
		return
	case kindDismiss:
		select {
		case w.dismissed <- fmt.Errorf("the host refuses this worker: %s", it.text):
		default:
		}
		return
	}
	r := w.runs[it.token]
	if r == nil {
		if it.kind == kindGo { // handed back while the host put it on record
			w.queueItem(&item{kind: kindFinished, token: it.token, outcome: releasedOutcome("the worker had given it back")})
		}
		return
	}
	switch it.kind {
	case kindGo:
		if r.phase == asking {
			w.startScript(r, it.timeout)
		}
	case kindRefuse:
		w.fence(it.token, r, it.text)
	case kindCancel:
		if r.phase == working {
			r.cancel(it.cause.err())
		}
	case kindAck:
		if it.seq > 0 {
			r.answerSave(it.seq, nil)
		} else if r.phase == reporting {
			w.removeRun(it.token, r)
		}
	case kindDeny:
		r.answerSave(it.seq, errors.New(it.text))
	case kindPut:
		w.uploadAgain(it.token, r, it.hostProcess)
	}
}

// startScript starts the script. w.mu is held.
func (w *Worker) startScript(r *run, timeout time.Duration) {
	// Not below the worker's own context: it would keep a list of thousands.
	ctx, cancel := context.WithCancelCause(context.Background())
	r.phase, r.cancel = working, cancel
	if timeout > 0 {
		at := time.Now().Add(timeout)
		r.start.task.Deadline = at
		r.timeoutTimer = time.AfterFunc(timeout, func() { cancel(sdk.ErrTimeout) })
		ctx = deadlineContext{ctx, at}
	}
	r.ctx = ctx
	select {
	case w.idleScripts <- r: // one that is done with another
	default:
		if !w.closed {
			w.scripts.Go(func() { w.runScripts(r) })
		}
	}
}

// deadlineContext is a context that also tells its deadline; whoever made it sees to it
// that it ends then.
type deadlineContext struct {
	context.Context
	at time.Time
}

func (d deadlineContext) Deadline() (time.Time, bool) { return d.at, true }

// scriptIdle is how long a goroutine waits for another run. One that is used again
// has its stack grown already, which is much of the cost of a short script.
const scriptIdle = time.Second

// runScripts runs one attempt after the other.
func (w *Worker) runScripts(r *run) {
	idle := time.NewTimer(scriptIdle)
	defer idle.Stop()
	for {
		o := w.runScript(r.ctx, r)
		if r.timeoutTimer != nil {
			r.timeoutTimer.Stop()
		}
		r.cancel(nil)
		w.scriptReturned(r.start.task.Token, r, o)
		idle.Reset(scriptIdle)
		select {
		case r = <-w.idleScripts:
		case <-idle.C:
			return
		case <-w.ctx.Done():
			return
		}
	}
}

// runScript runs the script and makes its outcome fit to travel.
func (w *Worker) runScript(ctx context.Context, r *run) sdk.Outcome {
	task := r.start.task
	if err := w.fetchPayloads(ctx, &r.start, &task); err != nil {
		if errors.Is(context.Cause(ctx), sdk.ErrDetach) {
			return releasedOutcome("the worker ended before it had the task's input")
		}
		return sdk.OutcomeOf(ctx, sdk.Result{}, sdk.FailedWith(sdk.Outcome{Kind: sdk.Failed, Code: sdk.CodeExecutorFailed, Message: err.Error()}))
	}
	to := w.reporter(r)
	var res sdk.Result
	var err error
	if r.start.action == actRevert {
		err = sdk.Revert(ctx, r.executor.Executor, task, to)
	} else {
		res, err = sdk.Execute(ctx, r.executor.Executor, task, to)
	}
	return limitOutcome(sdk.OutcomeOf(ctx, res, err), w.maxResult())
}

// scriptReturned keeps the outcome until the host has it on record, and frees the slot:
// that of a large result only when it is acked, since its bytes are still here.
func (w *Worker) scriptReturned(t token, r *run, o sdk.Outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.phase == working { // else it was given up
		w.keepOutcome(t, r, o)
	}
}

// keepOutcome is scriptReturned with w.mu held.
func (w *Worker) keepOutcome(t token, r *run, o sdk.Outcome) {
	r.failSaves()
	w.clearSuspect(r)
	r.sendProgress(w)
	r.outcome = o
	if r.fenced {
		r.phase = reporting
		w.removeRun(t, r)
		return
	}
	if o.Kind == sdk.Succeeded && len(o.Result.Data) > w.maxResult() {
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
			wake(w.pullWanted)
			return
		}
	}
}

var errAttemptEnded = errors.New("the attempt is over")

// fence ends what the host does not want. w.mu is held.
func (w *Worker) fence(t token, r *run, why string) {
	w.counters.refusedReports.Add(1)
	switch r.phase {
	case accepting, asking:
		w.removeRun(t, r)
	case working:
		if !r.fenced {
			w.log.Warn("an attempt is not wanted any more and is stopped", "task", r.start.task.ID, "reason", why)
			r.fenced = true
			w.clearSuspect(r) // settled, whether or not its script listens
			r.cancel(sdk.ErrCancel)
			r.failSaves()
		}
	case uploading, reporting:
		w.log.Warn("a result came too late and is thrown away", "task", r.start.task.ID, "reason", why)
		w.removeRun(t, r)
	}
}

// removeRun forgets a run. w.mu is held.
func (w *Worker) removeRun(t token, r *run) {
	delete(w.runs, t)
	w.clearSuspect(r)
	r.freeSlot(w)
	if s, ok := r.executor.Executor.(sdk.Settler); ok && r.phase >= uploading {
		s.Settled(t)
	}
	wake(w.runRemoved)
}

// clearSuspect gives up the place for suspects if r has it. w.mu is held.
func (w *Worker) clearSuspect(r *run) {
	if w.suspect == r {
		w.suspect = nil
	}
}

// dropUnaccepted gives up a start that was never acknowledged: the broker delivers it again.
func (w *Worker) dropUnaccepted(t token) {
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
