package sdk

import (
	"errors"
	"time"
)

// Permanent marks err as one that no retry can cure: the task fails by it, whatever attempts
// are left. A nil err gives nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &outcomeError{cause: err, outcome: Outcome{Kind: OutcomeFailed, Code: CodePermanent, Permanent: true}}
}

// RetryAfter marks err as one to retry no sooner than after d, which is ten years at the most.
// It costs an attempt, as any failure does; YieldUntil costs none. A nil err gives nil.
func RetryAfter(err error, d time.Duration) error {
	if err == nil {
		return nil
	}
	return &outcomeError{cause: err, outcome: Outcome{Kind: OutcomeFailed, Code: CodeScriptFailed, RetryAfter: max(d, 0)}}
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

// YieldUntil is the error to return for resting the task until t, which costs no attempt and
// frees the slot. The checkpoint, if not nil, is what the next attempt finds in
// Task.Checkpoint. A t that is past rests the task for a moment, longer with each time in a
// row; ten years ahead is the most.
func YieldUntil(t time.Time, checkpoint []byte) error {
	return yield(Yield{Until: t, Checkpoint: checkpoint})
}

// YieldForChildren is the error to return for resting the task until its children with these
// ids, as Reporter.Spawn gave them, are final; without ids until all that it has are. It costs
// no attempt and frees the slot, and the next attempt finds what became of them in
// Task.Children. Ids of other tasks are not waited for: return YieldUntil, and look again then.
// A task that waits again and again for what is final already rests for a moment, longer with
// each time in a row.
func YieldForChildren(ids []string, checkpoint []byte) error {
	return yield(Yield{Children: ids, AllChildren: len(ids) == 0, Checkpoint: checkpoint})
}

// YieldUntilResumed is the error to return for resting the task, at no cost, until an operator
// resumes it: the answer to ErrPause of a script that can go on from where it was.
func YieldUntilResumed(checkpoint []byte) error {
	return yield(Yield{Resume: true, Checkpoint: checkpoint})
}

func yield(y Yield) error {
	return &outcomeError{outcome: Outcome{Kind: OutcomeYielded, Message: "the task rests", Yield: &y}}
}

// Why the context of an attempt ended: context.Cause(ctx) is one of these.
var (
	// ErrCancel: the client wants the task to end. Stop and clean up.
	ErrCancel = errors.New("canceled")
	// ErrTimeout: the attempt ran longer than it may. Stop; it may be retried.
	ErrTimeout = errors.New("attempt timed out")
	// ErrPause: the operator wants the task to rest. A script that can resume
	// returns YieldUntilResumed, and an error is taken for that unless it is Permanent or has
	// a code of its own; one that finishes its work all the same has succeeded.
	ErrPause = errors.New("paused")
	// ErrDetach: the host lets go. An executor whose attempts outlive the host
	// leaves them running and returns; a local one stops. The attempt will run again
	// without having cost anything, unless its task must never run twice.
	ErrDetach = errors.New("host is detaching")
)
