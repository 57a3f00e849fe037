package sdk

import (
	"context"
	"sync"
)

// JoinTable keeps the rule that a token which already runs is joined, not started
// again, for executors that run attempts themselves. The zero value is ready.
type JoinTable struct {
	mu      sync.Mutex
	flights map[Token]*flight
}

// flight is one attempt that runs. landed is made by whoever joins it, so that
// the many that nobody joins cost little.
type flight struct {
	landed chan struct{}
	res    Result
	err    error
}

// Do calls run, unless t's token runs already: then it waits for that attempt and
// returns what it returned, or returns when ctx ends. With t.Rejoin it never calls
// run: a token that does not run here is Lost.
func (j *JoinTable) Do(ctx context.Context, t Task, run func() (Result, error)) (Result, error) {
	j.mu.Lock()
	if f := j.flights[t.Token]; f != nil {
		if f.landed == nil {
			f.landed = make(chan struct{})
		}
		j.mu.Unlock()
		select {
		case <-f.landed:
			return f.res, f.err
		case <-ctx.Done():
			return Result{}, context.Cause(ctx)
		}
	}
	if t.Rejoin {
		j.mu.Unlock()
		return Result{}, ErrLost
	}
	if j.flights == nil {
		j.flights = map[Token]*flight{}
	}
	f := &flight{err: ErrLost} // unless run returns: it may panic
	j.flights[t.Token] = f
	j.mu.Unlock()
	defer func() {
		j.mu.Lock()
		delete(j.flights, t.Token)
		if f.landed != nil {
			close(f.landed)
		}
		j.mu.Unlock()
	}()
	f.res, f.err = run()
	return f.res, f.err
}
