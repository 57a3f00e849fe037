package remotequeue

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/taskhost/taskhost/sdk"
)

// step is how far an attempt is, as its worker knows it.
type step uint8

const (
	accepting step = iota // the broker has not confirmed yet
	asking                // the host has not answered yet
	working
	uploading   // the result goes to the host's REST first
	finishedRun // the host has not acked yet
)

// run is one attempt on a worker. Its fields are guarded by the worker's mu.
type run struct {
	start      start
	l          *local
	phase      step
	since      time.Time
	sent       time.Time     // when the host was last told what it has to answer
	wait       time.Duration // until it is told again
	ctx        context.Context
	cancel     context.CancelCauseFunc
	clock      *time.Timer // ends ctx when the attempt's time is up; nil if it has none
	fenced     bool        // nothing of it is wanted
	freed      bool        // its slot was given back
	outcome    sdk.Outcome
	large      *sdk.Result // a result that no message carries; kept until it is acked
	putTo      string      // the host process that has it
	saveTurn   sync.Mutex  // of its checkpoints; taken before the worker's mu
	saves      map[uint64]*saving
	lastSeq    uint64
	progressAt time.Time
	progress   *item // the latest, if it was not sent
	dropped    uint64
}

// saving is a checkpoint that is not acked yet.
type saving struct {
	data []byte
	done chan error
	sent time.Time
}

// receive takes what the host says.
func (w *Worker) receive(m *nats.Msg) {
	w.hostSpoke()
	if len(m.Data) > 0 && m.Data[0] == '{' {
		o, err := decodeOffer(m.Data)
		if err != nil {
			w.count.garbage.Add(1)
			return
		}
		w.offered(o)
		return
	}
	w.mu.Lock()
	bad, err := decodeBatch(m.Data, w.take)
	w.mu.Unlock()
	if bad > 0 || err != nil {
		w.count.garbage.Add(1)
	}
}

// offered takes a new offer. If the host's process is another one, what it has to
// answer is told at once.
func (w *Worker) offered(o offer) {
	w.mu.Lock()
	fresh := w.offer.Host != o.Host
	probe := w.offer.HostURL != o.HostURL
	turned := w.offer.Drain != o.Drain
	w.offer = o
	if turned && o.Drain {
		w.log.Info("drained by the host: nothing more is taken until it is resumed")
		w.handBack()
	} else if turned {
		w.log.Info("resumed by the host")
	}
	if probe {
		w.spawn(w.probe)
	}
	if fresh {
		for _, r := range w.runs {
			r.wait, r.sent = 0, time.Time{}
		}
	}
	w.mu.Unlock()
	if fresh {
		w.log.Info("host found", "host", o.Host[:min(8, len(o.Host))])
	}
	signal(w.beats)
	signal(w.pulls)
}

// take is one item of the host. w.mu is held.
func (w *Worker) take(it item) {
	switch it.kind {
	case kindDescribe:
		w.describe.Store(true)
		signal(w.beats)
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
			w.tell(&item{kind: kindFinished, token: it.token, outcome: released("the worker had given it back")})
		}
		return
	}
	switch it.kind {
	case kindGo:
		if r.phase == asking {
			w.begin(r, it.timeout)
		}
	case kindRefuse:
		w.fence(it.token, r, it.text)
	case kindCancel:
		if r.phase == working {
			r.cancel(it.cause.err())
		}
	case kindAck:
		if it.seq > 0 {
			r.saved(it.seq, nil)
		} else if r.phase == finishedRun {
			w.remove(it.token, r)
		}
	case kindDeny:
		r.saved(it.seq, errors.New(it.text))
	case kindPut:
		w.putAgain(it.token, r, it.host)
	}
}

// begin starts the script. w.mu is held.
func (w *Worker) begin(r *run, timeout time.Duration) {
	// Not below the worker's own context: it would keep a list of thousands.
	ctx, cancel := context.WithCancelCause(context.Background())
	r.phase, r.cancel = working, cancel
	if timeout > 0 {
		at := time.Now().Add(timeout)
		r.start.task.Deadline = at
		r.clock = time.AfterFunc(timeout, func() { cancel(sdk.ErrTimeout) })
		ctx = deadlined{ctx, at}
	}
	r.ctx = ctx
	select {
	case w.hands <- r: // one that is done with another
	default:
		if !w.left {
			w.scripts.Go(func() { w.hand(r) })
		}
	}
}

// deadlined is a context that also tells its deadline; whoever made it sees to it
// that it ends then.
type deadlined struct {
	context.Context
	at time.Time
}

func (d deadlined) Deadline() (time.Time, bool) { return d.at, true }

