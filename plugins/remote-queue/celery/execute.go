package celery

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/amqp"
	"github.com/taskhost/taskhost/sdk"
)

// Execute publishes a message for t and waits for its outcome, or joins the attempt where it
// is.
func (e *executor) Execute(ctx context.Context, t sdk.Task, r sdk.Reporter) (sdk.Result, error) {
	a, owner, err := e.enter(&t)
	if err != nil {
		return sdk.Result{}, err
	}
	if !owner {
		return e.join(ctx, a, r)
	}
	w := wait{executor: e, attempt: a, task: &t, reporter: r, recorded: parseHandle(t.Handle)}
	o, ended := w.run(ctx)
	e.mu.Lock()
	defer e.mu.Unlock()
	a.owned = false
	if !ended { // it goes on without this host, and its answer waits
		return sdk.Result{}, sdk.ErrDetach
	}
	a.outcome = o
	close(a.done)
	return resultOf(o)
}

func resultOf(o sdk.Outcome) (sdk.Result, error) {
	if o.Kind == sdk.OutcomeSucceeded {
		return o.Result, nil
	}
	return sdk.Result{}, sdk.FailedWith(o)
}

// enter enters an attempt, or finds the one that is there. The owner is the one that acts on
// what is heard.
func (e *executor) enter(t *sdk.Task) (_ *attempt, owner bool, err error) {
	name, ok := e.queueConfig.Tasks[t.Type]
	if !ok {
		return nil, false, sdk.Permanent(fmt.Errorf("the config of executor %q has no task of type %q", e.cfg.Executor, t.Type))
	}
	id := messageID(t.Token)
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return nil, false, sdk.ErrDetach
	}
	if have := e.attempts[id]; have != nil {
		owner = !have.owned && !have.ended()
		have.owned = have.owned || owner
		return have, owner, nil
	}
	a := newAttempt(id, t)
	if !t.Rejoin {
		if _, err := encodeTask(t, name, ""); err != nil {
			return nil, false, sdk.Permanent(err)
		}
	} else if err := e.rejoin(a, t); err != nil {
		return nil, false, err
	}
	a.owned = true
	if a.publishedAt.IsZero() {
		a.publishedAt = time.Now()
	}
	e.attempts[id] = a
	return a, true, nil
}

// rejoin makes a an attempt of an earlier process of the host. e.mu is held.
func (e *executor) rejoin(a *attempt, t *sdk.Task) error {
	at, known := e.published.at(a.id)
	early, answered := e.early[a.id]
	switch {
	case len(t.Handle) > 0:
		a.on = parseHandle(t.Handle)
		close(a.started)
		e.expectWorker(a.on)
	case !known && !answered:
		// Nothing says that it was published. Should it have been, workers discard it.
		e.link.revoke(a.id)
		return sdk.ErrReleased
	}
	if answered {
		delete(e.early, a.id)
		a.final = &early
		a.wake()
	}
	a.sent = confirmed
	a.publishedAt = at
	return nil
}

// join waits for the outcome of an attempt that somebody else acts for.
func (e *executor) join(ctx context.Context, a *attempt, r sdk.Reporter) (sdk.Result, error) {
	started := a.started
	for {
		select {
		case <-started:
			started = nil
			e.mu.Lock()
			on := a.on
			e.mu.Unlock()
			if err := r.Started(on.encode(), on.Worker); err != nil {
				e.log.Debug("a joined attempt is not wanted any more", "task", a.taskID, "error", err)
			}
		case <-a.done:
			return resultOf(a.outcome)
		case <-ctx.Done():
			return sdk.Result{}, context.Cause(ctx)
		case <-e.ctx.Done():
			return sdk.Result{}, sdk.ErrDetach
		}
	}
}

// wait is one Execute that owns its attempt.
type wait struct {
	executor *executor
	attempt  *attempt
	task     *sdk.Task
	reporter sdk.Reporter
	recorded handle // where it runs, as it is on record
}

// run acts on what is heard of the attempt until it ends; false if it goes on without this
// host.
func (w *wait) run(ctx context.Context) (o sdk.Outcome, ended bool) {
	e, a := w.executor, w.attempt
	stopped := ctx.Done()
	var late <-chan time.Time // the answer to a stop does not come
	silent := time.NewTimer(w.patience())
	defer silent.Stop()
	for {
		if o, ended := w.advance(); ended {
			return o, true
		}
		select {
		case <-a.wakeUp:
		case <-stopped:
			stopped = nil
			if errors.Is(context.Cause(ctx), sdk.ErrDetach) {
				return o, false
			}
			if o, ended := w.stop(ctx); ended {
				return o, true
			}
			late = time.After(stopWait)
		case <-silent.C:
			if o, ended := w.giveUp(); ended {
				return o, true
			}
			silent.Reset(w.patience())
		case <-late:
			return sdk.Outcome{Kind: sdk.OutcomeLost, Message: fmt.Sprintf("no worker confirmed within %s that the task was stopped", stopWait)}, true
		case <-e.ctx.Done():
			return o, false
		}
	}
}

