package engine_test

import (
	"fmt"
	"testing"

	"github.com/taskhost/taskhost/host/engine"
	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// Lanes whose tasks are done go away: a client that varies its routes must not slow down
// everyone who comes after.
func TestLanesThatCameAndWentAreDropped(t *testing.T) {
	x, _ := sdk.NewScripts(script("work", instant))
	r := start(t, openStore(t, t.TempDir()), engine.Options{Executors: []registry.Binding{{Name: "x", Slots: 64, Executor: x}}})
	const lanes, batch = 4000, 500
	for i := 0; i < lanes; i += batch {
		specs := make([]task.Spec, batch)
		for k := range specs {
			specs[k] = task.Spec{Type: "work", Route: map[string]string{"host": fmt.Sprint(i + k)}}
		}
		ts, _, err := r.Submit(t.Context(), me, specs, nil)
		if err != nil {
			t.Fatal(err)
		}
		for j := range ts {
			r.wait(ts[j].ID)
		}
	}
	r.until("the lanes are dropped", func() bool {
		r.wait(r.submit(task.Spec{}).ID)
		return len(r.store.Lanes(0)) < 1500
	})
	if last := r.store.Lanes(0); last[len(last)-1].ID < lanes {
		t.Errorf("the last of %d lanes that there were is %d", lanes, last[len(last)-1].ID)
	}
}
