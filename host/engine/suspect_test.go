package engine_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/engine"
	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// A suspect whose goroutine does not come back is settled, and holds up no other.
func TestUnresponsiveSuspectHoldsUpNoOther(t *testing.T) {
	hang, began := make(chan struct{}), make(chan struct{}, 1)
	t.Cleanup(func() { close(hang) })
	x, _ := sdk.NewScripts(script("work", func(_ context.Context, st sdk.Task, _ sdk.Reporter) (sdk.Result, error) {
		switch {
		case st.Attempt == 1:
			return sdk.Result{}, sdk.ErrLost
		case string(st.Input) == `"deaf"`:
			began <- struct{}{}
			<-hang
		}
		return sdk.Result{}, nil
	}))
	r := start(t, openStore(t, t.TempDir()), engine.Options{CancelGrace: 20 * time.Millisecond,
		Executors: []registry.Binding{{Name: "x", Slots: 100, Executor: x}}})
	deaf := r.submit(task.Spec{Input: []byte(`"deaf"`)}).ID
	<-began
	var others []task.ID
	for range 5 {
		others = append(others, r.submit(task.Spec{}).ID)
	}
	if _, err := r.Cancel(t.Context(), me, deaf); err != nil {
		t.Fatal(err)
	}
	if got := r.wait(deaf); got.State != task.Canceled {
		t.Fatalf("the deaf one is %s", got.State)
	}
	for _, id := range others {
		if got := r.wait(id); got.State != task.Succeeded {
			t.Errorf("got %s", got.State)
		}
	}
	// A slot comes back after its task's end is told, so the others' are waited for.
	r.until("only the slot of the goroutine that is still there is in use", func() bool { return r.Executors()[0].Used == 1 })
}

// Suspects of one type do not wait for those of another.
func TestSuspectsOfEachTypeHaveAPlace(t *testing.T) {
	a, b := newGate(), newGate()
	run := func(g *gate) func(ctx context.Context, st sdk.Task, r sdk.Reporter) (sdk.Result, error) {
		return func(ctx context.Context, st sdk.Task, r sdk.Reporter) (sdk.Result, error) {
			if st.Attempt == 1 {
				return sdk.Result{}, sdk.ErrLost
			}
			if !st.Suspect {
				t.Error("the executor is not told that the task is a suspect")
			}
			return g.run(ctx, st, r)
		}
	}
	r := scripts(t, 10, nil, script("a", run(a)), script("b", run(b)))
	first := r.submit(task.Spec{Type: "a"}).ID
	<-a.began
	second := r.submit(task.Spec{Type: "b"}).ID
	<-b.began // though a's has not ended
	close(b.let)
	r.wait(second)
	close(a.let)
	r.wait(first)
}

// Innocent work goes first: a suspect might take it along.
func TestSuspectsGoAfterInnocentWork(t *testing.T) {
	g := newGate()
	var mu sync.Mutex
	var order []string
	r := scripts(t, 1, nil, script("work", func(ctx context.Context, st sdk.Task, rep sdk.Reporter) (sdk.Result, error) {
		switch {
		case string(st.Input) == `"first"`:
			return g.run(ctx, st, rep)
		case string(st.Input) == `"suspect"` && st.Attempt == 1:
			return sdk.Result{}, sdk.ErrLost
		}
		mu.Lock()
		defer mu.Unlock()
		order = append(order, string(st.Input))
		return sdk.Result{}, nil
	}))
	suspect := r.submit(task.Spec{Input: []byte(`"suspect"`), Priority: 5}).ID
	r.wait(suspect) // alone, it runs at once; and again, below, behind others
	order = nil
	r.submit(task.Spec{Input: []byte(`"first"`)})
	<-g.began
	again := r.submit(task.Spec{Input: []byte(`"suspect"`), Priority: 5}).ID
	var others []task.ID
	for range 3 {
		others = append(others, r.submit(task.Spec{Input: []byte(`"innocent"`)}).ID)
	}
	close(g.let)
	r.wait(again)
	for _, id := range others {
		r.wait(id)
	}
	if len(order) != 4 || order[3] != `"suspect"` {
		t.Errorf("ran in the order %v", order)
	}
}

// ran puts a task on record whose first attempt a dead host left running.
func ran(t *testing.T, store task.Store, n byte, lost int, maxLost int) task.ID {
	t.Helper()
	tk, err := task.New(task.ID{n}, "me", task.Spec{Type: "work", MaxLost: &maxLost}, task.DefaultLimits(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	tk = task.Begin(&tk, "x", task.Token{n}, false, time.Now()).Task
	tk.Lost = lost
	if _, err := store.Insert(t.Context(), task.Submission{Tasks: []*task.Task{&tk}}); err != nil {
		t.Fatal(err)
	}
	return tk.ID
}

// noProcess is a process to which nothing can be done.
type noProcess struct{}

func (noProcess) Drain(context.Context) error   { return nil }
func (noProcess) Restart(context.Context) error { return nil }

// What a dead host leaves runs together again: only a second such end is evidence against
// what ran in its process, and none is against what ran in another.
func TestEndOfTheHostAsEvidence(t *testing.T) {
	for name, c := range map[string]struct {
		lost    int
		process registry.Process
		suspect bool
	}{
		"in the host, once":         {lost: 0},
		"in the host, twice":        {lost: 1, suspect: true},
		"in its own process, twice": {lost: 1, process: noProcess{}},
	} {
		t.Run(name, func(t *testing.T) {
			store := openStore(t, t.TempDir())
			var ids []task.ID
			for n := range byte(5) {
				ids = append(ids, ran(t, store, n+1, c.lost, 5))
			}
			g := newGate()
			x, _ := sdk.NewScripts(script("work", func(ctx context.Context, st sdk.Task, r sdk.Reporter) (sdk.Result, error) {
				if st.Suspect != c.suspect {
					t.Errorf("suspect: %v", st.Suspect)
				}
				return g.run(ctx, st, r)
			}))
			r := start(t, store, engine.Options{Executors: []registry.Binding{{Name: "x", Slots: 8, Executor: x, Process: c.process}}})
			if !c.suspect {
				for range ids { // all at once
					<-g.began
				}
			}
			close(g.let)
			for _, id := range ids {
				if got := r.wait(id); got.State != task.Succeeded || got.Lost != c.lost+1 {
					t.Errorf("%s, lost %d", got.State, got.Lost)
				}
			}
		})
	}
}

// A task that was lost runs with no other suspect beside it.
func TestSuspectsRunOneAtATime(t *testing.T) {
	var mu sync.Mutex
	now, most := 0, 0
	r := scripts(t, 8, nil, script("work", func(ctx context.Context, st sdk.Task, _ sdk.Reporter) (sdk.Result, error) {
		if st.Attempt == 1 {
			return sdk.Result{}, sdk.ErrLost
		}
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		time.Sleep(2 * time.Millisecond) // long enough for another to begin, if it were let
		mu.Lock()
		now--
		mu.Unlock()
		return sdk.Result{}, nil
	}))
	var ids []task.ID
	for range 6 {
		ids = append(ids, r.submit(task.Spec{}).ID)
	}
	for _, id := range ids {
		if got := r.wait(id); got.State != task.Succeeded {
			t.Errorf("got %s", got.State)
		}
	}
	if most != 1 {
		t.Errorf("%d suspects ran at once", most)
	}
}