// patience is how long a worker may take to say that it has started or ended the attempt.
func (w *wait) patience() time.Duration {
	e, a := w.executor, w.attempt
	if a.hasStarted() {
		return time.Hour // its time is the host's to watch
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	return max(time.Until(a.publishedAt.Add(w.task.Timeout+lateReply)), time.Millisecond)
}

// advance does what is due: publish, report, end.
func (w *wait) advance() (sdk.Outcome, bool) {
	e, a := w.executor, w.attempt
	e.mu.Lock()
	final, lost, ran, on := a.final, a.lost, a.ran, a.on
	p, notes := a.progress, a.notes
	a.progress, a.notes = nil, nil
	refused := a.refused
	// As Celery's own clients do: a message that was not confirmed goes again, once there is
	// another connection. Should both arrive, the task runs twice, under one id.
	again := a.sent == unknown && a.connection != e.connection && e.brokerAway == ""
	publish := (a.sent == unsent || again) && !a.stopping
	if publish {
		a.sent = underway
		a.connection = e.connection
		a.publishedAt = time.Now()
	}
	e.mu.Unlock()
	if publish && final == nil {
		if o, ended := w.publish(again); ended {
			return o, true
		}
	}
	if final != nil && a.hasStarted() {
		on = w.recorded // its end is what counts
	}
	if (ran || final != nil && final.Status != stateRevoked) && !w.recordStart(on) {
		e.link.revoke(a.id)
		return sdk.Outcome{Kind: sdk.OutcomeReleased, Message: "the start was not wanted any more"}, true
	}
	for _, note := range notes {
		w.reporter.Log().Warn(note)
	}
	if p != nil {
		w.reporter.Progress(p.done, p.total, p.message)
	}
	switch {
	case final != nil:
		return final.outcome(ran || a.hasStarted()), true
	case lost != "":
		e.link.revoke(a.id) // should it be delivered to another worker after all
		return sdk.Outcome{Kind: sdk.OutcomeLost, Code: sdk.CodeExecutorLost, Message: lost}, true
	case refused != nil:
		return sdk.Outcome{Kind: sdk.OutcomeReleased, Message: fmt.Sprintf("queue %q: %v", e.queueConfig.Queue, refused)}, true
	}
	return sdk.Outcome{}, false
}

// publish sends the message. An end is one that surely did not begin.
func (w *wait) publish(again bool) (sdk.Outcome, bool) {
	e, a := w.executor, w.attempt
	name := e.queueConfig.Tasks[w.task.Type]
	m, err := encodeTask(w.task, name, "taskhost@"+e.cfg.Executor)
	if err == nil {
		err = e.link.publish(m, w.task, func(err error) { e.sent(a, err) })
	}
	if err == nil {
		return sdk.Outcome{}, false
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if again {
		a.sent = unknown // it is tried again when the broker is back
		return sdk.Outcome{}, false
	}
	return sdk.Outcome{Kind: sdk.OutcomeReleased, Message: "not published: " + err.Error()}, true
}

// sent notes what the broker says of a message.
func (e *executor) sent(a *attempt, err error) {
	if err == nil {
		err = e.published.add(a.id)
		if err != nil {
			e.log.Error("which messages were published cannot be kept: should the host end now, one may run twice", "error", err)
			err = nil
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.attempts[a.id] != a { // it was answered and settled before
		e.published.remove(a.id)
	}
	switch {
	case a.final != nil || err == nil:
		a.sent = confirmed
	case errors.Is(err, amqp.ErrUnroutable), errors.Is(err, amqp.ErrNotTaken):
		a.refused = err
	default:
		a.sent = unknown
	}
	a.wake()
}

// recordStart puts on record that the attempt has started, and on which worker that was
// last. False if it is not wanted any more.
func (w *wait) recordStart(on handle) bool {
	a := w.attempt
	if a.hasStarted() && on == w.recorded {
		return true
	}
	if err := w.reporter.Started(on.encode(), on.Worker); err != nil {
		return false
	}
	w.recorded = on
	if !a.hasStarted() {
		close(a.started)
	}
	return true
}

// stop has workers discard the attempt, or end it. One that surely no worker has begun has
// ended by that.
func (w *wait) stop(ctx context.Context) (sdk.Outcome, bool) {
	e, a := w.executor, w.attempt
	e.mu.Lock()
	a.stopping = true
	ran, sent := a.ran || a.hasStarted(), a.sent
	e.mu.Unlock()
	e.link.revoke(a.id)
	if !ran || sent == unknown {
		return sdk.Outcome{Kind: sdk.OutcomeFailed, Code: sdk.CodeScriptFailed, Message: "withdrawn: " + context.Cause(ctx).Error()}, true
	}
	return sdk.Outcome{}, false
}

// giveUp is called when neither a start nor an end was heard in time. Started attempts are
// the host's to time.
func (w *wait) giveUp() (sdk.Outcome, bool) {
	e, a := w.executor, w.attempt
	e.mu.Lock()
	tells := e.tellStart[a.typ]
	due := !a.hasStarted() && !time.Now().Before(a.publishedAt.Add(w.task.Timeout+lateReply))
	e.mu.Unlock()
	if !due {
		return sdk.Outcome{}, false
	}
	e.link.revoke(a.id)
	if tells { // it would have said so
		return sdk.Outcome{Kind: sdk.OutcomeReleased, Message: fmt.Sprintf("no worker started it within its timeout of %s", w.task.Timeout)}, true
	}
	return sdk.Outcome{Kind: sdk.OutcomeFailed, Code: sdk.CodeTimeout, Message: fmt.Sprintf("attempt timed out: no worker answered within %s of its being published; "+
		"whether one began, Celery tells only with task_track_started", w.task.Timeout)}, true
}

// Settled forgets an attempt whose outcome is on record, and only now lets the broker forget
// the answer.
func (e *executor) Settled(t sdk.Token) {
	id := messageID(t)
	e.mu.Lock()
	var acks []func()
	if a := e.attempts[id]; a != nil && a.final != nil {
		acks = append(acks, a.final.ack)
	}
	if r, ok := e.early[id]; ok {
		acks = append(acks, r.ack)
	}
	delete(e.attempts, id)
	delete(e.early, id)
	e.published.remove(id)
	e.mu.Unlock()
	for _, ack := range acks {
		ack()
	}
}
