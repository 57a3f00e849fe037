package task_test

import (
	"fmt"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"pgregory.net/rapid"

	"github.com/taskhost/taskhost/host/task"
)

var backoff = task.Backoff{Initial: 10 * time.Second, Max: time.Minute}

// running is a task in its second attempt, all budgets at three.
func running() task.Task {
	t, _ := task.New(someID, "ann", task.Spec{Type: "noop"}, task.DefaultLimits(), start)
	t = task.Begin(&t, "local", task.Token{1}, false, start).Task
	t = task.Begin(&t, "local", task.Token{2}, false, start).Task
	t.Version = 5
	return t
}

func in(s task.State) task.Task {
	t := running()
	t.State = s
	t.RequestedBy = "ann"
	if !s.Active() {
		t.Token = task.Token{}
	}
	return t
}

func TestSettle(t *testing.T) {
	now := start.Add(time.Minute)
	failures := func(n int) task.Task { t := running(); t.Failures = n; return t }
	lost := func(n int) task.Task { t := running(); t.Lost = n; return t }
	suspect := func() task.Task { t := lost(1); t.Suspect = true; return t }
	requeued := func(n int) task.Task { t := running(); t.Requeued = n; return t }
	waitsDispatched := task.Begin(new(func() task.Task { t, _ := task.New(someID, "ann", task.Spec{}, task.DefaultLimits(), start); return t }()), "fleet", task.Token{9}, true, start).Task
	doomed := running()
	doomed.Deadline = now.Add(7 * time.Second)
	fail := task.Outcome{Kind: task.OutcomeFailed, Message: "oops"}
	for _, c := range []struct {
		name    string
		t       task.Task
		o       task.Outcome
		state   task.State
		waiting task.Waiting
		code    string // of the task's error; "" for none
		rests   time.Duration
		check   func(task.Task) bool
	}{
		{name: "succeeded", t: running(), o: task.Outcome{Kind: task.OutcomeSucceeded, Result: []byte("1"), ResultType: "a/b"}, state: task.Succeeded,
			check: func(n task.Task) bool { return string(n.Result) == "1" && n.ResultType == "a/b" }},
		{name: "trashed", t: failures(0), o: task.Outcome{Kind: task.OutcomeFailed, Code: task.FailureTrashed, Permanent: true}, state: task.Failed, code: "trashed",
			check: func(n task.Task) bool { return n.Failures == 0 }},
		{name: "first failure", t: failures(0), o: fail, state: task.Pending, waiting: task.WaitScheduled, code: "script_failed", rests: 5 * time.Second,
			check: func(n task.Task) bool { return n.Failures == 1 && n.Lost == 0 && n.Attempt == 2 }},
		{name: "second failure", t: failures(1), o: fail, state: task.Pending, waiting: task.WaitScheduled, code: "script_failed", rests: 10 * time.Second},
		{name: "last failure", t: failures(2), o: fail, state: task.Failed, code: "script_failed", check: func(n task.Task) bool { return n.Failures == 3 }},
		{name: "a code of its own", t: failures(2), o: task.Outcome{Kind: task.OutcomeFailed, Code: task.FailureTimeout}, state: task.Failed, code: "timeout"},
		{name: "permanent", t: failures(0), o: task.Outcome{Kind: task.OutcomeFailed, Code: "permanent", Permanent: true}, state: task.Failed, code: "permanent"},
		{name: "retry after", t: failures(1), o: task.Outcome{Kind: task.OutcomeFailed, RetryAfter: time.Hour}, state: task.Pending, waiting: task.WaitScheduled, code: "script_failed", rests: time.Hour},
		{name: "retry as late as may be", t: failures(1), o: task.Outcome{Kind: task.OutcomeFailed, RetryAfter: task.MaxRetain}, state: task.Pending, waiting: task.WaitScheduled, code: "script_failed", rests: task.MaxRetain},
		{name: "retry too late", t: failures(1), o: task.Outcome{Kind: task.OutcomeFailed, RetryAfter: task.MaxRetain + 1, Message: "oops"}, state: task.Failed, code: "protocol_error",
			check: func(n task.Task) bool { return strings.HasSuffix(n.Error.Message, ": oops") }},
		{name: "retry in 292 years", t: failures(1), o: task.Outcome{Kind: task.OutcomeFailed, RetryAfter: math.MaxInt64}, state: task.Failed, code: "protocol_error"},
		{name: "permanent, whenever", t: failures(0), o: task.Outcome{Kind: task.OutcomeFailed, Code: "permanent", Permanent: true, RetryAfter: math.MaxInt64}, state: task.Failed, code: "permanent"},
		{name: "no time left to retry", t: doomed, o: task.Outcome{Kind: task.OutcomeFailed, RetryAfter: 7 * time.Second}, state: task.Failed, code: "script_failed"},
		{name: "time left to retry", t: doomed, o: task.Outcome{Kind: task.OutcomeFailed, RetryAfter: 6 * time.Second}, state: task.Pending, waiting: task.WaitScheduled, code: "script_failed", rests: 6 * time.Second},
		{name: "canceled by nobody", t: failures(2), o: task.Outcome{Kind: task.OutcomeCanceled, Message: "ended"}, state: task.Failed, code: "script_failed"},
		{name: "lost", t: lost(0), o: task.Outcome{Kind: task.OutcomeLost}, state: task.Pending, waiting: task.WaitQueued,
			check: func(n task.Task) bool { return n.Lost == 1 && n.Failures == 0 && !n.Suspect }},
		{name: "lost, and suspect", t: lost(0), o: task.Outcome{Kind: task.OutcomeLost, Suspect: true}, state: task.Pending, waiting: task.WaitQueued,
			check: func(n task.Task) bool { return n.Lost == 1 && n.Suspect }},
		{name: "lost again, without evidence", t: suspect(), o: task.Outcome{Kind: task.OutcomeLost}, state: task.Pending, waiting: task.WaitQueued,
			check: func(n task.Task) bool { return n.Suspect }},
		{name: "lost as often as allowed", t: lost(2), o: task.Outcome{Kind: task.OutcomeLost}, state: task.Pending, waiting: task.WaitQueued},
		{name: "lost too often", t: lost(3), o: task.Outcome{Kind: task.OutcomeLost}, state: task.Failed, code: "executor_lost"},
		{name: "lost, never to run twice", t: func() task.Task { t := running(); t.MaxLost = 0; return t }(), o: task.Outcome{Kind: task.OutcomeLost}, state: task.Failed, code: "executor_lost"},
		{name: "released", t: running(), o: task.Outcome{Kind: task.OutcomeReleased}, state: task.Pending, waiting: task.WaitScheduled, rests: 100 * time.Millisecond,
			check: func(n task.Task) bool { return n.Failures == 0 && n.Lost == 0 && n.Requeued == 1 }},
		{name: "released again", t: requeued(3), o: task.Outcome{Kind: task.OutcomeReleased}, state: task.Pending, waiting: task.WaitScheduled, rests: 800 * time.Millisecond},
		{name: "released without an end", t: requeued(1000), o: task.Outcome{Kind: task.OutcomeReleased}, state: task.Pending, waiting: task.WaitScheduled, rests: time.Minute},
		{name: "lost after releases", t: requeued(5), o: task.Outcome{Kind: task.OutcomeLost}, state: task.Pending, waiting: task.WaitQueued,
			check: func(n task.Task) bool { return n.Requeued == 0 }},
		{name: "failed after releases", t: requeued(5), o: fail, state: task.Pending, waiting: task.WaitScheduled, code: "script_failed",
			check: func(n task.Task) bool { return n.Requeued == 0 }},
		{name: "interrupted", t: running(), o: task.Outcome{Kind: task.OutcomeInterrupted}, state: task.Pending, waiting: task.WaitScheduled, rests: 100 * time.Millisecond,
			check: func(n task.Task) bool { return n.Failures == 0 && n.Lost == 0 }},
		{name: "interrupted, never to run twice", t: func() task.Task { t := running(); t.MaxLost = 0; return t }(), o: task.Outcome{Kind: task.OutcomeInterrupted}, state: task.Failed, code: "executor_lost"},
		{name: "canceling, interrupted", t: in(task.Canceling), o: task.Outcome{Kind: task.OutcomeInterrupted}, state: task.Canceled, code: "canceled"},
		{name: "yielded until", t: suspect(), o: task.Outcome{Kind: task.OutcomeYielded, Yield: &task.Yield{Until: now.Add(time.Hour), Checkpoint: []byte("c")}}, state: task.Pending, waiting: task.WaitScheduled, rests: time.Hour,
			check: func(n task.Task) bool {
				return n.Lost == 0 && !n.Suspect && string(n.Checkpoint) == "c" && n.Failures == 0
			}},
		{name: "yielded until now", t: requeued(1), o: task.Outcome{Kind: task.OutcomeYielded, Yield: &task.Yield{Until: now}}, state: task.Pending, waiting: task.WaitScheduled, rests: 200 * time.Millisecond},
		{name: "yielded until now, with news", t: requeued(5), o: task.Outcome{Kind: task.OutcomeYielded, Yield: &task.Yield{Until: now, Checkpoint: []byte("new")}}, state: task.Pending, waiting: task.WaitScheduled, rests: 100 * time.Millisecond},
		{name: "yielded ahead after releases", t: requeued(5), o: task.Outcome{Kind: task.OutcomeYielded, Yield: &task.Yield{Until: now.Add(time.Hour)}}, state: task.Pending, waiting: task.WaitScheduled, rests: time.Hour,
			check: func(n task.Task) bool { return n.Requeued == 0 }},
		{name: "yielded for nothing", t: lost(1), o: task.Outcome{Kind: task.OutcomeYielded}, state: task.Pending, waiting: task.WaitScheduled, rests: 100 * time.Millisecond, check: func(n task.Task) bool { return n.Lost == 1 }},
		{name: "yielded as long as may be", t: running(), o: task.Outcome{Kind: task.OutcomeYielded, Yield: &task.Yield{Until: now.Add(task.MaxRetain)}}, state: task.Pending, waiting: task.WaitScheduled, rests: task.MaxRetain},
		{name: "yielded too long", t: running(), o: task.Outcome{Kind: task.OutcomeYielded, Yield: &task.Yield{Until: now.Add(task.MaxRetain + 1)}}, state: task.Failed, code: "protocol_error"},
		{name: "yielded beyond the years", t: running(), o: task.Outcome{Kind: task.OutcomeYielded, Yield: &task.Yield{Until: time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC)}}, state: task.Failed, code: "protocol_error"},
		{name: "yielded before the years", t: running(), o: task.Outcome{Kind: task.OutcomeYielded, Yield: &task.Yield{Until: time.Date(-1, 1, 1, 0, 0, 0, 0, time.UTC)}}, state: task.Failed, code: "protocol_error"},
		{name: "yielded until the end of time", t: running(), o: task.Outcome{Kind: task.OutcomeYielded, Yield: &task.Yield{Until: time.Unix(math.MaxInt64, 0)}}, state: task.Failed, code: "protocol_error"},
		{name: "yielded for children", t: running(), o: task.Outcome{Kind: task.OutcomeYielded, Yield: &task.Yield{Children: true, WaitFor: []task.ID{someID}}}, state: task.Pending, waiting: task.WaitChildren},
		{name: "yielded until resumed", t: running(), o: task.Outcome{Kind: task.OutcomeYielded, Yield: &task.Yield{Resume: true}}, state: task.Pending, waiting: task.WaitPaused},
		{name: "canceling, confirmed", t: in(task.Canceling), o: task.Outcome{Kind: task.OutcomeCanceled}, state: task.Canceled, code: "canceled",
			check: func(n task.Task) bool { return n.Error.Details["confirmed"] == true }},
		{name: "canceling, failed", t: in(task.Canceling), o: fail, state: task.Canceled, code: "canceled", check: func(n task.Task) bool { return n.Error.Details["confirmed"] == true }},
		{name: "canceling, lost", t: in(task.Canceling), o: task.Outcome{Kind: task.OutcomeLost}, state: task.Canceled, code: "canceled", check: func(n task.Task) bool { return n.Error.Details["confirmed"] == false }},
		{name: "canceling, the bound passed", t: in(task.Canceling), o: task.Outcome{Kind: task.OutcomeCanceled, Unconfirmed: true}, state: task.Canceled, code: "canceled",
			check: func(n task.Task) bool { return n.Error.Details["confirmed"] == false }},
		{name: "canceling, but done", t: in(task.Canceling), o: task.Outcome{Kind: task.OutcomeSucceeded}, state: task.Succeeded},
		{name: "canceling, released", t: in(task.Canceling), o: task.Outcome{Kind: task.OutcomeReleased}, state: task.Canceled, code: "canceled"},
		{name: "reverted", t: in(task.Reverting), o: task.Outcome{Kind: task.OutcomeSucceeded}, state: task.Reverted},
		{name: "revert failed", t: in(task.Reverting), o: fail, state: task.RevertFailed, code: "script_failed"},
		{name: "dispatched and withdrawn", t: waitsDispatched, o: task.Outcome{Kind: task.OutcomeReleased}, state: task.Pending, waiting: task.WaitScheduled, rests: 100 * time.Millisecond},
		{name: "dispatched and lost", t: waitsDispatched, o: task.Outcome{Kind: task.OutcomeLost}, state: task.Pending, waiting: task.WaitQueued, check: func(n task.Task) bool { return n.Lost == 1 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := c.t
			got, err := task.Settle(&c.t, &c.o, backoff, now, 0)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(before, c.t) {
				t.Error("Settle changed the task it was given")
			}
			n := got.Task
			if n.State != c.state || n.Waiting != c.waiting {
				t.Fatalf("became %s %s, want %s %s", n.State, n.Waiting, c.state, c.waiting)
			}
			if c.code != "" && (n.Error == nil || n.Error.Code != c.code || n.Error.Attempt != c.t.Attempt || !got.SetError) {
				t.Errorf("error %+v, want code %s of attempt %d", n.Error, c.code, c.t.Attempt)
			}
			if c.rests > 0 && !n.RunAt.Equal(now.Add(c.rests)) {
				t.Errorf("rests %s, want %s", n.RunAt.Sub(now), c.rests)
			}
			if c.check != nil && !c.check(n) {
				t.Errorf("became %+v", n)
			}
			sound(t, c.t, got, now)
		})
	}
}

