package task

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"time"
	"unicode/utf8"
)

// OutcomeKind is what became of an attempt.
type OutcomeKind uint8

// The outcomes of an attempt: a closed set.
const (
	OutcomeSucceeded OutcomeKind = iota + 1
	OutcomeFailed
	OutcomeCanceled
	OutcomeLost
	OutcomeReleased // it surely never started
	OutcomeYielded
	OutcomeInterrupted // stopped because its process or its host ends; it may have run in part
)

// Codes of a Failure that the host itself gives.
const (
	FailureScript       = "script_failed"
	FailurePermanent    = "permanent"
	FailureTimeout      = "timeout"
	FailureExecutorLost = "executor_lost"
	FailureExecutor     = "executor_failed"
	FailureResultSize   = "result_too_large"
	FailureProtocol     = "protocol_error"
	FailureCanceled     = "canceled"
	FailureSealedInput  = "sealed_input" // no key of the host opens what is secret of the input
	FailureTrashed      = "trashed"      // no use to anybody: kept with its reason, and no failure in any count of them
)

// HostFailures are codes that mean what the host says by them: nobody else gives them.
var HostFailures = []string{FailureTimeout, FailureExecutorLost, FailureExecutor, FailureResultSize, FailureProtocol, FailureCanceled, FailureSealedInput, FailureTrashed}

// Trashed says that t failed because a worker found it to be no use to anybody.
func (t *Task) Trashed() bool {
	return t.State == Failed && t.Error != nil && t.Error.Code == FailureTrashed
}

// Outcome is how one attempt ended.
type Outcome struct {
	Kind       OutcomeKind
	Result     []byte
	ResultType string
	Code       string // of a failure
	Message    string
	Details    map[string]any
	Permanent  bool
	// RetryAfter and Yield.Until may be MaxRetain away: beyond it Settle fails the task.
	RetryAfter time.Duration
	Yield      *Yield
	// Unconfirmed says that nobody heard the attempt end: the bound of a cancel
	// or of a timeout passed and its token was fenced.
	Unconfirmed bool
	// Suspect says of a lost attempt that it may itself be what ended its process.
	Suspect bool
}

// Yield is what a resting task waits for.
type Yield struct {
	Until      time.Time
	Children   bool // until children are final: these, or all it has
	WaitFor    []ID
	Resume     bool
	Checkpoint []byte // nil keeps the one there is
}

// Backoff is how long a task rests before it is tried again: Initial, doubled
// with each failure up to Max, of which the upper half is left to chance so that
// tasks that failed together do not come back together.
type Backoff struct {
	// Initial is how long a task rests after an attempt that failed; the rest doubles with each
	// further failure, and its upper half is left to chance.
	Initial time.Duration
	// Max is the longest such rest.
	Max time.Duration
}

// Delay is the rest after the nth failure (from 1). chance is in [0,1).
func (b Backoff) Delay(n int, chance float64) time.Duration {
	if b.Initial <= 0 {
		return 0
	}
	d := float64(b.Initial) * math.Pow(2, float64(max(n, 1)-1))
	if b.Max > 0 {
		d = math.Min(d, float64(b.Max))
	}
	d = math.Min(d, float64(math.MaxInt64/2))
	return time.Duration(d/2 + d/2*chance)
}

// Change is a task after a transition, with what the store needs to make it:
// it applies only if the stored task is still in state From, at attempt
// FromAttempt and version Task.Version; the store then raises the version.
type Change struct {
	Task        Task
	From        State
	FromAttempt int
	// Event is the transition for the history; nil if this is none (a checkpoint,
	// a handle). The store numbers it with the new version.
	Event *Event
	// What else of Task is to be written: these live beside the row.
	SetResult, SetError, SetCheckpoint, SetHandle bool
	// WaitFor are the children that a task which waits for children waits for; nil for all
	// that it has. The store has it wait for those that are not final.
	WaitFor []ID
	// Delay is the rest that Task.RunAt stands for, where it was reckoned from the time
	// of the change and is no time of day that somebody named.
	Delay time.Duration
}

// Empty says that there is nothing to change, as of one that has no From.
func (c *Change) Empty() bool { return c.From == None }

// changeOf begins a change of t. A rule makes it in place, and gives it to its caller: t itself
// no rule keeps or changes.
func changeOf(t *Task) Change { return Change{Task: *t, From: t.State, FromAttempt: t.Attempt} }

// enter makes c a transition to a state, if the table allows it.
func (c *Change) enter(to State, by, message string, now time.Time) error {
	t := &c.Task
	if !Allowed(c.From, to) {
		return notAllowed(t, to)
	}
	c.Event = &Event{At: now, From: c.From, To: to, Attempt: t.Attempt, By: by, Message: clip(message)}
	t.State = to
	t.UpdatedAt = now
	if to != Pending {
		t.Waiting = WaitNone
	}
	if !to.Active() {
		t.Token = Token{}
		if len(t.Handle) > 0 || t.Node != "" {
			t.Handle = nil
			c.SetHandle = true
		}
	}
	if to.Final() {
		t.FinishedAt = now
		t.ExpiresAt = time.Time{}
		if t.Retain > 0 {
			t.ExpiresAt = now.Add(t.Retain)
		}
	}
	return nil
}

