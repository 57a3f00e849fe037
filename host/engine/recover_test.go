package engine_test

import (
	"context"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/engine"
	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// What a dead host left running on a local executor is lost; max_lost bounds how often.
func TestRecoverSettlesLost(t *testing.T) {
	dir := t.TempDir()
	store := openStore(t, dir)
	var ids []task.ID
	for i, maxLost := range []int{3, 0} {
		tk, err := task.New(task.ID{byte(i + 1)}, "me", task.Spec{Type: "work", MaxLost: &maxLost}, task.DefaultLimits(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		tk = task.Begin(&tk, "x", task.Token{byte(i + 1)}, false, time.Now()).Task
		if _, err := store.Insert(t.Context(), task.Submission{Tasks: []*task.Task{&tk}}); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, tk.ID)
	}
	x, _ := sdk.NewScripts(script("work", func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) { return sdk.Result{}, nil }))
	r := start(t, store, engine.Options{Executors: []registry.Binding{{Name: "x", Slots: 4, Executor: x}}})
	if got := r.wait(ids[0]); got.State != task.Succeeded || got.Attempt != 2 || got.Lost != 1 {
		t.Errorf("may be lost: %s, attempt %d, lost %d", got.State, got.Attempt, got.Lost)
	}
	if got := r.wait(ids[1]); got.State != task.Failed || got.Error.Code != "executor_lost" || got.Attempt != 1 {
		t.Errorf("never twice: %s, %+v, attempt %d", got.State, got.Error, got.Attempt)
	}
}
