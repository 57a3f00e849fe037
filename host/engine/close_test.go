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

// An attempt that outlives its host was let go of: its time may run out while the
// host still waits for others, and that is the next host's business.
func TestDetachedAttemptIsNotTimedOut(t *testing.T) {
	x, local := &remote{calls: make(chan call, 1)}, newGate()
	local.deaf = true
	y, _ := sdk.NewScripts(script("local", local.run))
	r := start(t, openStore(t, t.TempDir()), engine.Options{
		CancelGrace: 200 * time.Millisecond, DrainTimeout: 200 * time.Millisecond,
		Executors: []registry.Binding{{Name: "x", Executor: x}, {Name: "y", Executor: y}},
	})
	id := r.submit(task.Spec{Timeout: 250 * time.Millisecond}).ID
	c := <-x.calls
	if err := c.r.Started([]byte("h"), "w1"); err != nil {
		t.Fatal(err)
	}
	r.submit(task.Spec{Type: "local"})
	<-local.began
	if err := r.Close(context.Background()); err == nil {
		t.Fatal("the local attempt does not stop, and Close does not say so")
	}
	// The attempt's time and the grace are over before this: if anybody ended it,
	// the history says so by then.
	late, stop := context.WithTimeout(t.Context(), 700*time.Millisecond)
	defer stop()
	if got, err := r.Wait(late, me, id); err != nil || got.State != task.Running || got.Attempt != 1 {
		t.Errorf("after the host let go: %v, %s (%s), attempt %d", err, got.State, got.Waiting, got.Attempt)
	}
	if p := r.path(id); p != "pending running" {
		t.Errorf("history: %s", p)
	}
	close(local.let)
}

