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

// change begins a transition of t to state to, if the table allows it.
func change(t Task, to State, by, message string, now time.Time) (Change, error) {
	if !Allowed(t.State, to) {
		return Change{}, notAllowed(t, to)
	}
	c := Change{Task: t, From: t.State, FromAttempt: t.Attempt,
		Event: &Event{At: now, From: t.State, To: to, Attempt: t.Attempt, By: by, Message: clip(message)}}
	c.Task.State, c.Task.UpdatedAt = to, now
	if to != Pending {
		c.Task.Waiting = WaitNone
	}
	if !to.Active() {
		c.Task.Token = Token{}
		if len(t.Handle) > 0 || t.Node != "" {
			c.Task.Handle, c.SetHandle = nil, true
		}
	}
	if to.Final() {
		c.Task.FinishedAt = now
		c.Task.ExpiresAt = time.Time{}
		if t.Retain > 0 {
			c.Task.ExpiresAt = now.Add(t.Retain)
		}
	}
	return c, nil
}

// final is why a request on a final task is refused, or one that is not final.
func notAllowed(t Task, to State) error {
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
func Settle(t Task, o Outcome, b Backoff, now time.Time, chance float64) (Change, error) {
	c, err := settle(t, o, b, now, chance)
	if c.Event != nil && o.told() && t.Executor != "" {
		c.Event.By = ByExecutor(t.Executor)
	}
	return c, err
}

// told says that an outcome is the executor's word, and no conclusion of the host's.
func (o *Outcome) told() bool {
	switch o.Code {
	case FailureTimeout, FailureExecutor, FailureProtocol, FailureResultSize, FailureSealedInput:
		return false
	}
	return o.Kind != OutcomeLost && !o.Unconfirmed
}

func settle(t Task, o Outcome, b Backoff, now time.Time, chance float64) (Change, error) {
	dispatched := t.State == Pending && t.Waiting == WaitDispatched
	switch {
	case t.State == Reverting:
		return settleRevert(t, o, now)
	case t.State == Canceling && o.Kind == OutcomeSucceeded, t.State == Running && o.Kind == OutcomeSucceeded:
		return succeed(t, o, now)
	case t.State == Canceling:
		return settleCancel(t, o, now)
	case t.State != Running && !dispatched:
		return Change{}, Errorf(CodeConflict, "task %s is %s and holds no attempt", t.ID, t.State)
	}
	switch o = withinReach(o, now); o.Kind {
	case OutcomeSucceeded: // dispatched: whoever heard of an end must record the start first
		return Change{}, Errorf(CodeConflict, "task %s has not started and cannot have succeeded", t.ID)
	case OutcomeReleased:
		return requeue(t, t.RunAt, o.Message, now)
	case OutcomeInterrupted:
		return settleInterrupted(t, o, now)
	case OutcomeYielded:
		return settleYield(t, o, now)
	case OutcomeLost:
		return settleLost(t, o, now)
	default:
		if o.Code != FailureTrashed { // it says something of the task, and nothing of the script
			t.Failures++
		}
		delay := o.RetryAfter
		if delay <= 0 {
			delay = b.Delay(t.Failures, chance)
		}
		return settleFailure(t, o, delay, now)
	}
}

// settleInterrupted has t wait for its next attempt, unless it must never run twice: the
// one that was interrupted may have run in part.
func settleInterrupted(t Task, o Outcome, now time.Time) (Change, error) {
	if t.MaxLost > 0 {
		return requeue(t, t.RunAt, o.Message, now)
	}
	o.Code = FailureExecutorLost
	return fail(t, o, "interrupted, and max_lost is 0: it must never run twice", now)
}

// settleLost has t wait for its next attempt, or fails it when it was lost too often.
func settleLost(t Task, o Outcome, now time.Time) (Change, error) {
	t.Lost++
	t.Suspect = t.Suspect || o.Suspect
	t.Requeued = 0
	if t.Lost <= t.MaxLost {
		return waitUntil(t, now, "lost: "+o.Message, now)
	}
	o.Code = FailureExecutorLost
	return fail(t, o, fmt.Sprintf("lost %d times, max_lost is %d", t.Lost, t.MaxLost), now)
}

// settleFailure has t wait for its next attempt until the delay is over, or fails it when
// there will be none. The failure is counted already.
func settleFailure(t Task, o Outcome, delay time.Duration, now time.Time) (Change, error) {
	t.Requeued = 0
	if o.Code == "" {
		o.Code = FailureScript
	}
	at := now.Add(delay)
	late := !t.Deadline.IsZero() && !at.Before(t.Deadline)
	if o.Permanent || t.Failures >= t.MaxAttempts || late {
		return fail(t, o, o.Code, now)
	}
	c, err := waitUntil(t, at, o.Code+": "+o.Message, now)
	c.Task.Error = failure(t, o)
	c.SetError = true
	c.Delay = delay
	return c, err
}

func succeed(t Task, o Outcome, now time.Time) (Change, error) {
	c, err := change(t, Succeeded, ByHost, "", now)
	if err != nil {
		return c, err
	}
	return succeeded(c, o), nil
}

func succeeded(c Change, o Outcome) Change {
	c.Task.Result, c.Task.ResultType, c.SetResult = o.Result, o.ResultType, true
	if c.Task.Error != nil {
		c.Task.Error, c.SetError = nil, true
	}
	return c
}

func settleCancel(t Task, o Outcome, now time.Time) (Change, error) {
	msg := "confirmed"
	f := &Failure{Code: FailureCanceled, Message: "canceled by " + t.RequestedBy, Attempt: t.Attempt, Details: map[string]any{"confirmed": true}}
	if o.Unconfirmed || o.Kind == OutcomeLost {
		msg = "not confirmed: " + o.Message
		f.Details["confirmed"] = false
		f.Message += "; nobody heard the attempt end"
	}
	c, err := change(t, Canceled, ByHost, msg, now)
	c.Task.Error, c.SetError = f, true
	return c, err
}

func settleRevert(t Task, o Outcome, now time.Time) (Change, error) {
	if o.Kind == OutcomeSucceeded {
		return change(t, Reverted, ByHost, "", now)
	}
	if o.Code == "" {
		o.Code = FailureScript
	}
	c, err := change(t, RevertFailed, ByHost, o.Message, now)
	c.Task.Error, c.SetError = failure(t, o), true
	return c, err
}

func fail(t Task, o Outcome, message string, now time.Time) (Change, error) {
	c, err := change(t, Failed, ByHost, message, now)
	c.Task.Error, c.SetError = failure(t, o), true
	return c, err
}

func failure(t Task, o Outcome) *Failure {
	return &Failure{Code: o.Code, Message: clip(o.Message), Attempt: t.Attempt, Details: o.Details}
}

// The rest of a task whose attempt ended at no cost: without one, an executor that
// gives back all it gets would be asked again as fast as the disk goes.
const (
	RequeueMin = 100 * time.Millisecond
	RequeueMax = time.Minute
)

// requeue puts t back to wait until at, after an attempt that cost nothing, and no
// sooner than RequeueMin from now, doubled each time in a row up to RequeueMax.
func requeue(t Task, at time.Time, message string, now time.Time) (Change, error) {
	delay := restAfter(t.Requeued)
	t.Requeued++
	if least := now.Add(delay); at.Before(least) {
		at = least
	}
	c, err := waitUntil(t, at, message, now)
	c.Delay = at.Sub(now)
	return c, err
}

// restAfter is how long a task rests whose attempts ended so often in a row at no cost.
func restAfter(n int) time.Duration {
	if n >= 10 {
		return RequeueMax
	}
	return min(RequeueMin<<n, RequeueMax)
}

// waitUntil puts t back to wait until at.
func waitUntil(t Task, at time.Time, message string, now time.Time) (Change, error) {
	c, err := change(t, Pending, ByHost, message, now)
	c.Task.Waiting, c.Task.RunAt = WaitQueued, at
	if at.After(now) {
		c.Task.Waiting = WaitScheduled
	}
	return c, err
}

// settleYield has t wait for what its script said. A script that yields until a time
// which is past, and has saved nothing new, rests longer each time.
func settleYield(t Task, o Outcome, now time.Time) (c Change, err error) {
	y := o.Yield
	if y == nil {
		y = &Yield{Until: now}
	}
	news := y.Checkpoint != nil && !bytes.Equal(y.Checkpoint, t.Checkpoint)
	if news || y.Until.After(now) || y.Resume { // a wait for children may be none: see ChildrenDone
		t.Requeued = 0
	}
	switch {
	case y.Children || y.Resume:
		c, err = change(t, Pending, ByHost, "yielded", now)
		c.Task.Waiting = WaitChildren
		c.WaitFor = y.WaitFor
		if y.Resume {
			c.Task.Waiting = WaitPaused
			c.Event.Message = clip(cmp.Or(o.Message, c.Event.Message))
		}
	case y.Until.After(now):
		c, err = waitUntil(t, y.Until, "yielded", now)
	default:
		c, err = requeue(t, y.Until, "yielded", now)
	}
	if y.Checkpoint != nil {
		setCheckpoint(&c, y.Checkpoint)
	}
	return c, err
}

// setCheckpoint has c keep data for the next attempt: new ground was reached, so the
// attempts lost before it no longer count.
func setCheckpoint(c *Change, data []byte) {
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