// handIdle is how long a goroutine waits for another run. One that is used again
// has its stack grown already, which is much of the cost of a short script.
const handIdle = time.Second

// hand runs one attempt after the other.
func (w *Worker) hand(r *run) {
	idle := time.NewTimer(handIdle)
	defer idle.Stop()
	for {
		o := w.carry(r.ctx, r)
		if r.clock != nil {
			r.clock.Stop()
		}
		r.cancel(nil)
		w.finished(r.start.task.Token, r, o)
		idle.Reset(handIdle)
		select {
		case r = <-w.hands:
		case <-idle.C:
			return
		case <-w.ctx.Done():
			return
		}
	}
}

// carry runs the script and makes its outcome fit to travel.
func (w *Worker) carry(ctx context.Context, r *run) sdk.Outcome {
	task := r.start.task
	if err := w.fetch(ctx, &r.start, &task); err != nil {
		if errors.Is(context.Cause(ctx), sdk.ErrDetach) {
			return released("the worker ended before it had the task's input")
		}
		return sdk.OutcomeOf(ctx, sdk.Result{}, sdk.FailedWith(sdk.Outcome{Kind: sdk.OutcomeFailed, Code: sdk.CodeExecutorFailed, Message: err.Error()}))
	}
	to := w.reporter(r)
	var res sdk.Result
	var err error
	if r.start.action == actRevert {
		err = sdk.Revert(ctx, r.l.Executor, task, to)
	} else {
		res, err = sdk.Execute(ctx, r.l.Executor, task, to)
	}
	return w.fit(sdk.OutcomeOf(ctx, res, err))
}

// finished keeps the outcome until the host has it on record, and frees the slot:
// that of a large result only when it is acked, since its bytes are still here.
func (w *Worker) finished(t token, r *run, o sdk.Outcome) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.phase == working { // else it was given up
		w.ended(t, r, o)
	}
}

// ended is finished with w.mu held.
func (w *Worker) ended(t token, r *run, o sdk.Outcome) {
	r.over()
	w.cleared(r)
	r.flush(w)
	r.outcome = o
	if r.fenced {
		r.phase = finishedRun
		w.remove(t, r)
		return
	}
	if o.Kind == sdk.OutcomeSucceeded && len(o.Result.Data) > w.maxResult() {
		r.large = &o.Result
		r.outcome.Result = sdk.Result{ContentType: o.Result.ContentType, Stored: true}
		w.upload(t, r)
		return
	}
	r.free(w)
	w.report(t, r, time.Second)
}

// free gives back the slot of a run, once. The worker's mu is held.
func (r *run) free(w *Worker) {
	if r.freed {
		return
	}
	r.freed = true
	r.l.used--
	for _, p := range r.l.pullers {
		if r.l.wants(p) > 0 {
			signal(w.pulls)
			return
		}
	}
}

var errOver = errors.New("the attempt is over")

// fence ends what the host does not want. w.mu is held.
func (w *Worker) fence(t token, r *run, why string) {
	w.count.refused.Add(1)
	switch r.phase {
	case accepting, asking:
		w.remove(t, r)
	case working:
		if !r.fenced {
			w.log.Warn("an attempt is not wanted any more and is stopped", "task", r.start.task.ID, "reason", why)
			r.fenced = true
			w.cleared(r) // settled, whether or not its script listens
			r.cancel(sdk.ErrCancel)
			r.over()
		}
	case uploading, finishedRun:
		w.log.Warn("a result came too late and is thrown away", "task", r.start.task.ID, "reason", why)
		w.remove(t, r)
	}
}

// remove forgets a run. w.mu is held.
func (w *Worker) remove(t token, r *run) {
	delete(w.runs, t)
	w.cleared(r)
	r.free(w)
	if s, ok := r.l.Executor.(sdk.Settler); ok && r.phase >= uploading {
		s.Settled(t)
	}
	signal(w.idle)
}

// cleared gives up the place for suspects if r has it. w.mu is held.
func (w *Worker) cleared(r *run) {
	if w.suspect == r {
		w.suspect = nil
	}
}

// drop gives up a start that was never acknowledged: the broker delivers it again.
func (w *Worker) drop(t token) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if r := w.runs[t]; r != nil && r.phase == accepting {
		w.remove(t, r)
	}
}

// over answers all checkpoints that wait: nothing is on record for them any more. The
// worker's mu is held.
func (r *run) over() {
	for seq := range r.saves {
		r.saved(seq, errOver)
	}
}

// saved answers a checkpoint. The worker's mu is held.
func (r *run) saved(seq uint64, err error) {
	if s := r.saves[seq]; s != nil {
		delete(r.saves, seq)
		s.done <- err
	}
}
