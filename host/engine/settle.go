package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// finish settles the attempt with what its executor returned. When it returns the attempt's
// goroutine is free; what the attempt held is free once its end is on record.
func (a *attempt) finish(res sdk.Result, err error) {
	if a.leftRunning(err) {
		a.endHold(detached)
		a.engine.forget(a)
		return
	}
	o := a.outcome(res, err)
	a.cameBack(&o)
	a.engine.settleSoon(&settlement{attempt: a, outcome: o, at: a.engine.now()})
}

// cameBack is called once it is known how the attempt ended, before that is settled.
func (a *attempt) cameBack(o *task.Outcome) {
	a.mu.Lock()
	a.stopClock()
	a.mu.Unlock()
	a.logStack(o)
	a.sayDropped()
	a.writeLogs()
}

// ending is the change of the attempt's task that settles it.
func (a *attempt) ending(t *task.Task, o *task.Outcome, now time.Time) (c task.Change, err error) {
	c, err = task.Settle(t, o, a.engine.registry.LimitsOf(t.Type).Backoff, now, chance())
	if p, ok := a.notes.lastProgress(); ok { // also if it was written: the flush may come too late
		c.Task.Progress = p
	}
	return c, err
}

// settleAlone settles the attempt by an operation of its own, and frees what it held.
func (a *attempt) settleAlone(o task.Outcome) {
	a.settle(o)
	a.acknowledge()
	a.engine.forget(a)
}

// acknowledge tells the executor, once, that it may forget the attempt: what
// became of it is on record, or it holds its task no more.
func (a *attempt) acknowledge() {
	a.mu.Lock()
	due := a.hold == settled && !a.acked
	a.acked = a.acked || due
	a.mu.Unlock()
	if s, ok := a.executor.Executor.(sdk.Settler); ok && due {
		s.Settled(sdk.Token(a.token))
	}
}

// leftRunning says that the attempt outlives this host, and only the waiting for it has ended.
// One that was asked to stop before may be let go as well, by an executor that closes:
// the next host asks it again.
func (a *attempt) leftRunning(err error) bool {
	if err == nil || a.engine.ctx.Err() == nil || !a.executor.Outlives() || errors.Is(err, sdk.ErrLost) {
		return false
	}
	return errors.Is(err, sdk.ErrDetach) || errors.Is(context.Cause(&a.ctx), sdk.ErrDetach)
}

// outcome translates, and refuses results that break the rules.
func (a *attempt) outcome(res sdk.Result, err error) task.Outcome {
	o := sdk.OutcomeOf(&a.ctx, res, err)
	out := task.Outcome{Kind: kinds[o.Kind], Code: o.Code, Message: a.hide(o.Message), Permanent: o.Permanent, RetryAfter: o.RetryAfter,
		Suspect: o.Kind == sdk.OutcomeLost}
	if len(o.Details) > 0 {
		out.Details = map[string]any{}
		for k, v := range o.Details {
			out.Details[k] = a.hide(v)
		}
	}
	switch o.Kind {
	case sdk.OutcomeSucceeded:
		a.takeResult(&out, o.Result)
	case sdk.OutcomeYielded:
		a.mu.Lock()
		by := a.pausedBy
		a.mu.Unlock()
		takeYield(&out, o.Yield, by)
	}
	return out
}

var kinds = map[sdk.OutcomeKind]task.OutcomeKind{
	sdk.OutcomeSucceeded: task.OutcomeSucceeded, sdk.OutcomeFailed: task.OutcomeFailed, sdk.OutcomeCanceled: task.OutcomeCanceled,
	sdk.OutcomeLost: task.OutcomeLost, sdk.OutcomeReleased: task.OutcomeReleased, sdk.OutcomeYielded: task.OutcomeYielded,
	sdk.OutcomeInterrupted: task.OutcomeInterrupted,
}

func (a *attempt) takeResult(out *task.Outcome, res sdk.Result) {
	limit := a.engine.registry.LimitsOf(a.taskType).MaxResult
	if res.Stored {
		up, err := a.uploaded()
		if err != nil { // its bytes went elsewhere
			*out = task.Outcome{Kind: task.OutcomeFailed, Code: task.FailureExecutor, Message: "the result's bytes were never received"}
			return
		}
		res = sdk.Result{ContentType: up.ContentType, Data: up.Data}
	}
	switch {
	case int64(len(res.Data)) > limit:
		*out = task.Outcome{Kind: task.OutcomeFailed, Code: task.FailureResultSize, Permanent: true,
			Message: fmt.Sprintf("the result has %d bytes, the limit is %d", len(res.Data), limit)}
	case task.IsJSON(res.ContentType) && !json.Valid(res.Data):
		*out = task.Outcome{Kind: task.OutcomeFailed, Code: task.FailureProtocol, Permanent: true,
			Message: fmt.Sprintf("the result says it is %s and is not JSON", res.ContentType)}
	default:
		out.Result, out.ResultType = res.Data, res.ContentType
	}
}

