package engine_test

import (
	"context"
	"slices"
	"testing"
	"time"

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

// A list by executor has what it runs, and what waits for it: pinned to it, or of a type that is
// placed on it by the config or because it is the first to offer it. So has an action.
func TestListByExecutor(t *testing.T) {
	g := newGate()
	x, _ := sdk.NewScripts(script("first", g.run), script("placed", g.run))
	y, _ := sdk.NewScripts(script("first", g.run), script("placed", g.run))
	r := start(t, openStore(t, t.TempDir()), engine.Options{Executors: []registry.Binding{{Name: "x", Slots: 1, Executor: x}, {Name: "y", Slots: 1, Executor: y}},
		Types: map[string]task.TypeConfig{"placed": {Executor: "y"}}})
	later := time.Now().Add(time.Hour)
	want := map[string][]task.ID{}
	for _, s := range []struct {
		executor string
		spec     task.Spec
	}{
		{"x", task.Spec{Type: "first"}}, {"x", task.Spec{Type: "first"}}, {"x", task.Spec{Type: "first", RunAt: later}}, {"x", task.Spec{Type: "placed", Executor: "x"}},
		{"y", task.Spec{Type: "placed"}}, {"y", task.Spec{Type: "placed"}}, {"y", task.Spec{Type: "first", Executor: "y", RunAt: later}},
	} {
		want[s.executor] = append(want[s.executor], r.submit(s.spec).ID)
	}
	for name, ids := range want {
		p, err := r.List(t.Context(), me, task.Filter{Executor: name, Ascending: true})
		var got []task.ID
		for _, t := range p.Tasks {
			got = append(got, t.ID)
		}
		if err != nil || !slices.Equal(got, ids) {
			t.Errorf("of %s: %v, %v, want %v", name, got, err, ids)
		}
		n, err := r.CountAction(t.Context(), me, task.Action{Action: task.ActionCancel, Filter: task.Filter{Executor: name}})
		if err != nil || n != int64(len(ids)) {
			t.Errorf("an action on those of %s would be done to %d, %v, want %d", name, n, err, len(ids))
		}
	}
}
