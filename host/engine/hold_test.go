package engine_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/engine"
	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/sqlite"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// fullDisk is a store whose disk is full for changes while it is on.
type fullDisk struct {
	*sqlite.Store
	on    atomic.Bool
	tries chan struct{}
}

func (s *fullDisk) Apply(ctx context.Context, cs []task.Change) []error {
	if !s.on.Load() {
		return s.Store.Apply(ctx, cs)
	}
	select {
	case s.tries <- struct{}{}:
	default:
	}
	errs := make([]error, len(cs))
	for i := range errs {
		errs[i] = task.Errorf(task.CodeStoreFull, "the disk is full")
	}
	return errs
}

// While a settlement is tried again and again, a cancel of its task is answered, and the
// settlement is made in the end.
func TestCancelIsAnsweredWhileTheDiskIsFull(t *testing.T) {
	s := &fullDisk{Store: openStore(t, t.TempDir()), tries: make(chan struct{})}
	g := newGate()
	x, _ := sdk.NewScripts(script("work", g.run))
	e := engine.New(engine.Options{Store: s, Executors: []registry.Binding{{Name: "x", Executor: x}}, DrainTimeout: time.Millisecond})
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.on.Store(false); e.Close(context.Background()) })
	r := &rig{e, t, s.Store}
	id := r.submit(task.Spec{}).ID
	<-g.began
	s.on.Store(true)
	close(g.let)
	<-s.tries // to settle
	if _, err := e.Cancel(t.Context(), me, id); task.CodeOf(err) != task.CodeStoreFull {
		t.Errorf("cancel with a full disk: %v", err)
	}
	s.on.Store(false)
	if got := r.wait(id); got.State != task.Succeeded {
		t.Errorf("got %s", got.State)
	}
}

// stuckDisk is a store whose changes hang until they are let.
type stuckDisk struct {
	*sqlite.Store
	changes chan chan struct{}
	reads   chan struct{}
}

func (s stuckDisk) Get(ctx context.Context, scope task.Scope, id task.ID) (task.Task, error) {
	t, err := s.Store.Get(ctx, scope, id)
	select {
	case s.reads <- struct{}{}:
	default:
	}
	return t, err
}

func (s stuckDisk) Apply(ctx context.Context, cs []task.Change) []error {
	await(s.changes)
	return s.Store.Apply(ctx, cs)
}

// A cancel waits for a change of the same attempt no longer than its caller does.
func TestCancelEndsWithItsContext(t *testing.T) {
	s := stuckDisk{openStore(t, t.TempDir()), make(chan chan struct{}), make(chan struct{})}
	g := newGate()
	x, _ := sdk.NewScripts(script("work", g.run))
	e := engine.New(engine.Options{Store: s, Executors: []registry.Binding{{Name: "x", Executor: x}}, DrainTimeout: time.Millisecond})
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := &rig{e, t, s.Store}
	id := r.submit(task.Spec{}).ID
	<-g.began
	close(g.let)
	let := <-s.changes // the settlement hangs
	ctx, stop := context.WithCancel(t.Context())
	answered := make(chan error, 1)
	go func() { _, err := e.Cancel(ctx, me, id); answered <- err }()
	<-s.reads // it has seen the task, and comes to the attempt
	stop()
	select {
	case err := <-answered:
		if err == nil {
			t.Error("the cancel was accepted while nothing can be written")
		}
	case <-time.After(10 * time.Second):
		t.Error("the cancel waits on, though nobody waits for it")
	}
	close(let)
	if got := r.wait(id); got.State != task.Succeeded {
		t.Errorf("got %s", got.State)
	}
	e.Close(context.Background())
}