// setError has c say why its task did not succeed; nil that there is nothing to say.
func (c *Change) setError(f *Failure) {
	c.Task.Error = f
	c.SetError = true
}

// notAllowed is why a request on a final task is refused, or one on a task that is not final.
func notAllowed(t *Task, to State) error {
	if t.State.Final() {
		return Errorf(CodeAlreadyFinal, "task %s is already %s", t.ID, t.State)
	}
	if to == Pending {
		return Errorf(CodeNotFinal, "task %s is %s: only a failed, canceled or reverted task can be retried", t.ID, t.State)
	}
	return Errorf(CodeConflict, "task %s is %s and cannot become %s", t.ID, t.State, to)
}

// Settle says what becomes of t when its current attempt ends with o. chance, in
// [0,1), spreads retries. An error means that t holds no attempt.
func Settle(t *Task, o *Outcome, b Backoff, now time.Time, chance float64) (c Change, err error) {
	c = changeOf(t)
	if err = c.settle(o, b, now, chance); err != nil {
		return Change{}, err
	}
	if o.told() && t.Executor != "" {
		c.Event.By = ByExecutor(t.Executor)
	}
	return c, nil
}

// told says that an outcome is the executor's word, and no conclusion of the host's.
func (o *Outcome) told() bool {
	switch o.Code {
	case FailureTimeout, FailureExecutor, FailureProtocol, FailureResultSize, FailureSealedInput:
		return false
	}
	return o.Kind != OutcomeLost && !o.Unconfirmed
}

func (c *Change) settle(o *Outcome, b Backoff, now time.Time, chance float64) error {
	t := &c.Task
	dispatched := t.State == Pending && t.Waiting == WaitDispatched
	switch {
	case t.State == Reverting:
		return c.settleRevert(o, now)
	case t.State == Canceling && o.Kind == OutcomeSucceeded, t.State == Running && o.Kind == OutcomeSucceeded:
		return c.succeed(o, now)
	case t.State == Canceling:
		return c.settleCancel(o, now)
	case t.State != Running && !dispatched:
		return Errorf(CodeConflict, "task %s is %s and holds no attempt", t.ID, t.State)
	}
	switch o = withinReach(o, now); o.Kind {
	case OutcomeSucceeded: // dispatched: whoever heard of an end must record the start first
		return Errorf(CodeConflict, "task %s has not started and cannot have succeeded", t.ID)
	case OutcomeReleased:
		return c.requeue(t.RunAt, o.Message, now)
	case OutcomeInterrupted:
		return c.settleInterrupted(o, now)
	case OutcomeYielded:
		return c.settleYield(o, now)
	case OutcomeLost:
		return c.settleLost(o, now)
	default:
		if o.Code != FailureTrashed { // it says something of the task, and nothing of the script
			t.Failures++
		}
		delay := o.RetryAfter
		if delay <= 0 {
			delay = b.Delay(t.Failures, chance)
		}
		return c.settleFailure(o, delay, now)
	}
}

// settleInterrupted has the task wait for its next attempt, unless it must never run twice: the
// one that was interrupted may have run in part.
func (c *Change) settleInterrupted(o *Outcome, now time.Time) error {
	t := &c.Task
	if t.MaxLost > 0 {
		return c.requeue(t.RunAt, o.Message, now)
	}
	return c.fail(o, FailureExecutorLost, "interrupted, and max_lost is 0: it must never run twice", now)
}

// settleLost has the task wait for its next attempt, or fails it when it was lost too often.
func (c *Change) settleLost(o *Outcome, now time.Time) error {
	t := &c.Task
	t.Lost++
	t.Suspect = t.Suspect || o.Suspect
	t.Requeued = 0
	if t.Lost <= t.MaxLost {
		return c.waitUntil(now, "lost: "+o.Message, now)
	}
	return c.fail(o, FailureExecutorLost, fmt.Sprintf("lost %d times, max_lost is %d", t.Lost, t.MaxLost), now)
}

// settleFailure has the task wait for its next attempt until the delay is over, or fails it when
// there will be none. The failure is counted already.
func (c *Change) settleFailure(o *Outcome, delay time.Duration, now time.Time) error {
	t := &c.Task
	t.Requeued = 0
	code := cmp.Or(o.Code, FailureScript)
	at := now.Add(delay)
	late := !t.Deadline.IsZero() && !at.Before(t.Deadline)
	if o.Permanent || t.Failures >= t.MaxAttempts || late {
		return c.fail(o, code, code, now)
	}
	c.setError(failure(t, o, code))
	c.Delay = delay
	return c.waitUntil(at, code+": "+o.Message, now)
}

