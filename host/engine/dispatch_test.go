package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/engine"
	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

func TestWaitingTasksRunByPriorityThenAge(t *testing.T) {
	g := newGate()
	r := scripts(t, 1, nil, script("work", g.run))
	r.submit(task.Spec{Input: json.RawMessage(`"first"`)})
	<-g.began
	var last task.ID
	for i, p := range []int{0, 5, 0, 9, 5} {
		last = r.submit(task.Spec{Input: json.RawMessage(fmt.Sprint(i)), Priority: p}).ID
	}
	var order []string
	for range 5 {
		g.let <- struct{}{}
		order = append(order, <-g.began)
	}
	close(g.let)
	if want := []string{"3", "1", "4", "0", "2"}; !slices.Equal(order, want) {
		t.Errorf("ran in order %v, want %v", order, want)
	}
	r.wait(last)
}

func TestScheduledTaskWaitsForItsTime(t *testing.T) {
	r := scripts(t, 4, nil, script("work", func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) { return sdk.Result{}, nil }))
	at := time.Now().Add(150 * time.Millisecond)
	s := r.submit(task.Spec{RunAt: at})
	if s.State != task.Pending || s.Waiting != task.WaitScheduled {
		t.Errorf("got %s, %s", s.State, s.Waiting)
	}
	if got := r.wait(s.ID); got.StartedAt.Before(at) {
		t.Errorf("started at %s, before %s", got.StartedAt, at)
	}
}

func TestPausedExecutorKeepsTasksWaiting(t *testing.T) {
	r := scripts(t, 4, nil, script("work", func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) { return sdk.Result{}, nil }))
	if _, err := r.ControlExecutor(t.Context(), "x", "pause"); err != nil {
		t.Fatal(err)
	}
	id := r.submit(task.Spec{}).ID
	if got := r.get(id); got.State != task.Pending || got.Waiting != task.WaitExecutor {
		t.Errorf("got %s, %s", got.State, got.Waiting)
	}
	if _, err := r.ControlExecutor(t.Context(), "x", "resume"); err != nil {
		t.Fatal(err)
	}
	if got := r.wait(id); got.State != task.Succeeded {
		t.Errorf("got %s", got.State)
	}
}

// routed is a deferred executor with one node of which the test says the zone.
type routed struct {
	remote
	zone atomic.Value
}

func (x *routed) Describe(context.Context) (sdk.Info, error) {
	return sdk.Info{Types: []sdk.TypeInfo{{Name: "work"}}, Deferred: true, Slots: 1,
		Nodes: []sdk.Node{{Name: "n", Types: []string{"work"}, Labels: map[string]string{"zone": x.zone.Load().(string)}}}}, nil
}

// A task waits for the executor, and holds no slot of it, until there is a node of its route.
func TestRouteWithoutNodeWaits(t *testing.T) {
	x := &routed{remote: remote{calls: make(chan call, 10)}}
	x.zone.Store("a")
	changed := make(chan struct{}, 1)
	r := start(t, openStore(t, t.TempDir()), engine.Options{Executors: []registry.Binding{{Name: "x", Executor: x, Source: source{changed: changed}}}})
	far := r.submit(task.Spec{Route: map[string]string{"zone": "b"}})
	if got := r.get(far.ID); got.Waiting != task.WaitExecutor {
		t.Errorf("waits: %s", got.Waiting)
	}
	near := r.submit(task.Spec{Route: map[string]string{"zone": "a"}})
	c := <-x.calls
	if c.t.ID != near.ID.String() {
		t.Errorf("the executor was given %s, want %s", c.t.ID, near.ID)
	}
	if err := c.r.Started([]byte("h"), "n"); err != nil {
		t.Error(err)
	}
	c.done <- nil
	r.wait(near.ID)
	x.zone.Store("b")
	changed <- struct{}{}
	c = <-x.calls
	if c.t.ID != far.ID.String() {
		t.Errorf("the executor was given %s, want %s", c.t.ID, far.ID)
	}
	if err := c.r.Started([]byte("h"), "n"); err != nil {
		t.Error(err)
	}
	c.done <- nil
	r.wait(far.ID)
}

// One line of config moves what waits, and the tasks do not notice.
func TestSetTypesMovesWaitingTasks(t *testing.T) {
	var mu sync.Mutex
	ran := map[string]int{}
	work := func(name string) sdk.Executor {
		x, err := sdk.NewScripts(script("work", func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) {
			mu.Lock()
			defer mu.Unlock()
			ran[name]++
			return sdk.Result{}, nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	r := start(t, openStore(t, t.TempDir()), engine.Options{Executors: []registry.Binding{{Name: "a", Executor: work("a")}, {Name: "b", Executor: work("b")}}})
	if _, err := r.ControlExecutor(t.Context(), "a", "pause"); err != nil {
		t.Fatal(err)
	}
	var ids []task.ID
	for range 20 {
		ids = append(ids, r.submit(task.Spec{}).ID)
	}
	r.SetTypes(map[string]task.TypeConfig{"work": {Executor: "b"}})
	for _, id := range ids {
		if got := r.wait(id); got.State != task.Succeeded || got.Executor != "b" {
			t.Errorf("%s on %s", got.State, got.Executor)
		}
	}
	if ran["a"] != 0 || ran["b"] != len(ids) {
		t.Errorf("ran %v", ran)
	}
}