// sound is what holds of every change of a state.
func sound(t *testing.T, was task.Task, c task.Change, now time.Time) {
	t.Helper()
	n := c.Task
	if !task.Allowed(was.State, n.State) {
		t.Errorf("%s to %s is no transition", was.State, n.State)
	}
	if c.From != was.State || c.FromAttempt != was.Attempt || n.Version != was.Version {
		t.Errorf("the guard is %s, attempt %d, version %d", c.From, c.FromAttempt, n.Version)
	}
	if c.Event == nil || c.Event.From != was.State || c.Event.To != n.State || c.Event.Attempt != was.Attempt || !c.Event.At.Equal(now) || c.Event.By == "" {
		t.Errorf("event %+v", c.Event)
	}
	if (n.State == task.Pending) != (n.Waiting != task.WaitNone) {
		t.Errorf("%s waits for %q", n.State, n.Waiting)
	}
	if held := n.State.Active() || n.Waiting == task.WaitDispatched; held == n.Token.IsZero() {
		t.Errorf("%s %s has token %s", n.State, n.Waiting, n.Token)
	}
	if n.State.Final() && (!n.FinishedAt.Equal(now) || !n.ExpiresAt.Equal(now.Add(n.Retain))) {
		t.Errorf("finished %s, expires %s", n.FinishedAt, n.ExpiresAt)
	}
}