// takeYield takes how an attempt rests, which by asked for unless that is "". It refuses what this host could not wake (how long it rests is the rules' to bound): a task must not wait for ever.
func takeYield(out *task.Outcome, y *sdk.Yield, by string) {
	refuse := func(format string, args ...any) {
		*out = task.Outcome{Kind: task.OutcomeFailed, Code: task.FailureProtocol, Permanent: true, Message: fmt.Sprintf(format, args...)}
	}
	switch {
	case y == nil || y.Until.IsZero() && len(y.Children) == 0 && !y.AllChildren && !y.Resume:
		refuse("the attempt yielded, and does not say until when")
	case len(y.Checkpoint) > sdk.MaxCheckpoint:
		refuse("the attempt yielded with a checkpoint of %d bytes, the limit is %d", len(y.Checkpoint), sdk.MaxCheckpoint)
	default:
		out.Yield = &task.Yield{Until: y.Until, Checkpoint: y.Checkpoint, Children: y.AllChildren || len(y.Children) > 0, Resume: y.Resume}
		if by != "" && y.Resume {
			out.Message = "paused by " + by
		}
		for _, child := range y.Children {
			id, err := task.ParseID(child)
			if err != nil {
				refuse("the attempt yielded until its children are final, and %v", err)
				return
			}
			out.Yield.WaitFor = append(out.Yield.WaitFor, id)
		}
	}
}

// settleUnresponsive settles an attempt that did not come back in time. Its goroutine, if
// it has one, keeps its slot until it does.
func (a *attempt) settleUnresponsive(cause error) {
	o := task.Outcome{Kind: task.OutcomeLost, Unconfirmed: true,
		Message: fmt.Sprintf("the attempt did not stop within %s", a.grace())}
	if errors.Is(cause, sdk.ErrTimeout) {
		o = task.Outcome{Kind: task.OutcomeFailed, Code: task.FailureTimeout, Unconfirmed: true,
			Message: "attempt timed out and " + o.Message[len("the attempt "):], Details: map[string]any{"confirmed": false}}
	}
	a.cameBack(&o)
	if a.settle(o) {
		a.engine.log.Warn("attempt did not stop and keeps its slot", "task", a.id, "executor", a.executor.Name, "cause", cause)
	}
	a.acknowledge() // and whoever has it need not look for it any more
}

// settle turns the outcome into the task's next state and commits it. A store
// that cannot write is tried again, for as long as this host is there: an outcome
// is never dropped. Between the tries others may change the task, a cancel among them.
// False if the attempt no longer held the task.
func (a *attempt) settle(o task.Outcome) bool {
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		err := a.trySettle(o)
		if err == nil {
			return true
		}
		if errors.Is(err, errNotHeld) {
			a.engine.ignored.Add(1)
			return false
		}
		a.engine.log.Error("cannot record how an attempt ended; trying again", "task", a.id, "error", err)
		var refused *task.Error
		if errors.As(err, &refused) && refused.Code == task.CodeInternal { // against its rules, and so for ever
			o = task.Outcome{Kind: task.OutcomeFailed, Code: task.FailureExecutor, Permanent: true,
				Message: "the store refuses what the attempt returned: " + err.Error()}
		}
		select {
		case <-time.After(wait):
		case <-a.engine.closed:
			a.endHold(detached)
			return false
		}
	}
}

func (a *attempt) trySettle(o task.Outcome) error {
	ctx := context.Background()
	if t, _ := a.held(); o.Kind == task.OutcomeSucceeded && t.State == task.Pending {
		// It ran, though nobody heard it start.
		if _, err := a.change(ctx, func(t *task.Task) (task.Change, error) { return task.Started(t, nil, "", a.engine.now()) }); err != nil {
			return err
		}
	}
	_, err := a.change(ctx, func(t *task.Task) (task.Change, error) { return a.ending(t, &o, a.engine.now()) })
	return err
}
