package sdk

import (
	"context"
	"sync"
)

// JoinTable keeps the rule that a token which already runs is joined, not started
// again, for executors that run attempts themselves. The zero value is ready.
type JoinTable struct {
	mu      sync.Mutex
	running map[Token]*joinable
}

// joinable is one attempt that runs. The first who joins it makes the channel returned,
// so that the many that nobody joins cost little.
type joinable struct {
	returned chan struct{}
	res      Result
	err      error
}

// Do calls run, unless t's token runs already: then it waits for that attempt and
// returns what it returned, or returns when ctx ends. With t.Rejoin it never calls
// run: a token that does not run here is ErrLost. An attempt with an AttemptContext is not
// entered, for whoever made that keeps the rule already: hosts, plugin processes and workers do.
func (j *JoinTable) Do(ctx context.Context, t Task, run func() (Result, error)) (Result, error) {
	if _, only := ctx.(*AttemptContext); only && !t.Rejoin {
		return run()
	}
	j.mu.Lock()
	if a := j.running[t.Token]; a != nil {
		if a.returned == nil {
			a.returned = make(chan struct{})
		}
		j.mu.Unlock()
		select {
		case <-a.returned:
			return a.res, a.err
		case <-ctx.Done():
			return Result{}, context.Cause(ctx)
		}
	}
	if t.Rejoin {
		j.mu.Unlock()
		return Result{}, ErrLost
	}
	if j.running == nil {
		j.running = map[Token]*joinable{}
	}
	a := &joinable{err: ErrLost} // unless run returns: it may panic
	j.running[t.Token] = a
	j.mu.Unlock()
	defer func() {
		j.mu.Lock()
		delete(j.running, t.Token)
		if a.returned != nil {
			close(a.returned)
		}
		j.mu.Unlock()
	}()
	a.res, a.err = run()
	return a.res, a.err
}