func TestSettleRefuses(t *testing.T) {
	dispatched := task.Begin(new(in(task.Pending)), "fleet", task.Token{1}, true, start).Task
	queued := in(task.Pending)
	queued.Waiting = task.WaitQueued
	if _, err := task.Settle(&dispatched, &task.Outcome{Kind: task.OutcomeSucceeded}, backoff, start, 0); task.CodeOf(err) != task.CodeConflict {
		t.Errorf("an attempt that has not started succeeded: %v", err)
	}
	for _, s := range []task.State{task.Succeeded, task.Failed, task.Canceled, task.Skipped, task.Reverted, task.RevertFailed} {
		for k := task.OutcomeSucceeded; k <= task.OutcomeYielded; k++ {
			if _, err := task.Settle(new(in(s)), &task.Outcome{Kind: k}, backoff, start, 0); err == nil {
				t.Errorf("outcome %d changed a task that is %s", k, s)
			}
			if _, err := task.Settle(&queued, &task.Outcome{Kind: k}, backoff, start, 0); err == nil {
				t.Errorf("outcome %d changed a task that waits", k)
			}
		}
	}
}

func TestBackoff(t *testing.T) {
	for _, c := range []struct {
		n      int
		chance float64
		want   time.Duration
	}{{1, 0, 5 * time.Second}, {1, 0.5, 7500 * time.Millisecond}, {2, 0, 10 * time.Second}, {3, 0, 20 * time.Second}, {4, 0, 30 * time.Second}, {1000, 0, 30 * time.Second}, {0, 0, 5 * time.Second}} {
		if got := backoff.Delay(c.n, c.chance); got != c.want {
			t.Errorf("Delay(%d, %v) = %s, want %s", c.n, c.chance, got, c.want)
		}
	}
	if got := (task.Backoff{}).Delay(5, 0.9); got != 0 {
		t.Errorf("no backoff rests %s", got)
	}
}

func TestBackoffProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := task.Backoff{Initial: time.Duration(rapid.Int64Range(1, int64(24*time.Hour)).Draw(t, "initial"))}
		if rapid.Bool().Draw(t, "capped") {
			b.Max = b.Initial + time.Duration(rapid.Int64Range(0, int64(240*time.Hour)).Draw(t, "max"))
		}
		n := rapid.IntRange(1, 5000).Draw(t, "n")
		chance := rapid.Float64Range(0, 0.999999).Draw(t, "chance")
		low, high, got := b.Delay(n, 0), b.Delay(n, 0.999999), b.Delay(n, chance)
		if got < low || got > high || got < 0 {
			t.Fatalf("Delay(%d, %v) = %d, outside [%d, %d]", n, chance, got, low, high)
		}
		if got < b.Initial/2 {
			t.Fatalf("Delay(%d) = %s, less than half of %s", n, got, b.Initial)
		}
		if b.Max > 0 && got > b.Max {
			t.Fatalf("Delay(%d) = %s, over the cap %s", n, got, b.Max)
		}
		if next := b.Delay(n+1, chance); next < got {
			t.Fatalf("the rest shrinks from %s to %s", got, next)
		}
	})
}

// TestBudgets: whatever an executor reports, a task comes to an end within its budgets.
func TestBudgets(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		attempts, lost := rapid.IntRange(1, 5).Draw(t, "max_attempts"), rapid.IntRange(0, 5).Draw(t, "max_lost")
		n, err := task.New(someID, "ann", task.Spec{MaxAttempts: attempts, MaxLost: &lost}, task.DefaultLimits(), start)
		if err != nil {
			t.Fatal(err)
		}
		ran := 0
		for !n.State.Final() {
			if ran++; ran > attempts+lost {
				t.Fatalf("attempt %d with max_attempts %d and max_lost %d", ran, attempts, lost)
			}
			n = task.Begin(&n, "local", task.Token{1}, false, start).Task
			kind := rapid.SampledFrom([]task.OutcomeKind{task.OutcomeFailed, task.OutcomeLost, task.OutcomeCanceled}).Draw(t, "kind")
			c, err := task.Settle(&n, &task.Outcome{Kind: kind}, backoff, start, 0)
			if err != nil {
				t.Fatal(err)
			}
			n = c.Task
		}
		if n.State != task.Failed || n.Error == nil {
			t.Fatalf("ended %s with %+v", n.State, n.Error)
		}
	})
}

