package sdk

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"time"
)

// Why the context of an attempt ended: context.Cause(ctx) is one of these.
var (
	// ErrCancel: the client wants the task to end. Stop and clean up.
	ErrCancel = errors.New("canceled")
	// ErrTimeout: the attempt ran longer than it may. Stop; it may be retried.
	ErrTimeout = errors.New("attempt timed out")
	// ErrPause: the operator wants the task to rest. A script that can resume
	// returns YieldUntilResumed; one that cannot goes on as if nothing was said.
	ErrPause = errors.New("paused")
	// ErrDetach: the host lets go. An executor whose attempts outlive the host
	// leaves them running and returns; a local one stops. The attempt will run again
	// without having cost anything, unless its task must never run twice.
	ErrDetach = errors.New("host is detaching")
)

// OutcomeKind is what became of an attempt.
type OutcomeKind uint8

// The outcomes: a closed set.
const (
	// OutcomeSucceeded: the work is done; Outcome.Result holds what it gave.
	OutcomeSucceeded OutcomeKind = iota + 1
	// OutcomeFailed: the script, or what carries it, failed: see Outcome.Code,
	// Permanent and RetryAfter.
	OutcomeFailed
	// OutcomeCanceled: the attempt stopped because it was asked to (ErrCancel).
	OutcomeCanceled
	// OutcomeLost: the attempt may have run, and nobody knows how it ended.
	OutcomeLost
	// OutcomeReleased: the attempt surely never started. It costs no attempt.
	OutcomeReleased
	// OutcomeYielded: the script rests until a time, its children or a resume; it
	// costs no attempt and frees the slot.
	OutcomeYielded
	// OutcomeInterrupted: the attempt was stopped because its process or its host
	// ends (ErrDetach), and may have run in part. It costs no attempt, but a task
	// that must never run twice (max_lost 0) fails by it.
	OutcomeInterrupted
)

var kindNames = [...]string{"invalid", "succeeded", "failed", "canceled", "lost", "released", "yielded", "interrupted"}

// String is the kind in lower case.
func (k OutcomeKind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return kindNames[0]
}

// Failure codes of an Outcome. They become the error code of the task.
const (
	CodeScriptFailed   = "script_failed"    // the script returned an error
	CodePermanent      = "permanent"        // … and said that retrying is no use
	CodeTimeout        = "timeout"          // the attempt's time was up
	CodeExecutorLost   = "executor_lost"    // whoever ran it is gone
	CodeExecutorFailed = "executor_failed"  // the executor could not run it
	CodeResultTooLarge = "result_too_large" // more than Info.MaxResult or the host's limit
	CodeProtocolError  = "protocol_error"   // the plugin broke the protocol
	CodeCanceled       = "canceled"
)

// Outcome is how one attempt ended, as data. Executors return errors; OutcomeOf
// makes the Outcome, on whichever side of a process boundary the script ran.
type Outcome struct {
	Kind   OutcomeKind
	Result Result // of OutcomeSucceeded
	// Code, Message, Details, Permanent and RetryAfter belong to OutcomeFailed; Message
	// explains OutcomeCanceled, OutcomeLost, OutcomeReleased and OutcomeInterrupted too.
	Code       string
	Message    string
	Details    map[string]string // e.g. "stack", "exit_code", "signal"
	Permanent  bool
	RetryAfter time.Duration // 0: the host's backoff decides
	Yield      *Yield        // of OutcomeYielded
}

// Yield says what a resting task waits for. Exactly one of Until, Children and
// Resume is set.
type Yield struct {
	Until      time.Time
	Children   []string // task ids; wakes when all are final
	Resume     bool     // wakes by an operator's resume
	Checkpoint []byte   // replaces the task's checkpoint; nil keeps it
}

// outcomeError carries an Outcome through the error that Execute returns.
type outcomeError struct {
	outcome Outcome
	cause   error
}

func (e *outcomeError) Error() string {
	if e.cause != nil {
		return e.cause.Error()
	}
	if e.outcome.Message != "" {
		return e.outcome.Message
	}
	return e.outcome.Kind.String()
}

func (e *outcomeError) Unwrap() error { return e.cause }

// Is lets errors.Is match by kind: errors.Is(err, sdk.Lost).
func (e *outcomeError) Is(target error) bool {
	t, ok := target.(*outcomeError)
	return ok && t.cause == nil && t.outcome.Kind == e.outcome.Kind
}

// ErrLost is returned by executors that cannot say whether or how an attempt ended.
// It counts against the task's max_lost, not its max_attempts.
var ErrLost error = &outcomeError{outcome: Outcome{Kind: OutcomeLost, Code: CodeExecutorLost,
	Message: "the attempt was lost: it may have run, nobody knows how it ended"}}

// ErrReleased is returned by executors for an attempt that surely never started.
// The task goes back to its queue at no cost.
var ErrReleased error = &outcomeError{outcome: Outcome{Kind: OutcomeReleased,
	Message: "the attempt was given back before it started"}}

