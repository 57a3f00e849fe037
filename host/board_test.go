package host_test

import (
	"context"
	"testing"

	"github.com/taskhost/taskhost/host"
	"github.com/taskhost/taskhost/host/board"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// A host has a board also where no block names one. It is shown once a type is placed on
// it, and a worker that asks gets the tasks of that.
func TestBoardWithoutABlock(t *testing.T) {
	x, err := sdk.NewScripts(sdk.Func("inside", func(context.Context, any, sdk.Reporter) (any, error) { return nil, nil }))
	if err != nil {
		t.Fatal(err)
	}
	o := host.Options{DataDir: t.TempDir(), Builtins: []sdk.Plugin{{Name: "scripts", New: func(sdk.Config) (sdk.Executor, error) { return x, nil }}}}
	h, err := host.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	if all := h.Tasks().Executors(); len(all) != 1 || all[0].Name != "scripts" {
		t.Errorf("a board that nothing is placed on is shown: %+v", all)
	}
	o.Types = map[string]task.TypeConfig{"outside": {Executor: "board"}}
	if err := h.Reload(o); err != nil {
		t.Fatal(err)
	}
	until(t, "the board has said what it offers, and is shown", func() bool {
		all := h.Tasks().Executors()
		return len(all) == 2 && all[1].Name == "board" && all[1].State == task.ExecutorReady
	})
	s := host.DefaultScope()
	submitted, _, err := h.Tasks().Submit(t.Context(), s, []task.Spec{{Type: "outside"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	claims, _, err := h.Tasks().ClaimTasks(t.Context(), board.Request{Scope: s, Worker: "w", Types: []string{"outside"}})
	if err != nil || len(claims) != 1 || claims[0].Task != submitted[0].ID {
		t.Errorf("claimed %+v, %v", claims, err)
	}
}

// A config may place any type on a board, with a route; a worker has none.
func TestCheckOfABoard(t *testing.T) {
	o := host.Options{DataDir: t.TempDir(), Executors: []task.ExecutorConfig{{Name: "b", Plugin: "board", Config: []byte(`{"types":["a"]}`)}},
		Types: map[string]task.TypeConfig{"anything": {Executor: "b", Route: task.Route{"zone": "x"}}}}
	if found, err := host.Check(t.Context(), o, false); err != nil || len(found.Problems) > 0 {
		t.Errorf("%+v, %v", found.Problems, err)
	}
	o.Executors[0].Config = []byte(`{"typos":["a"]}`)
	if found, err := host.Check(t.Context(), o, false); err != nil || len(found.Problems) != 1 || found.Problems[0].Key != "executor.b.config.typos" {
		t.Errorf("%+v, %v", found.Problems, err)
	}
	o.NoBoard = true
	if found, err := host.Check(t.Context(), o, false); err != nil || len(found.Problems) == 0 {
		t.Errorf("a worker may have a board: %+v, %v", found.Problems, err)
	}
}
