package engine_test

import (
	"context"
	"testing"

	"github.com/taskhost/taskhost/host/engine"
	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// A task that pins an executor which is in the config no more waits for it,
// visibly, and not for the one that serves its type.
func TestTaskOfARemovedExecutorIsShown(t *testing.T) {
	dir := t.TempDir()
	x, _ := sdk.NewScripts(script("work", newGate().run))
	store := openStore(t, dir)
	r := start(t, store, engine.Options{Executors: []registry.Binding{{Name: "old", Executor: x}, {Name: "x", Executor: x}}})
	if _, err := r.ControlExecutor(t.Context(), "old", "pause"); err != nil {
		t.Fatal(err)
	}
	s := r.submit(task.Spec{Executor: "old"})
	if s.Waiting != task.WaitExecutor {
		t.Errorf("the answer to the submit says it waits for %s", s.Waiting)
	}
	r.Close(context.Background())
	store.Close()
	r = start(t, openStore(t, dir), engine.Options{Executors: []registry.Binding{{Name: "x", Executor: x}}})
	if got := r.get(s.ID); got.Waiting != task.WaitExecutor || got.Executor != "old" {
		t.Errorf("waits for %s of %q", got.Waiting, got.Executor)
	}
}
