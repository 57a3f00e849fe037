package sdk

import (
	"context"
	"errors"
	"time"
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
	CodePermanent      = "permanent"        // the script said that retrying is no use
	CodeTimeout        = "timeout"          // the attempt's time was up
	CodeExecutorLost   = "executor_lost"    // whoever ran it is gone
	CodeExecutorFailed = "executor_failed"  // the executor could not run it
	CodeResultTooLarge = "result_too_large" // more than Info.MaxResult or the host's limit
	CodeProtocolError  = "protocol_error"   // the plugin broke the protocol
	CodeCanceled       = "canceled"
)

// Outcome is how one attempt ended, as data: what crosses a process or a broker, and what
// the host decides by. Executors return a Result or an error; OutcomeOf makes the Outcome
// of them where the script ran, and FailedWith makes an error of it again on the other
// side. A field that does not belong to the Kind is ignored.
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

// Yield says what a resting task waits for. Exactly one of Until, Children, AllChildren
// and Resume is set.
type Yield struct {
	Until       time.Time
	Children    []string // task ids; wakes when all are final
	AllChildren bool     // wakes when all that the task has are final
	Resume      bool     // wakes by an operator's resume
	Checkpoint  []byte   // replaces the task's checkpoint; nil keeps it
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

// Is lets errors.Is match by kind: errors.Is(err, sdk.ErrLost).
func (e *outcomeError) Is(target error) bool {
	t, ok := target.(*outcomeError)
	return ok && t.cause == nil && t.outcome.Kind == e.outcome.Kind
}

var errIrreversible = errors.New("this executor cannot undo its work")

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
		if o.Permanent || o.Code != CodeScriptFailed { // it failed of its own accord
			return o
		}
		o = Outcome{Kind: OutcomeYielded, Message: "paused", Yield: &Yield{Resume: true}}
	case errors.Is(cause, ErrTimeout), errors.Is(cause, context.DeadlineExceeded):
		if o.Code != CodeTimeout { // else it was explained where the script ran
			o.Code = CodeTimeout
			o.Message = "attempt timed out: " + o.Message
		}
	}
	return o
}
