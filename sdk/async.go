package sdk

import (
	"context"
	"sync/atomic"
)

// An AsyncExecutor has its attempts run elsewhere, so that they cost no goroutine in the process
// that waits for them. The host asks every executor for it by type assertion.
type AsyncExecutor interface {
	Executor
	// ExecuteAsync makes an attempt as Execute does and does not wait for it: done is to be
	// called once, from any goroutine, with what Execute would return. done neither blocks nor calls
	// the executor, so that it may be called with locks held, also before ExecuteAsync returns.
	// What is to be undone goes to Revert, which is waited for.
	ExecuteAsync(ctx context.Context, t Task, r Reporter, done func(Result, error))
}

// ExecuteAsync calls e.ExecuteAsync with the same guard as Execute, and has done called once,
// however often e does.
func ExecuteAsync(ctx context.Context, e AsyncExecutor, t Task, r Reporter, done func(Result, error)) {
	var called atomic.Bool
	once := func(res Result, err error) {
		if !called.Swap(true) {
			done(res, err)
		}
	}
	defer func() {
		v := recover()
		switch {
		case v == nil:
		case called.Load(): // it may be done's own, and the attempt would never end
			panic(v)
		default:
			once(Result{}, panicError(v))
		}
	}()
	e.ExecuteAsync(ctx, t, r, once)
}

// Await waits for what begin has called: so an AsyncExecutor has an Execute.
func Await(begin func(done func(Result, error))) (Result, error) {
	type returned struct {
		res Result
		err error
	}
	back := make(chan returned, 1)
	begin(func(res Result, err error) { back <- returned{res, err} })
	n := <-back
	return n.res, n.err
}
