package eventlet

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/sdk"
)

// pool is the executor: it bounds how many scripts run at once. A script runs in the
// goroutine that Execute was called in: the host gives each attempt its own, and another
// would only cost. A slot is held from before the script is called until it has returned,
// also after a panic and after its context has ended.
type pool struct {
	scripts      sdk.Executor // does all but bound them
	runs         map[string]runFunc
	joinTable    sdk.JoinTable
	slots        chan struct{} // holds one for each script that runs
	log          hclog.Logger
	overdueAfter time.Duration
	overdue      atomic.Int64 // scripts that should have returned and have not
	running      runningScripts
}

type runFunc = func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error)

func newPool(scripts []sdk.Script, size int, log hclog.Logger) (*pool, error) {
	all, err := sdk.NewScripts(scripts...)
	if err != nil {
		return nil, err
	}
	if log == nil {
		log = hclog.NewNullLogger()
	}
	p := &pool{scripts: all, runs: map[string]runFunc{}, slots: make(chan struct{}, size), log: log, overdueAfter: overdueAfter, running: runningScripts{all: map[*runningScript]struct{}{}}}
	for _, s := range scripts {
		p.runs[s.Name] = s.Run
	}
	return p, nil
}

// Describe offers the scripts, with as many slots as the pool has.
func (p *pool) Describe(ctx context.Context) (sdk.Info, error) {
	info, err := p.scripts.Describe(ctx)
	info.Slots = cap(p.slots)
	return info, err
}

// Execute runs the script of t once there is a slot. Waiting for one ends with ctx; what
// has waited has not started.
func (p *pool) Execute(ctx context.Context, t sdk.Task, r sdk.Reporter) (sdk.Result, error) {
	run, ok := p.runs[t.Type]
	if !ok {
		return p.scripts.Execute(ctx, t, r) // which knows how to say so
	}
	// Joined before a slot is looked for: a token that runs needs no second one.
	return p.joinTable.Do(ctx, t, func() (sdk.Result, error) {
		if err := p.acquireSlot(ctx); err != nil {
			return sdk.Result{}, err
		}
		w := p.watch(ctx, &t)
		defer p.releaseSlot(w) // after a panic too
		return run(ctx, t, r)
	})
}

// Revert undoes t in the same pool.
func (p *pool) Revert(ctx context.Context, t sdk.Task, r sdk.Reporter) error {
	if err := p.acquireSlot(ctx); err != nil {
		return err
	}
	w := p.watch(ctx, &t)
	defer p.releaseSlot(w)
	return p.scripts.Revert(ctx, t, r)
}

// Close ends what the scripts do beside their attempts.
func (p *pool) Close() error {
	if c, ok := p.scripts.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// acquireSlot waits for a slot until ctx ends.
func (p *pool) acquireSlot(ctx context.Context) error {
	select {
	case p.slots <- struct{}{}:
		return nil
	default:
	}
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		if errors.Is(context.Cause(ctx), sdk.ErrDetach) {
			return sdk.ErrReleased // it may run elsewhere, also where it must never run twice
		}
		return fmt.Errorf("waited for one of %d slots of the pool: %w", cap(p.slots), context.Cause(ctx))
	}
}

// releaseSlot is for a script that has returned.
func (p *pool) releaseSlot(w *runningScript) {
	p.returned(w)
	<-p.slots
}
