package engine_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/engine"
	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/sqlite"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// The deadline of the whole task passes while a fleet has it and nobody begins:
// the fleet is told, and the slot is free again.
func TestDispatchedTaskMissesItsDeadline(t *testing.T) {
	x := &remote{calls: make(chan call, 2)}
	r := start(t, openStore(t, t.TempDir()), engine.Options{Executors: []registry.Binding{{Name: "x", Slots: 1, Executor: x}}})
	id := r.submit(task.Spec{Deadline: time.Now().Add(100 * time.Millisecond)}).ID
	c := <-x.calls
	if got := r.wait(id); got.State != task.Failed || got.Error.Code != task.FailureTimeout {
		t.Fatalf("got %s, %+v", got.State, got.Error)
	}
	select {
	case <-c.ctx.Done():
	case <-time.After(10 * time.Second):
		t.Fatal("nobody told the executor that the task is over")
	}
	c.done <- sdk.ErrReleased
	r.submit(task.Spec{})
	c = <-x.calls // it found the slot
	c.done <- nil
}

// Tasks whose deadline passes while they wait are failed together.
func TestOverdueTasksAreFailedTogether(t *testing.T) {
	const tasks = 50
	var clock testClock
	clock.set(time.Now())
	store := &slowStore{Store: openStore(t, t.TempDir()), held: make(chan struct{})}
	close(store.held)
	g := newGate()
	x, _ := sdk.NewScripts(script("work", g.run))
	e := engine.New(engine.Options{Store: store, Now: clock.get, Executors: []registry.Binding{{Name: "x", Slots: 1, Executor: x}}})
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close(context.Background()) })
	r := &rig{e, t, store.Store}
	r.submit(task.Spec{})
	<-g.began
	var ids []task.ID
	for range tasks {
		ids = append(ids, r.submit(task.Spec{Deadline: clock.get().Add(time.Minute)}).ID)
	}
	clock.set(clock.get().Add(2 * time.Minute))
	for _, id := range ids {
		if got := r.wait(id); got.State != task.Failed || got.Error.Code != task.FailureTimeout {
			t.Errorf("%s, %+v", got.State, got.Error)
		}
	}
	store.mu.Lock()
	defer store.mu.Unlock()
	if len(store.sizes) != 1 || store.sizes[0] != tasks {
		t.Errorf("%d tasks were failed by operations of %v", tasks, store.sizes)
	}
	close(g.let)
}

// A cancel that comes when the attempt is on record and not yet in hand.
func TestCancelMeetsTheBegin(t *testing.T) {
	for _, name := range []string{"submit", "claim"} {
		t.Run(name, func(t *testing.T) {
			g := newGate()
			x, _ := sdk.NewScripts(script("work", g.run))
			h := held{Store: openStore(t, t.TempDir())}
			gate, spec := make(chan chan struct{}), task.Spec{Type: "work"}
			if name == "submit" {
				h.inserts = gate
			} else {
				h.claims, spec.RunAt = gate, time.Now().Add(50*time.Millisecond)
			}
			e := engine.New(engine.Options{Store: h, Executors: []registry.Binding{{Name: "x", Executor: x}}})
			if err := e.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			defer e.Close(context.Background())
			go e.Submit(context.Background(), me, []task.Spec{spec}, nil)
			let := <-gate
			p, err := h.List(t.Context(), me, task.Filter{})
			if err != nil || len(p.Tasks) != 1 {
				t.Fatal(err, p)
			}
			id := p.Tasks[0].ID
			answered := make(chan error, 1)
			go func() { _, err := e.Cancel(context.Background(), me, id); answered <- err }()
			for { // the request is on record
				got, err := h.Get(t.Context(), me, id)
				if err != nil {
					t.Fatal(err)
				}
				if got.State == task.Canceling {
					break
				}
			}
			close(let)
			if err := <-answered; err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
			defer stop()
			got, err := e.Wait(ctx, me, id)
			if err != nil || got.State != task.Canceled || got.Error.Details["confirmed"] != true {
				t.Errorf("%v, %s, %+v", err, got.State, got.Error)
			}
		})
	}
}

// settler is a remote that notes what was settled.
type settler struct {
	*remote
	settled chan sdk.Token
}

func (s settler) Settled(t sdk.Token) { s.settled <- t }

