package engine_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/engine"
	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// A retry waits by the monotonic clock: set back by an hour, the system's clock does not
// have it come an hour late.
func TestRetryComesThoughTheClockWasSetBack(t *testing.T) {
	var back atomic.Int64
	x, _ := sdk.NewScripts(script("work", func(_ context.Context, st sdk.Task, _ sdk.Reporter) (sdk.Result, error) {
		if st.Attempt == 1 {
			return sdk.Result{}, sdk.RetryAfter(errors.New("once more"), 300*time.Millisecond)
		}
		return sdk.Result{}, nil
	}))
	r := start(t, openStore(t, t.TempDir()), engine.Options{
		Now:       func() time.Time { return time.Now().Add(-time.Duration(back.Load())) },
		Executors: []registry.Binding{{Name: "x", Executor: x}}})
	id := r.submit(task.Spec{RunAt: time.Now().Add(50 * time.Millisecond)}).ID
	updates, err := r.Watch(t.Context(), me, id)
	if err != nil {
		t.Fatal(err)
	}
	for u := range updates {
		if u.Event != nil && u.Task.State == task.Pending && u.Task.Waiting == task.WaitScheduled {
			break
		}
	}
	back.Store(int64(time.Hour))
	if got := r.wait(id); got.State != task.Succeeded || got.Attempt != 2 {
		t.Errorf("%s, attempt %d", got.State, got.Attempt)
	}
}

// A task for a time of day waits for that time, whatever the clock is set to meanwhile.
func TestScheduledTaskGoesByTheSystemsClock(t *testing.T) {
	var ahead atomic.Int64
	x, _ := sdk.NewScripts(script("work", instant))
	r := start(t, openStore(t, t.TempDir()), engine.Options{
		Now:       func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) },
		Executors: []registry.Binding{{Name: "x", Executor: x}}})
	id := r.submit(task.Spec{RunAt: time.Now().Add(time.Hour)}).ID
	ahead.Store(int64(2 * time.Hour))
	if got := r.wait(id); got.State != task.Succeeded {
		t.Errorf("got %s", got.State)
	}
}

// The time that the store takes to write a start down is not the attempt's.
func TestStalledStoreDoesNotEatTheTimeout(t *testing.T) {
	for _, name := range []string{"submit", "claim"} {
		t.Run(name, func(t *testing.T) {
			x, _ := sdk.NewScripts(script("work", func(ctx context.Context, _ sdk.Task, _ sdk.Reporter) (sdk.Result, error) {
				select {
				case <-ctx.Done():
					return sdk.Result{}, context.Cause(ctx)
				case <-time.After(time.Millisecond):
					return sdk.Result{}, nil
				}
			}))
			h := held{Store: openStore(t, t.TempDir())}
			gate, spec := make(chan chan struct{}), task.Spec{Type: "work", Timeout: 500 * time.Millisecond, MaxAttempts: 1}
			if name == "submit" {
				h.inserts = gate
			} else {
				h.claims = gate
			}
			e := engine.New(engine.Options{Store: h, Executors: []registry.Binding{{Name: "x", Executor: x}}, DrainTimeout: time.Millisecond})
			if err := e.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { e.Close(context.Background()) })
			control := func(action string) {
				if _, err := e.ControlExecutor(t.Context(), "x", action); err != nil {
					t.Error(err)
				}
			}
			if name == "claim" { // it is not begun as it is submitted
				control("pause")
			}
			go func() {
				if _, _, err := e.Submit(context.Background(), me, []task.Spec{spec}, nil); err != nil {
					t.Error(err)
				}
				if name == "claim" {
					control("resume")
				}
			}()
			let := <-gate
			<-time.After(600 * time.Millisecond) // the store stalls for longer than the timeout
			p, err := h.List(t.Context(), me, task.Filter{})
			if err != nil || len(p.Tasks) != 1 {
				t.Fatal(err)
			}
			close(let)
			ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
			defer stop()
			if got, err := e.Wait(ctx, me, p.Tasks[0].ID); err != nil || got.State != task.Succeeded {
				t.Errorf("%v, %s, %+v", err, got.State, got.Error)
			}
		})
	}
}

// However the clock was set while a host was down: a joined attempt is never given more
// than its timeout.
func TestJoinedAttemptHasNoMoreThanItsTimeout(t *testing.T) {
	store := openStore(t, t.TempDir())
	if err := store.SaveOffer(t.Context(), task.Offer{Host: store.Host().ID, Executor: "x", Document: []byte(`{"types":[{"name":"work"}],"deferred":true,"outlives":true}`)}); err != nil {
		t.Fatal(err)
	}
	tk, err := task.New(task.ID{1}, "me", task.Spec{Type: "work", Timeout: 300 * time.Millisecond}, task.DefaultLimits(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	tk = task.Begin(&tk, "x", task.Token{1}, true, time.Now()).Task
	if _, err := store.Insert(t.Context(), task.Submission{Tasks: []*task.Task{&tk}}); err != nil {
		t.Fatal(err)
	}
	c, err := task.Started(&tk, []byte("handle"), "n", time.Now().Add(24*time.Hour)) // the clock was a day ahead
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Apply(t.Context(), []task.Change{c})[0]; err != nil {
		t.Fatal(err)
	}
	x := &remote{calls: make(chan call, 10)}
	r := start(t, store, engine.Options{CancelGrace: 100 * time.Millisecond, Executors: []registry.Binding{{Name: "x", Executor: x}}})
	joined := <-x.calls
	if left := time.Until(joined.t.Deadline); left > 300*time.Millisecond {
		t.Errorf("the executor is told that the attempt has %s", left)
	}
	if at, ok := joined.ctx.Deadline(); !ok || !at.Equal(joined.t.Deadline) {
		t.Errorf("the context tells %s as its deadline, the task %s", at, joined.t.Deadline)
	}
	select {
	case <-joined.ctx.Done():
	case <-time.After(20 * time.Second):
		t.Error("a timeout of 300 ms is not over after 20 s")
	}
	joined.done <- nil
	r.wait(tk.ID)
}
