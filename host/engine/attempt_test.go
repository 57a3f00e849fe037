package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/engine"
	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

func TestTaskBornRunningSucceeds(t *testing.T) {
	r := scripts(t, 4, nil, script("work", func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) { return sdk.Text("done"), nil }))
	id := r.submit(task.Spec{Input: json.RawMessage(`{"a":1}`)}).ID
	got := r.wait(id)
	if got.State != task.Succeeded || string(got.Result) != "done" || got.Attempt != 1 || string(got.Input) != `{"a":1}` {
		t.Errorf("got %+v", got)
	}
	if p := r.path(id); p != "running succeeded" {
		t.Errorf("history: %s; a task that finds a free slot is two writes", p)
	}
}

func TestFailuresAreRetriedUpToMaxAttempts(t *testing.T) {
	var runs atomic.Int64
	r := scripts(t, 4, quick, script("work", func(_ context.Context, st sdk.Task, _ sdk.Reporter) (sdk.Result, error) {
		runs.Add(1)
		if string(st.Input) == "2" && st.Attempt == 2 {
			return sdk.Result{}, nil
		}
		if string(st.Input) == "9" {
			return sdk.Result{}, sdk.Permanent(errors.New("no use"))
		}
		if string(st.Input) == "8" {
			panic("oh no")
		}
		return sdk.Result{}, fmt.Errorf("attempt %d failed", st.Attempt)
	}))
	for _, c := range []struct {
		input    string
		state    task.State
		attempts int
		code     string
	}{
		{"1", task.Failed, 3, "script_failed"},
		{"2", task.Succeeded, 2, ""},
		{"9", task.Failed, 1, "permanent"},
		{"8", task.Failed, 3, "script_failed"},
	} {
		got := r.wait(r.submit(task.Spec{Input: json.RawMessage(c.input)}).ID)
		code := ""
		if got.Error != nil {
			code = got.Error.Code
		}
		if got.State != c.state || got.Attempt != c.attempts || code != c.code {
			t.Errorf("input %s: %s after %d attempts, code %q; want %s after %d, %q", c.input, got.State, got.Attempt, code, c.state, c.attempts, c.code)
		}
	}
	failed := r.wait(r.submit(task.Spec{Input: json.RawMessage("1"), MaxAttempts: 1}).ID)
	again, err := r.Retry(t.Context(), me, failed.ID)
	if err != nil || again.State != task.Pending {
		t.Fatalf("retry: %v, %s", err, again.State)
	}
	if got := r.wait(failed.ID); got.Attempt != 2 {
		t.Errorf("after a retry by hand the attempt's number is %d, want 2: it goes on", got.Attempt)
	}
}

func TestAttemptTimesOut(t *testing.T) {
	g := newGate()
	r := scripts(t, 1, nil, script("work", g.run))
	got := r.wait(r.submit(task.Spec{Timeout: 10 * time.Millisecond, MaxAttempts: 1}).ID)
	if got.State != task.Failed || got.Error.Code != "timeout" {
		t.Errorf("got %s, %+v", got.State, got.Error)
	}
}

func TestCheckpointCrossesAttempts(t *testing.T) {
	r := scripts(t, 4, quick, script("work", func(_ context.Context, st sdk.Task, rep sdk.Reporter) (sdk.Result, error) {
		if st.Attempt == 1 {
			if err := rep.Checkpoint([]byte("here")); err != nil {
				return sdk.Result{}, err
			}
			return sdk.Result{}, errors.New("once more")
		}
		return sdk.Text(string(st.Checkpoint)), nil
	}))
	if got := r.wait(r.submit(task.Spec{}).ID); string(got.Result) != "here" {
		t.Errorf("the second attempt found %q", got.Result)
	}
}