// An executor hears that nobody waits any more for an attempt that was given up,
// and hears it once.
func TestGivenUpAttemptIsSettled(t *testing.T) {
	x := settler{&remote{calls: make(chan call, 1)}, make(chan sdk.Token, 10)}
	r := start(t, openStore(t, t.TempDir()), engine.Options{CancelGrace: 20 * time.Millisecond, Executors: []registry.Binding{{Name: "x", Executor: x}}})
	id := r.submit(task.Spec{}).ID
	c := <-x.calls
	if err := c.r.Started([]byte("h"), "w1"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Cancel(t.Context(), me, id); err != nil {
		t.Fatal(err)
	}
	if got := r.wait(id); got.State != task.Canceled {
		t.Fatalf("got %s", got.State)
	}
	select {
	case token := <-x.settled:
		if token != c.t.Token {
			t.Errorf("settled %s, want %s", token, c.t.Token)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the executor was not told, and its Execute waits on")
	}
	c.done <- errors.New("late")
	if err := r.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if len(x.settled) != 0 {
		t.Error("settled twice")
	}
}

// strict is a store to whose rules no success conforms.
type strict struct{ *sqlite.Store }

func (s strict) Apply(ctx context.Context, cs []task.Change) []error {
	if cs[0].Task.State == task.Succeeded {
		return []error{task.Errorf(task.CodeInternal, "the change breaks a rule")}
	}
	return s.Store.Apply(ctx, cs)
}

// An outcome that the store will never take must not hold a task for ever.
func TestOutcomeThatTheStoreRefuses(t *testing.T) {
	x, _ := sdk.NewScripts(script("work", func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) { return sdk.Result{}, nil }))
	e := engine.New(engine.Options{Store: strict{openStore(t, t.TempDir())}, Executors: []registry.Binding{{Name: "x", Executor: x}}})
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer e.Close(context.Background())
	ts, _, err := e.Submit(t.Context(), me, []task.Spec{{Type: "work"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	got, err := e.Wait(ctx, me, ts[0].ID)
	if err != nil || got.State != task.Failed || got.Error.Code != task.FailureExecutor {
		t.Errorf("%v, %s, %+v", err, got.State, got.Error)
	}
}

func TestCancelIsConfirmed(t *testing.T) {
	g := newGate()
	r := scripts(t, 1, nil, script("work", g.run))
	running := r.submit(task.Spec{})
	<-g.began
	waiting := r.submit(task.Spec{})
	if got, err := r.Cancel(t.Context(), me, waiting.ID); err != nil || got.State != task.Canceled {
		t.Errorf("cancel of a waiting task: %v, %s", err, got.State)
	}
	if got, err := r.Cancel(t.Context(), me, running.ID); err != nil || got.State != task.Canceling {
		t.Errorf("cancel of a running task: %v, %s", err, got.State)
	}
	got := r.wait(running.ID)
	if got.State != task.Canceled || got.Error.Details["confirmed"] != true {
		t.Errorf("got %s, %+v", got.State, got.Error)
	}
	if _, err := r.Cancel(t.Context(), me, running.ID); task.CodeOf(err) != task.CodeAlreadyFinal {
		t.Errorf("second cancel: %v", err)
	}
}

func TestAttemptThatDoesNotStopIsGivenUp(t *testing.T) {
	g := newGate()
	g.deaf = true
	x, _ := sdk.NewScripts(script("work", g.run))
	r := start(t, openStore(t, t.TempDir()), engine.Options{CancelGrace: 20 * time.Millisecond,
		Executors: []registry.Binding{{Name: "x", Slots: 1, Executor: x}}})
	first := r.submit(task.Spec{})
	<-g.began
	if _, err := r.Cancel(t.Context(), me, first.ID); err != nil {
		t.Fatal(err)
	}
	got := r.wait(first.ID)
	if got.State != task.Canceled || got.Error.Details["confirmed"] != false {
		t.Errorf("got %s, %+v", got.State, got.Error)
	}
	if s := r.Executors()[0]; s.Used != 1 {
		t.Errorf("%d slots in use, want 1: the goroutine is still there", s.Used)
	}
	second := r.submit(task.Spec{})
	if second.State != task.Pending {
		t.Errorf("the slot was given away: %s", second.State)
	}
	close(g.let)
	if got := r.wait(second.ID); got.State != task.Succeeded {
		t.Errorf("after the goroutine came back: %s", got.State)
	}
	if r.Ignored() == 0 {
		t.Error("the late end of the first was not counted")
	}
}