func TestLongMessagesAreCut(t *testing.T) {
	o := task.Outcome{Kind: task.OutcomeFailed, Permanent: true, Message: strings.Repeat("é", task.MaxMessage)}
	c, err := task.Settle(new(running()), &o, backoff, start, 0)
	if err != nil {
		t.Fatal(err)
	}
	if m := c.Task.Error.Message; len(m) > task.MaxMessage || len(m) < task.MaxMessage-4 || !utf8.ValidString(m) {
		t.Errorf("a message of %d bytes was kept as %d, valid %v", len(o.Message), len(m), utf8.ValidString(m))
	}
}

func TestErrors(t *testing.T) {
	e := &task.Error{Code: task.CodeConflict, Message: "no", Cause: fmt.Errorf("because")}
	if got := fmt.Errorf("outside: %w", e); task.CodeOf(got) != task.CodeConflict || !strings.Contains(got.Error(), "no: because") {
		t.Errorf("%v has code %s", got, task.CodeOf(got))
	}
	if task.CodeOf(nil) != "" || task.CodeOf(fmt.Errorf("x")) != task.CodeInternal {
		t.Error("the code of nil or of a stranger")
	}
}

// A task that finds its children final goes on at once, but rests where it does so again
// and again at no cost.
func TestChildrenDone(t *testing.T) {
	now := start.Add(time.Hour)
	n := running()
	n.State, n.Waiting = task.Pending, task.WaitChildren
	for i, want := range []time.Duration{0, 0, 0, task.RequeueMin, 2 * task.RequeueMin} {
		n.UpdatedAt = now
		c, err := task.ChildrenDone(&n, now)
		if err != nil || c.Delay != want || c.Task.RunAt != now.Add(want) || (c.Task.Waiting == task.WaitQueued) != (want == 0) {
			t.Fatalf("time %d: rests %s, waits for %s, %v; want %s", i, c.Delay, c.Task.Waiting, err, want)
		}
		n.Requeued = c.Task.Requeued
	}
	c, err := task.ChildrenDone(&n, now.Add(task.RequeueMin))
	if err != nil || c.Delay != 0 || c.Task.Requeued != 0 {
		t.Fatalf("after a wait: rests %s, %v", c.Delay, err)
	}
	if _, err := task.ChildrenDone(new(running()), now); task.CodeOf(err) != task.CodeConflict {
		t.Fatalf("of one that runs: %v", err)
	}
}
