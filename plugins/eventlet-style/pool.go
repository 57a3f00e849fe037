package eventlet

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/sdk"
)

// pool bounds how many scripts run at once. A script runs in the goroutine that
// Execute was called in: the host gives each attempt its own, and another would
// only cost.
type pool struct {
	scripts  sdk.Executor // all but Execute
	run      map[string]runFunc
	joins    sdk.JoinTable
	places   chan struct{} // one is in it for each script that runs
	log      hclog.Logger
	patience time.Duration
	overdue  atomic.Int64 // scripts that should have returned and have not
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
	p := &pool{scripts: all, run: map[string]runFunc{}, places: make(chan struct{}, size), log: log, patience: patience}
	for _, s := range scripts {
		p.run[s.Name] = s.Run
	}
	return p, nil
}

// Execute runs the script of t once there is a place in the pool. Waiting for
// one ends with ctx; what has waited has not started.
func (p *pool) Execute(ctx context.Context, t sdk.Task, r sdk.Reporter) (sdk.Result, error) {
	run, ok := p.run[t.Type]
	if !ok {
		return p.scripts.Execute(ctx, t, r) // which knows how to say so
	}
	// Joined before a place is looked for: a token that runs needs no second one.
	return p.joins.Do(ctx, t, func() (sdk.Result, error) {
		if err := p.enter(ctx); err != nil {
			return sdk.Result{}, err
		}
		w := p.watch(ctx, &t)
		defer p.leave(w) // after a panic too
		return run(ctx, t, r)
	})
}

// Revert undoes t in the same pool.
func (p *pool) Revert(ctx context.Context, t sdk.Task, r sdk.Reporter) error {
	if err := p.enter(ctx); err != nil {
		return err
	}
	w := p.watch(ctx, &t)
	defer p.leave(w)
	return p.scripts.Revert(ctx, t, r)
}

// Close ends what the scripts do beside their attempts.
func (p *pool) Close() error {
	if c, ok := p.scripts.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

func (p *pool) enter(ctx context.Context) error {
	select {
	case p.places <- struct{}{}:
		return nil
	default:
	}
	select {
	case p.places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("waited for one of %d places in the pool: %w", cap(p.places), context.Cause(ctx))
	}
}

func (p *pool) leave(w *watched) {
	w.returned()
	<-p.places
}

// watched is a running script. Nobody can end a goroutine from outside: one that
// does not return keeps its place in the pool, and all that can be done is to say so.
type watched struct {
	pool    *pool
	ctx     context.Context
	id      string
	typ     string
	attempt int
	unwatch func() bool
	state   atomic.Int32
	late    time.Time // when it became overdue; set before state is told
}

// The states of a watched script.
const (
	running int32 = iota
	told          // it is overdue, and the log says so
	done
)

// watch costs no more than a registration with ctx until that ends.
func (p *pool) watch(ctx context.Context, t *sdk.Task) *watched {
	w := &watched{pool: p, ctx: ctx, id: t.ID, typ: t.Type, attempt: t.Attempt}
	w.unwatch = context.AfterFunc(ctx, func() {
		time.AfterFunc(p.patience, w.tell)
	})
	return w
}

func (w *watched) tell() {
	w.late = time.Now()
	count := w.pool.overdue.Add(1)
	if !w.state.CompareAndSwap(running, told) {
		w.pool.overdue.Add(-1)
		return
	}
	w.pool.log.Warn("a script has not returned although its context ended; it keeps its slot until it does",
		"task", w.id, "type", w.typ, "attempt", w.attempt, "cause", context.Cause(w.ctx),
		"after", w.pool.patience.String(), "overdue", count, "slots", cap(w.pool.places))
}

func (w *watched) returned() {
	w.unwatch()
	if w.state.Swap(done) != told {
		return
	}
	w.pool.log.Info("an overdue script has returned; its slot is free",
		"task", w.id, "type", w.typ, "attempt", w.attempt,
		"overdue_for", (w.pool.patience + time.Since(w.late)).Round(time.Millisecond).String(),
		"overdue", w.pool.overdue.Add(-1), "slots", cap(w.pool.places))
}
