package sdk

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
)

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

// panicOutcome is the outcome of a panic: a failure with the stack in its details.
func panicOutcome(v any) Outcome {
	return Outcome{Kind: OutcomeFailed, Code: CodeScriptFailed, Message: fmt.Sprintf("panic: %v", v),
		Details: map[string]string{"stack": string(debug.Stack())}}
}

func panicError(v any) error { return &outcomeError{outcome: panicOutcome(v)} }

// tried gives err after it was asked what it is: one that panics over that does it here, where
// somebody recovers, and not in whoever asks later.
func tried(err error) error {
	if err != nil {
		_ = err.Error()
		_ = errors.Is(err, ErrUnknownNode)
	}
	return err
}
