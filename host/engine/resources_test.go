package engine_test

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/engine"
	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/sqlite"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// Who runs beside whom is what their resources let them, across types, whoever comes first.
func TestResourcesOrderTasks(t *testing.T) {
	var mu sync.Mutex
	var order []string
	say := func(what string) { mu.Lock(); order = append(order, what); mu.Unlock() }
	gates := map[string]chan struct{}{}
	for _, name := range []string{`"t1"`, `"t2"`, `"t3"`, `"t4"`, `"t5"`} {
		gates[name] = make(chan struct{})
	}
	began := make(chan string, 5)
	run := func(_ context.Context, st sdk.Task, _ sdk.Reporter) (sdk.Result, error) {
		name := string(st.Input)
		say("begin " + name)
		began <- name
		<-gates[name]
		say("end " + name)
		return sdk.Result{}, nil
	}
	r := scripts(t, 10, nil, script("a", run), script("b", run))
	submit := func(name, taskType string, res task.Resources) task.Task {
		return r.submit(task.Spec{Type: taskType, Input: []byte(`"` + name + `"`), Resources: res})
	}
	t1 := submit("t1", "a", task.Resources{Exclusive: []string{"A"}, Shared: []string{"B"}})
	submit("t2", "b", task.Resources{Shared: []string{"A"}})
	submit("t3", "a", task.Resources{Shared: []string{"A"}})
	t4 := submit("t4", "b", task.Resources{Exclusive: []string{"A"}})
	t5 := submit("t5", "a", task.Resources{Exclusive: []string{"B"}})
	if got := <-began; got != `"t1"` {
		t.Fatalf("%s began first", got)
	}
	if got, err := r.Get(t.Context(), me, t4.ID); err != nil || got.Waiting != task.WaitResource || !slices.Equal(got.BlockedBy, []task.ID{t1.ID}) {
		t.Errorf("t4 waits for %s, blocked by %v, %v", got.Waiting, got.BlockedBy, err)
	}
	close(gates[`"t1"`])
	three := []string{<-began, <-began, <-began}
	slices.Sort(three)
	if !slices.Equal(three, []string{`"t2"`, `"t3"`, `"t5"`}) {
		t.Fatalf("after t1 began %v", three)
	}
	close(gates[`"t2"`])
	close(gates[`"t3"`])
	if got := <-began; got != `"t4"` {
		t.Fatalf("%s began last", got)
	}
	close(gates[`"t4"`])
	close(gates[`"t5"`])
	r.wait(t4.ID)
	r.wait(t5.ID)
	mu.Lock()
	defer mu.Unlock()
	at := func(what string) int { return slices.Index(order, what) }
	if at(`end "t1"`) > at(`begin "t5"`) || at(`begin "t4"`) < max(at(`end "t2"`), at(`end "t3"`)) {
		t.Errorf("the order was %v", order)
	}
}

// Whoever gets a resource is started because it got it, and by no poll, whichever executor is
// to run it; also if what held it back was no holder, but a task that left the queue.
func TestWhoGetsAResourceIsStarted(t *testing.T) {
	gate := make(chan struct{})
	hold, err := sdk.NewScripts(script("hold", func(ctx context.Context, _ sdk.Task, _ sdk.Reporter) (sdk.Result, error) {
		select {
		case <-gate:
		case <-ctx.Done():
		}
		return sdk.Result{}, nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	work, err := sdk.NewScripts(script("work", nothing))
	if err != nil {
		t.Fatal(err)
	}
	r := unpolled(t, engine.Options{Executors: []registry.Binding{{Name: "x", Slots: 4, Executor: hold}, {Name: "y", Slots: 4, Executor: work}}})
	sharing := task.Resources{Shared: []string{"r"}}
	alone := task.Resources{Exclusive: []string{"r"}}
	r.submit(task.Spec{Type: "hold", Resources: sharing})
	first := r.submit(task.Spec{Resources: alone})
	behind := r.submit(task.Spec{Resources: sharing})
	if got := r.get(behind.ID); got.Waiting != task.WaitResource {
		t.Fatalf("it is %s and waits for %s", got.State, got.Waiting)
	}
	if _, err := r.Cancel(t.Context(), me, first.ID); err != nil {
		t.Fatal(err)
	}
	r.wait(behind.ID)
	last := r.submit(task.Spec{Resources: alone})
	close(gate)
	r.wait(last.ID)
}

// thenStore is a store in which something happens once new tasks are on record, before whoever
// submitted them hears of it.
type thenStore struct {
	*sqlite.Store
	then func()
}

func (s *thenStore) Insert(ctx context.Context, sub task.Submission) (task.Receipt, error) {
	receipt, err := s.Store.Insert(ctx, sub)
	if s.then != nil {
		s.then()
	}
	return receipt, err
}

// A submit is answered with who has what its task waits for; and one whose task was given it
// meanwhile is answered with a task that does not wait for it.
func TestSubmitTellsWhoHasTheResource(t *testing.T) {
	s := &thenStore{Store: openStore(t, t.TempDir())}
	g := newGate()
	x, _ := sdk.NewScripts(script("work", g.run))
	e := engine.New(engine.Options{Store: s, Executors: []registry.Binding{{Name: "x", Slots: 1, Executor: x}}, DrainTimeout: time.Millisecond})
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close(context.Background()) })
	r := &rig{e, t, s.Store}
	alone := task.Resources{Exclusive: []string{"r"}}
	r.submit(task.Spec{})
	<-g.began // the only slot is taken: nothing ends by itself
	holder := r.submit(task.Spec{Resources: alone})
	second := r.submit(task.Spec{Resources: alone, Key: "second"})
	for what, read := range map[string]func() (task.Task, error){
		"the submit":       func() (task.Task, error) { return second, nil },
		"a read":           func() (task.Task, error) { return r.Get(t.Context(), me, second.ID) },
		"a read by key":    func() (task.Task, error) { return r.ByKey(t.Context(), me, "work", "second") },
		"a change":         func() (task.Task, error) { return r.Reprioritize(t.Context(), me, second.ID, 3) },
		"a wait that ends": func() (task.Task, error) { return r.Wait(ended(), me, second.ID) },
	} {
		if got, err := read(); err != nil || got.Waiting != task.WaitResource || !slices.Equal(got.BlockedBy, []task.ID{holder.ID}) {
			t.Errorf("%s says that it waits for %s, of %v, %v", what, got.Waiting, got.BlockedBy, err)
		}
	}
	s.then = func() {
		for _, id := range []task.ID{second.ID, holder.ID} {
			if _, err := e.Cancel(t.Context(), me, id); err != nil {
				t.Error(err)
			}
		}
	}
	if last := r.submit(task.Spec{Resources: alone}); last.Waiting != task.WaitQueued || last.BlockedBy != nil {
		t.Errorf("it waits for %s, of %v", last.Waiting, last.BlockedBy)
	}
}

// ended is a context whose time is up.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