// A remote that is closed under a canceling attempt: nobody confirmed anything.
func TestExecutorThatLetsGoConfirmsNoCancel(t *testing.T) {
	dir, x := t.TempDir(), &remote{calls: make(chan call, 1)}
	list := []registry.Binding{{Name: "x", Executor: x}}
	store := openStore(t, dir)
	r := start(t, store, engine.Options{Executors: list})
	id := r.submit(task.Spec{}).ID
	c := <-x.calls
	if err := c.r.Started([]byte("h"), "w1"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.Cancel(t.Context(), me, id); err != nil {
		t.Fatal(err)
	}
	<-c.ctx.Done()
	closed := make(chan error)
	go func() { closed <- r.Close(context.Background()) }()
	for r.accepting() { // Close has begun
	}
	c.done <- sdk.ErrDetach
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	if got := r.get(id); got.State != task.Canceling {
		t.Fatalf("after the executor let go: %s", got.State)
	}
	store.Close()
	r = start(t, openStore(t, dir), engine.Options{Executors: list})
	c = <-x.calls
	if !c.t.Rejoin || string(c.t.Handle) != "h" {
		t.Errorf("joined with %+v", c.t)
	}
	<-c.ctx.Done()
	if !errors.Is(context.Cause(c.ctx), sdk.ErrCancel) {
		t.Errorf("the next host asks it to stop because: %v", context.Cause(c.ctx))
	}
	c.done <- errors.New("stopped")
	if got := r.wait(id); got.State != task.Canceled || got.Error.Details["confirmed"] != true {
		t.Errorf("got %s, %+v", got.State, got.Error)
	}
}

func (r *rig) accepting() bool {
	_, err := r.Ready(context.Background())
	return err == nil
}

// What was said before the host let go is kept.
func TestDetachedAttemptKeepsItsWords(t *testing.T) {
	x := &remote{calls: make(chan call, 1)}
	r := start(t, openStore(t, t.TempDir()), engine.Options{Executors: []registry.Binding{{Name: "x", Executor: x}}})
	id := r.submit(task.Spec{}).ID
	c := <-x.calls
	if err := c.r.Started([]byte("h"), "w1"); err != nil {
		t.Fatal(err)
	}
	c.r.Log().Info("hello")
	c.r.Progress(1, 2, "half")
	if err := r.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	lines, err := r.Logs(t.Context(), me, id, task.LogFilter{})
	if err != nil || len(lines) != 1 {
		t.Errorf("log lines on record: %+v, %v", lines, err)
	}
	if p := r.get(id).Progress; p.Done != 1 {
		t.Errorf("progress on record: %+v", p)
	}
}

// held is a store that answers an insert or a claim, which is on disk, only when
// it is let.
type held struct {
	*sqlite.Store
	inserts, claims chan chan struct{}
}

func (h held) Insert(ctx context.Context, s task.Submission) (task.Receipt, error) {
	r, err := h.Store.Insert(ctx, s)
	await(h.inserts)
	return r, err
}

func (h held) Claim(ctx context.Context, c task.Claim) ([]task.Claimed, error) {
	ts, err := h.Store.Claim(ctx, c)
	if len(ts) > 0 {
		await(h.claims)
	}
	return ts, err
}

func await(gate chan chan struct{}) {
	if gate == nil {
		return
	}
	let := make(chan struct{})
	gate <- let
	<-let
}

// No task may be left running on record by a host that ended in order, however
// late it was accepted or claimed.
func TestCloseWaitsForWhatIsBeingBegun(t *testing.T) {
	for _, name := range []string{"submit", "claim"} {
		t.Run(name, func(t *testing.T) {
			x, _ := sdk.NewScripts(script("work", newGate().run))
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
			go e.Submit(context.Background(), me, []task.Spec{spec}, nil)
			let, closed := <-gate, make(chan error, 1)
			go func() { closed <- e.Close(context.Background()) }()
			select {
			case err := <-closed:
				closed <- err
				t.Error("Close did not wait for a task that is running on record already")
			case <-time.After(100 * time.Millisecond):
			}
			close(let)
			if err := <-closed; err != nil {
				t.Fatal(err)
			}
			p, err := h.List(t.Context(), me, task.Filter{})
			if err != nil || len(p.Tasks) != 1 || p.Tasks[0].State != task.Pending {
				t.Errorf("left on record: %+v, %v", p.Tasks, err)
			}
		})
	}
}

func TestGracefulStopCostsNothing(t *testing.T) {
	dir, g := t.TempDir(), newGate()
	x, _ := sdk.NewScripts(script("work", g.run))
	list := []registry.Binding{{Name: "x", Slots: 1, Executor: x}}
	store := openStore(t, dir)
	first := start(t, store, engine.Options{Executors: list})
	id := first.submit(task.Spec{MaxAttempts: 1}).ID
	<-g.began
	if err := first.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := first.get(id); got.State != task.Pending || got.Failures != 0 || got.Lost != 0 {
		t.Errorf("after the stop: %s, %d failures, %d lost", got.State, got.Failures, got.Lost)
	}
	if _, _, err := first.Submit(t.Context(), me, []task.Spec{{Type: "work"}}, nil); task.CodeOf(err) != task.CodeStoreUnavailable {
		t.Errorf("submit to a stopped host: %v", err)
	}
	store.Close()
	second := start(t, openStore(t, dir), engine.Options{Executors: list})
	<-g.began
	close(g.let)
	if got := second.wait(id); got.State != task.Succeeded || got.Attempt != 2 {
		t.Errorf("after the restart: %s, attempt %d", got.State, got.Attempt)
	}
}

// With max_lost 0 a task is never run twice, and a graceful stop may have interrupted it
// half-way: it fails, visibly.
func TestNeverTwiceHoldsForAGracefulStop(t *testing.T) {
	dir, g := t.TempDir(), newGate()
	x, _ := sdk.NewScripts(script("work", g.run))
	store := openStore(t, dir)
	never := 0
	o := engine.Options{Executors: []registry.Binding{{Name: "x", Executor: x}}}
	r := start(t, store, o)
	id := r.submit(task.Spec{MaxLost: &never}).ID
	<-g.began
	if err := r.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	store.Close()
	r = start(t, openStore(t, dir), o)
	if got := r.wait(id); got.State != task.Failed || got.Error.Code != task.FailureExecutorLost || got.Attempt != 1 {
		t.Errorf("%s after %d attempts, %+v", got.State, got.Attempt, got.Error)
	}
	if len(g.began) != 0 {
		t.Error("the script ran twice")
	}
}