// ErrInterrupted is returned by executors for an attempt that was stopped because its
// process or its host ends, and may have run in part. The task goes back to its queue
// at no cost, unless it must never run twice (max_lost 0): then it fails.
var ErrInterrupted error = &outcomeError{outcome: Outcome{Kind: OutcomeInterrupted,
	Message: "the attempt was interrupted: it may have run in part"}}

var errIrreversible = errors.New("this executor cannot undo its work")

// Permanent marks err as one that no retry can cure. A nil err gives nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &outcomeError{cause: err, outcome: Outcome{Kind: OutcomeFailed, Code: CodePermanent, Permanent: true}}
}

// RetryAfter marks err as one to retry no sooner than after d. A nil err gives nil.
func RetryAfter(err error, d time.Duration) error {
	if err == nil {
		return nil
	}
	return &outcomeError{cause: err, outcome: Outcome{Kind: OutcomeFailed, Code: CodeScriptFailed, RetryAfter: max(d, 0)}}
}

// YieldUntil rests the task until t. Checkpoint, if not nil, is what the next
// run finds in Task.Checkpoint.
func YieldUntil(t time.Time, checkpoint []byte) error {
	return yield(Yield{Until: t, Checkpoint: checkpoint})
}

// YieldForChildren rests the task until all the tasks with these ids are final.
func YieldForChildren(ids []string, checkpoint []byte) error {
	return yield(Yield{Children: ids, Checkpoint: checkpoint})
}

// YieldUntilResumed rests the task until an operator resumes it.
func YieldUntilResumed(checkpoint []byte) error {
	return yield(Yield{Resume: true, Checkpoint: checkpoint})
}

func yield(y Yield) error {
	return &outcomeError{outcome: Outcome{Kind: OutcomeYielded, Message: "the task rests", Yield: &y}}
}

// FailedWith makes an error that OutcomeOf turns into exactly o (a failure, as any
// other error, is still explained by a context that ended). It serves those who
// carry outcomes across a boundary of their own: gRPC, or a broker.
func FailedWith(o Outcome) error { return &outcomeError{outcome: o} }

// OutcomeOf says what the return values of Execute mean. ctx is the context that
// Execute was given: an error after it ended is explained by its cause. A result
// without error is a success, whatever became of ctx: what happened is what is
// recorded.
func OutcomeOf(ctx context.Context, res Result, err error) Outcome {
	if err == nil {
		if res.ContentType == "" {
			res.ContentType = ContentJSON
			if len(res.Data) == 0 {
				res.Data = []byte("null")
			}
		}
		return Outcome{Kind: OutcomeSucceeded, Result: res}
	}
	var o Outcome
	if oe := (*outcomeError)(nil); errors.As(err, &oe) {
		o = oe.outcome
		if oe.cause != nil || o.Message == "" {
			o.Message = err.Error() // with whatever wrapped it
		}
	} else {
		o = Outcome{Kind: OutcomeFailed, Code: CodeScriptFailed, Message: err.Error()}
	}
	if o.Kind != OutcomeFailed {
		return o
	}
	switch cause := context.Cause(ctx); {
	case cause == nil:
	case errors.Is(cause, ErrCancel):
		o = Outcome{Kind: OutcomeCanceled, Code: CodeCanceled, Message: o.Message, Details: o.Details}
	case errors.Is(cause, ErrDetach):
		o = Outcome{Kind: OutcomeInterrupted, Message: "stopped because the host detached"}
	case errors.Is(cause, ErrPause):
		o = Outcome{Kind: OutcomeYielded, Message: "paused", Yield: &Yield{Resume: true}}
	case errors.Is(cause, ErrTimeout), errors.Is(cause, context.DeadlineExceeded):
		if o.Code != CodeTimeout { // else it was explained where the script ran
			o.Code = CodeTimeout
			o.Message = "attempt timed out: " + o.Message
		}
	}
	return o
}

// panicError makes the outcome of a panic: a failure with the stack in its details.
func panicError(v any) error {
	return &outcomeError{outcome: Outcome{
		Kind: OutcomeFailed, Code: CodeScriptFailed, Message: fmt.Sprintf("panic: %v", v),
		Details: map[string]string{"stack": string(debug.Stack())},
	}}
}

// Execute calls e.Execute and turns a panic into an error with the stack, as
// everyone who calls an executor must: grpc-go recovers none, and one bad task
// would end all others of its process.
func Execute(ctx context.Context, e Executor, t Task, r Reporter) (res Result, err error) {
	defer func() {
		if v := recover(); v != nil {
			res, err = Result{}, panicError(v)
		}
	}()
	return e.Execute(ctx, t, r)
}

// Revert calls e.Revert with the same guard as Execute.
func Revert(ctx context.Context, e Executor, t Task, r Reporter) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = panicError(v)
		}
	}()
	return e.Revert(ctx, t, r)
}