func (c *Change) succeed(o *Outcome, now time.Time) error {
	t := &c.Task
	t.Result = o.Result
	t.ResultType = o.ResultType
	c.SetResult = true
	if t.Error != nil {
		c.setError(nil)
	}
	return c.enter(Succeeded, ByHost, "", now)
}

func (c *Change) settleCancel(o *Outcome, now time.Time) error {
	t := &c.Task
	msg := "confirmed"
	f := &Failure{Code: FailureCanceled, Message: "canceled by " + t.RequestedBy, Attempt: t.Attempt, Details: map[string]any{"confirmed": true}}
	if o.Unconfirmed || o.Kind == OutcomeLost {
		msg = "not confirmed: " + o.Message
		f.Details["confirmed"] = false
		f.Message += "; nobody heard the attempt end"
	}
	c.setError(f)
	return c.enter(Canceled, ByHost, msg, now)
}

func (c *Change) settleRevert(o *Outcome, now time.Time) error {
	if o.Kind == OutcomeSucceeded {
		return c.enter(Reverted, ByHost, "", now)
	}
	c.setError(failure(&c.Task, o, cmp.Or(o.Code, FailureScript)))
	return c.enter(RevertFailed, ByHost, o.Message, now)
}

// fail ends the task for good, with what the outcome says under that code.
func (c *Change) fail(o *Outcome, code, message string, now time.Time) error {
	c.setError(failure(&c.Task, o, code))
	return c.enter(Failed, ByHost, message, now)
}

func failure(t *Task, o *Outcome, code string) *Failure {
	return &Failure{Code: code, Message: clip(o.Message), Attempt: t.Attempt, Details: o.Details}
}

// The rest of a task whose attempt ended at no cost: without one, an executor that
// gives back all it gets would be asked again as fast as the disk goes.
const (
	RequeueMin = 100 * time.Millisecond
	RequeueMax = time.Minute
)

// requeue puts the task back to wait until at, after an attempt that cost nothing, and no
// sooner than RequeueMin from now, doubled each time in a row up to RequeueMax.
func (c *Change) requeue(at time.Time, message string, now time.Time) error {
	delay := restAfter(c.Task.Requeued)
	c.Task.Requeued++
	if least := now.Add(delay); at.Before(least) {
		at = least
	}
	c.Delay = at.Sub(now)
	return c.waitUntil(at, message, now)
}

// restAfter is how long a task rests whose attempts ended so often in a row at no cost.
func restAfter(n int) time.Duration {
	if n >= 10 {
		return RequeueMax
	}
	return min(RequeueMin<<n, RequeueMax)
}

// waitUntil puts the task back to wait until at.
func (c *Change) waitUntil(at time.Time, message string, now time.Time) error {
	c.Task.RunAt = at
	c.Task.Waiting = WaitQueued
	if at.After(now) {
		c.Task.Waiting = WaitScheduled
	}
	return c.enter(Pending, ByHost, message, now)
}

// settleYield has the task wait for what its script said. A script that yields until a time
// which is past, and has saved nothing new, rests longer each time.
func (c *Change) settleYield(o *Outcome, now time.Time) error {
	t := &c.Task
	y := o.Yield
	if y == nil {
		y = &Yield{Until: now}
	}
	news := y.Checkpoint != nil && !bytes.Equal(y.Checkpoint, t.Checkpoint)
	if news || y.Until.After(now) || y.Resume { // a wait for children may be none: see ChildrenDone
		t.Requeued = 0
	}
	if y.Checkpoint != nil {
		c.setCheckpoint(y.Checkpoint)
	}
	switch {
	case y.Resume:
		t.Waiting = WaitPaused
		c.WaitFor = y.WaitFor
		return c.enter(Pending, ByHost, cmp.Or(o.Message, "yielded"), now)
	case y.Children:
		t.Waiting = WaitChildren
		c.WaitFor = y.WaitFor
		return c.enter(Pending, ByHost, "yielded", now)
	case y.Until.After(now):
		return c.waitUntil(y.Until, "yielded", now)
	}
	return c.requeue(y.Until, "yielded", now)
}

// setCheckpoint has c keep data for the next attempt: new ground was reached, so the
// attempts lost before it no longer count.
func (c *Change) setCheckpoint(data []byte) {
	c.Task.Checkpoint = data
	c.SetCheckpoint = true
	c.Task.Lost = 0
	c.Task.Suspect = false
}

// clip keeps a message within MaxMessage, at a rune's boundary.
func clip(s string) string {
	if len(s) <= MaxMessage {
		return s
	}
	s = s[:MaxMessage]
	for len(s) > 0 && !utf8.ValidString(s[len(s)-min(len(s), utf8.UTFMax):]) {
		s = s[:len(s)-1]
	}
	return s
}
