package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// builtin is an executor of a plugin in this process. One that cannot be made (its port
// is taken, its broker refuses it) is tried again beside the others, which serve.
type builtin struct {
	plugin  sdk.Plugin
	config  func(changed func()) sdk.Config
	log     hclog.Logger
	changed chan struct{}
	made    atomic.Pointer[made]

	stopped context.Context
	stop    context.CancelFunc
	again   sync.WaitGroup
}

// made is an executor, or why there is none.
type made struct {
	executor sdk.Executor
	err      error
}

func newBuiltin(p sdk.Plugin, log hclog.Logger, config func(func()) sdk.Config) *builtin {
	b := &builtin{plugin: p, config: config, log: log, changed: make(chan struct{}, 1)}
	b.stopped, b.stop = context.WithCancel(context.Background())
	return b
}

// open makes the executor, or keeps why it cannot be made.
func (b *builtin) open() error {
	x, err := b.plugin.New(b.config(func() { signal(b.changed) }))
	if err == nil && x == nil {
		err = fmt.Errorf("plugin %q made no executor and no error", b.plugin.Name)
	}
	b.made.Store(&made{x, err})
	signal(b.changed)
	return err
}

// How soon a built-in that could not be made is tried again: doubling from the first to the last.
const (
	tryAgainAfter = time.Second
	tryAgainEvery = time.Minute
)

// tryAgain makes the executor in the background, as soon as it can be made.
func (b *builtin) tryAgain() {
	b.again.Go(func() {
		said := ""
		for wait := tryAgainAfter; ; wait = min(2*wait, tryAgainEvery) {
			level := hclog.Debug
			if err := b.made.Load().err.Error(); err != said { // else it is as before
				level = hclog.Error
				said = err
			}
			b.log.Log(level, "executor cannot be made; it is tried again", "after", wait, "error", b.made.Load().err)
			select {
			case <-time.After(wait):
			case <-b.stopped.Done():
				return
			}
			if b.open() == nil {
				b.log.Info("executor is made")
				return
			}
		}
	})
}

// Changed is signaled when it was made, or says that its offer has changed.
func (b *builtin) Changed() <-chan struct{} { return b.changed }

// Status is quarantined while it cannot be made.
func (b *builtin) Status() task.ExecutorStatus {
	if err := b.made.Load().err; err != nil {
		return task.ExecutorStatus{State: task.ExecutorQuarantined, Version: b.plugin.Version, LastError: err.Error(),
			Reason: "it cannot be made, and is tried again: " + err.Error()}
	}
	return task.ExecutorStatus{State: task.ExecutorReady, Version: b.plugin.Version}
}

// State is that of Status.
func (b *builtin) State() task.ExecutorState {
	if b.made.Load().err != nil {
		return task.ExecutorQuarantined
	}
	return task.ExecutorReady
}

// Made is the executor itself; nil while it cannot be made.
func (b *builtin) Made() sdk.Executor { return b.made.Load().executor }

// Describe asks the executor.
func (b *builtin) Describe(ctx context.Context) (sdk.Info, error) {
	m := b.made.Load()
	if m.err != nil {
		return sdk.Info{}, m.err
	}
	return m.executor.Describe(ctx)
}

// Execute runs an attempt, which never began where there is no executor.
func (b *builtin) Execute(ctx context.Context, t sdk.Task, r sdk.Reporter) (sdk.Result, error) {
	m := b.made.Load()
	if m.err != nil {
		return sdk.Result{}, without(ctx, t)
	}
	return m.executor.Execute(ctx, t, r)
}

// Revert undoes one.
func (b *builtin) Revert(ctx context.Context, t sdk.Task, r sdk.Reporter) error {
	m := b.made.Load()
	if m.err != nil {
		return without(ctx, t)
	}
	return m.executor.Revert(ctx, t, r)
}

// without is the outcome where there is no executor. An attempt to be joined waits for
// one no longer than its host is there: the next host asks again.
func without(ctx context.Context, t sdk.Task) error {
	if !t.Rejoin {
		return sdk.ErrReleased
	}
	if errors.Is(context.Cause(ctx), sdk.ErrDetach) {
		return sdk.ErrDetach
	}
	return sdk.ErrLost
}

// Settled passes on to an executor that wants to hear it.
func (b *builtin) Settled(t sdk.Token) {
	if s, ok := b.made.Load().executor.(sdk.Settler); ok {
		s.Settled(t)
	}
}

// ControlNode passes on to an executor that has nodes.
func (b *builtin) ControlNode(ctx context.Context, node, action string) error {
	m := b.made.Load()
	if m.err != nil {
		return m.err
	}
	if c, ok := m.executor.(sdk.NodeController); ok {
		return c.ControlNode(ctx, node, action)
	}
	return errors.New("this executor does not control nodes")
}

// Close ends the trying, and closes an executor that can be closed.
func (b *builtin) Close() error {
	b.stop()
	b.again.Wait()
	if c, ok := b.made.Load().executor.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// unopened stands in for an executor that can never work as its block is.
type unopened struct {
	builtin
	why error
}

func newUnopened(why error) *unopened {
	u := &unopened{why: why}
	u.made.Store(&made{err: why})
	return u
}

// Status is stopped, with the reason.
func (u *unopened) Status() task.ExecutorStatus {
	return task.ExecutorStatus{State: task.ExecutorStopped, LastError: u.why.Error(),
		Reason: "it cannot work as it is configured: " + u.why.Error()}
}

// State is that of Status.
func (u *unopened) State() task.ExecutorState { return task.ExecutorStopped }