func TestProgressAndLogs(t *testing.T) {
	r := scripts(t, 4, nil, script("work", func(_ context.Context, _ sdk.Task, rep sdk.Reporter) (sdk.Result, error) {
		rep.Progress(3, 10, "a third")
		rep.Log().Named("part").Info("hello", "n", 1)
		return sdk.Result{}, nil
	}))
	got := r.wait(r.submit(task.Spec{}).ID)
	if got.Progress != (task.Progress{Done: 3, Total: 10, Message: "a third"}) {
		t.Errorf("progress %+v", got.Progress)
	}
	lines, err := r.Logs(t.Context(), me, got.ID, task.LogFilter{})
	if err != nil || len(lines) != 1 || lines[0].Message != "part: hello" || lines[0].Fields["n"] != "1" {
		t.Errorf("logs %+v, %v", lines, err)
	}
}

func TestDeferredAttempts(t *testing.T) {
	dir, x := t.TempDir(), &remote{calls: make(chan call, 10)}
	list := []registry.Binding{{Name: "x", Executor: x}}
	store := openStore(t, dir)
	r := start(t, store, engine.Options{Executors: list})

	id := r.submit(task.Spec{}).ID
	c := <-x.calls
	if got := r.get(id); got.State != task.Pending || got.Waiting != task.WaitDispatched || got.Attempt != 1 {
		t.Fatalf("handed on: %s %s, attempt %d", got.State, got.Waiting, got.Attempt)
	}
	c.done <- sdk.ErrReleased
	c = <-x.calls
	if err := c.r.Started([]byte("h"), "w1"); err != nil {
		t.Fatal(err)
	}
	if got := r.get(id); got.State != task.Running || got.Node != "w1" || got.Attempt != 2 || got.Failures+got.Lost != 0 {
		t.Fatalf("started: %+v", got)
	}

	gone := r.submit(task.Spec{}).ID
	g := <-x.calls
	if got, err := r.Cancel(t.Context(), me, gone); err != nil || got.State != task.Canceled {
		t.Fatalf("cancel of a dispatched task: %v, %s", err, got.State)
	}
	if err := g.r.Started([]byte("h"), "w1"); err == nil {
		t.Error("a withdrawn attempt was let start")
	}
	<-g.ctx.Done()
	g.done <- sdk.ErrReleased

	if err := r.Close(context.Background()); err != nil { // the fleet works on
		t.Fatal(err)
	}
	if got := r.get(id); got.State != task.Running {
		t.Fatalf("after the host let go: %s", got.State)
	}
	store.Close()
	r = start(t, openStore(t, dir), engine.Options{Executors: list})
	c = <-x.calls
	if !c.t.Rejoin || string(c.t.Handle) != "h" || c.t.Attempt != 2 {
		t.Errorf("joined with %+v", c.t)
	}
	c.done <- nil
	if got := r.wait(id); got.State != task.Succeeded || got.Attempt != 2 {
		t.Errorf("got %s, attempt %d", got.State, got.Attempt)
	}
	if p := r.path(id); p != "pending pending pending running succeeded" {
		t.Logf("history: %s", p)
	}
}

func TestManyAtOnce(t *testing.T) {
	var runs atomic.Int64
	r := scripts(t, 50, nil, script("work", func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) {
		runs.Add(1)
		return sdk.Result{}, nil
	}))
	const clients, each = 16, 50
	var wg sync.WaitGroup
	ids := make(chan task.ID, clients*each)
	for range clients {
		wg.Go(func() {
			for range each {
				ts, _, err := r.Submit(context.Background(), me, []task.Spec{{Type: "work"}}, nil)
				if err != nil {
					t.Error(err)
					return
				}
				ids <- ts[0].ID
			}
		})
	}
	wg.Wait()
	close(ids)
	for id := range ids {
		if got := r.wait(id); got.State != task.Succeeded || got.Attempt != 1 {
			t.Fatalf("%s after %d attempts", got.State, got.Attempt)
		}
	}
	if n := runs.Load(); n != clients*each {
		t.Errorf("%d runs of %d tasks", n, clients*each)
	}
}
