package engine_test

import (
	"context"
	"testing"

	"github.com/taskhost/taskhost/host/engine"
	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// nodes is a deferred executor of which the test says the nodes.
type nodes struct {
	*offering
	calls chan call
}

func (x nodes) Execute(ctx context.Context, t sdk.Task, r sdk.Reporter) (sdk.Result, error) {
	return (&remote{calls: x.calls}).Execute(ctx, t, r)
}

func node(name string, slots int, types ...string) sdk.Node {
	return sdk.Node{Name: name, Slots: slots, Types: types}
}

func types(names ...string) (out []sdk.TypeInfo) {
	for _, n := range names {
		out = append(out, sdk.TypeInfo{Name: n})
	}
	return out
}

// A backlog of a type whose nodes are busy takes what they can run and a small reserve,
// and leaves the rest of the fleet's slots to others.
func TestBacklogOfOneTypeLeavesSlotsToOthers(t *testing.T) {
	x := nodes{newOffering(sdk.Info{Deferred: true, Slots: 100, Types: types("a", "b"), Nodes: []sdk.Node{node("na", 4, "a"), node("nb", 1, "b")}}), make(chan call, 100)}
	r := start(t, openStore(t, t.TempDir()), engine.Options{Executors: []registry.Binding{{Name: "x", Executor: x, Source: source{changed: x.changed}}}})
	for range 200 {
		r.submit(task.Spec{Type: "a"})
	}
	r.until("a has its share", func() bool { return r.Executors()[0].Used == 4+1+1 })
	b := r.submit(task.Spec{Type: "b"}).ID
	var first []call
	for range 6 {
		first = append(first, <-x.calls)
	}
	c := <-x.calls
	if c.t.Type != "b" {
		t.Fatalf("behind the backlog of a came another %q", c.t.Type)
	}
	if err := c.r.Started([]byte("h"), "nb"); err != nil {
		t.Fatal(err)
	}
	c.done <- nil
	if got := r.wait(b); got.State != task.Succeeded {
		t.Errorf("b %s", got.State)
	}
	// One of a ends, and the next takes its place.
	if err := first[0].r.Started([]byte("h"), "na"); err != nil {
		t.Fatal(err)
	}
	first[0].done <- nil
	if c := <-x.calls; c.t.Type != "a" {
		t.Errorf("the next is a %q", c.t.Type)
	}
	// More nodes come, and with them more of the backlog.
	x.offer(sdk.Info{Deferred: true, Slots: 100, Types: types("a", "b"), Nodes: []sdk.Node{node("na", 4, "a"), node("nc", 16, "a"), node("nb", 1, "b")}})
	r.until("a has its larger share", func() bool { return r.Executors()[0].Used == 20+5+1 })
}

// A task of high priority goes before what waits, since little of that was handed on.
func TestPriorityHoldsOnAFleet(t *testing.T) {
	x := nodes{newOffering(sdk.Info{Deferred: true, Slots: 100, Types: types("a"), Nodes: []sdk.Node{node("n", 1, "a")}}), make(chan call, 100)}
	r := start(t, openStore(t, t.TempDir()), engine.Options{Executors: []registry.Binding{{Name: "x", Executor: x, Source: source{changed: x.changed}}}})
	for range 50 {
		r.submit(task.Spec{Type: "a"})
	}
	first := <-x.calls
	<-x.calls // in reserve
	high := r.submit(task.Spec{Type: "a", Priority: 9}).ID
	if err := first.r.Started([]byte("h"), "n"); err != nil {
		t.Fatal(err)
	}
	first.done <- nil
	if c := <-x.calls; c.t.ID != high.String() {
		t.Errorf("the next is %s, want the one of high priority", c.t.ID)
	}
}

// What is handed out follows from what the nodes that are there can run of a type: not
// from nodes that are gone or draining, nor from slots that belong to other types.
func TestNodesThatTakeNothingDoNotCount(t *testing.T) {
	split := node("split", 10, "a", "b")
	split.TypeSlots = map[string]int{"a": 2, "b": 8}
	gone, draining := node("gone", 40, "a"), node("draining", 40, "a")
	gone.Gone, draining.Draining = true, true
	x := nodes{newOffering(sdk.Info{Deferred: true, Slots: 100, Types: types("a", "b"), Nodes: []sdk.Node{split, gone, draining}}), make(chan call, 100)}
	r := start(t, openStore(t, t.TempDir()), engine.Options{Executors: []registry.Binding{{Name: "x", Executor: x, Source: source{changed: x.changed}}}})
	for range 50 {
		r.submit(task.Spec{Type: "a"})
	}
	b := r.submit(task.Spec{Type: "b"}).ID
	of := map[string]int{}
	for range 2 + 1 + 1 { // a's two slots with the reserve, and b
		of[(<-x.calls).t.Type]++
	}
	if of["a"] != 3 || of["b"] != 1 {
		t.Errorf("handed out: %v; b is %s", of, b)
	}
	if used := r.Executors()[0].Used; used != 4 {
		t.Errorf("%d slots are used", used)
	}
}
