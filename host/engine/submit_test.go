package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/engine"
	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/sqlite"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

func TestSubmitRefusals(t *testing.T) {
	type in struct {
		N int `json:"n"`
	}
	g := newGate()
	x, _ := sdk.NewScripts(
		sdk.Func("typed", func(context.Context, in, sdk.Reporter) (int, error) { return 0, nil }),
		script("work", g.run))
	r := start(t, openStore(t, t.TempDir()), engine.Options{
		Types:     map[string]task.TypeConfig{"work": {QueueLimit: 1, MaxInput: 10}},
		Executors: []registry.Binding{{Name: "x", Slots: 1, Executor: x}},
	})
	for _, c := range []struct {
		spec  task.Spec
		code  task.Code
		place string
	}{
		{task.Spec{Type: "nope"}, task.CodeUnknownType, "/type"},
		{task.Spec{Type: "work", Executor: "y"}, task.CodeInvalidRequest, "/executor"},
		{task.Spec{Type: "typed", Input: json.RawMessage(`{"n":"x"}`)}, task.CodeInvalidInput, "/input/n"},
		{task.Spec{Type: "typed", Input: json.RawMessage(`{"n":1,"m":2}`)}, task.CodeInvalidInput, "/input"},
		{task.Spec{Type: "work", Input: json.RawMessage(`"12345678901"`)}, task.CodeTooLarge, "/input"},
		{task.Spec{Type: "work", Input: json.RawMessage(`{`)}, task.CodeInvalidInput, "/input"},
		{task.Spec{Type: "work", Deadline: time.Now().Add(-time.Second)}, task.CodeInvalidRequest, "/deadline"},
	} {
		_, _, err := r.Submit(t.Context(), me, []task.Spec{c.spec}, nil)
		var e *task.Error
		if !errors.As(err, &e) || e.Code != c.code || len(e.Fields) == 0 || e.Fields[0].Place() != c.place {
			t.Errorf("%+v: %v (%+v), want %s at %s", c.spec, err, e, c.code, c.place)
		}
	}
	r.submit(task.Spec{})
	<-g.began
	r.submit(task.Spec{})
	if _, _, err := r.Submit(t.Context(), me, []task.Spec{{Type: "work"}}, nil); task.CodeOf(err) != task.CodeQueueFull {
		t.Errorf("a full queue: %v", err)
	}
	close(g.let)
}

func TestSubmitOnce(t *testing.T) {
	r := scripts(t, 4, nil, script("work", func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) { return sdk.Result{}, nil }))
	idem := &task.Idempotency{Owner: "me", Key: "k", Hash: [32]byte{1}}
	a, _, err := r.Submit(t.Context(), me, []task.Spec{{Type: "work"}}, idem)
	if err != nil {
		t.Fatal(err)
	}
	b, replayed, err := r.Submit(t.Context(), me, []task.Spec{{Type: "work"}}, idem)
	if err != nil || !replayed || a[0].ID != b[0].ID {
		t.Errorf("second: %v, replayed %v", err, replayed)
	}
	if _, _, err := r.Submit(t.Context(), me, []task.Spec{{Type: "work"}}, &task.Idempotency{Owner: "me", Key: "k", Hash: [32]byte{2}}); task.CodeOf(err) != task.CodeIdempotencyMismatch {
		t.Errorf("another request under the key: %v", err)
	}
	if s := r.Executors()[0]; s.Used != 0 {
		r.wait(a[0].ID)
	}
}

// What is sent again is answered, though it would be refused if it were new.
func TestReplayComesBeforeRefusal(t *testing.T) {
	g := newGate()
	r := scripts(t, 1, map[string]task.TypeConfig{"work": {QueueLimit: 1}}, script("work", g.run))
	r.submit(task.Spec{})
	<-g.began
	idem := &task.Idempotency{Owner: "me", Key: "k", Hash: [32]byte{1}}
	first, _, err := r.Submit(t.Context(), me, []task.Spec{{Type: "work"}}, idem)
	if err != nil {
		t.Fatal(err)
	}
	again, replayed, err := r.Submit(t.Context(), me, []task.Spec{{Type: "work"}}, idem)
	if err != nil || !replayed || again[0].ID != first[0].ID {
		t.Errorf("with the queue full: %v, replayed %v", err, replayed)
	}
	close(g.let)
	r.wait(first[0].ID)
}

// starting is an executor whose process is not there yet.
func starting() task.ExecutorStatus { return task.ExecutorStatus{State: task.ExecutorStarting} }

func TestPinnedExecutorThatIsStartingIsNoFaultOfTheRequest(t *testing.T) {
	x, _ := sdk.NewScripts(script("work", newGate().run))
	r := start(t, openStore(t, t.TempDir()), engine.Options{Executors: []registry.Binding{{Name: "x", Executor: x}, {Name: "slow", Executor: x, Source: source{status: starting}}}})
	_, _, err := r.Submit(t.Context(), me, []task.Spec{{Type: "work", Executor: "slow"}}, nil)
	if task.CodeOf(err) != task.CodeExecutorUnavailable {
		t.Errorf("got %v", err)
	}
}

func TestReplayOfADeletedTask(t *testing.T) {
	r := scripts(t, 4, nil, script("work", func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) { return sdk.Result{}, nil }))
	idem := &task.Idempotency{Owner: "me", Key: "k", Hash: [32]byte{1}}
	ts, _, err := r.Submit(t.Context(), me, []task.Spec{{Type: "work"}}, idem)
	if err != nil {
		t.Fatal(err)
	}
	r.wait(ts[0].ID)
	if err := r.Delete(t.Context(), me, ts[0].ID); err != nil {
		t.Fatal(err)
	}
	again, replayed, err := r.Submit(t.Context(), me, []task.Spec{{Type: "work"}}, idem)
	if err != nil || !replayed || again[0].ID != ts[0].ID || again[0].State != task.None {
		t.Errorf("got %+v, %v", again, err)
	}
}

// A queue is full for those who pin an executor as well.
func TestQueueLimitHoldsForPinnedTasks(t *testing.T) {
	g := newGate()
	x, _ := sdk.NewScripts(script("work", g.run))
	r := start(t, openStore(t, t.TempDir()), engine.Options{
		Types:     map[string]task.TypeConfig{"work": {QueueLimit: 1}},
		Executors: []registry.Binding{{Name: "x", Slots: 1, Executor: x}, {Name: "y", Slots: 1, Executor: x}},
	})
	r.submit(task.Spec{Executor: "y"})
	<-g.began
	r.submit(task.Spec{Executor: "y"})
	if _, _, err := r.Submit(t.Context(), me, []task.Spec{{Type: "work", Executor: "y"}}, nil); task.CodeOf(err) != task.CodeQueueFull {
		t.Errorf("a full queue: %v", err)
	}
	close(g.let)
}

// TestIDsDifferInTheirBeginnings: what tools show of an id names one task, however many
// were submitted in the same moment.
func TestIDsDifferInTheirBeginnings(t *testing.T) {
	r := scripts(t, 1, nil, script("noop", newGate().run))
	specs := make([]task.Spec, 5000)
	for i := range specs {
		specs[i] = task.Spec{Type: "noop", RunAt: time.Now().Add(time.Hour)}
	}
	seen := map[string]bool{}
	for range 2 {
		tasks, _, err := r.Submit(t.Context(), me, specs, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := range tasks {
			seen[tasks[i].ID.String()[:task.IDBeginning]] = true
		}
		last := tasks[len(tasks)-1].ID
		if got, err := r.ByPrefix(t.Context(), me, last.String()[:task.IDBeginning]); err != nil || got.ID != last {
			t.Errorf("by its beginning %s is %s, %v", last, got.ID, err)
		}
	}
	if len(seen) != 2*len(specs) {
		t.Errorf("%d tasks have %d beginnings", 2*len(specs), len(seen))
	}
}

// waitingStore says that something is ready in all lanes, and counts how often it was asked
// before tasks came.
type waitingStore struct {
	*sqlite.Store
	asked, before atomic.Int64
}

func (s *waitingStore) Ready(context.Context, []task.LaneID) (int64, error) {
	s.asked.Add(1)
	return 1, nil
}

func (s *waitingStore) Insert(ctx context.Context, sub task.Submission) (task.Receipt, error) {
	s.before.Store(s.asked.Load())
	return s.Store.Insert(ctx, sub)
}

// TestTasksBehindOneThatWaits: of new tasks that could have the same slots one is enough to find
// that others wait for them; tasks of another type are looked at for themselves.
func TestTasksBehindOneThatWaits(t *testing.T) {
	store := &waitingStore{Store: openStore(t, t.TempDir())}
	nothing := func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) { return sdk.Result{}, nil }
	x, err := sdk.NewScripts(script("work", nothing), script("other", nothing))
	if err != nil {
		t.Fatal(err)
	}
	e := engine.New(engine.Options{Store: store, Executors: []registry.Binding{{Name: "x", Plugin: "scripts", Slots: 1000, Executor: x}}})
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close(context.Background()) })
	specs := append(slices.Repeat([]task.Spec{{Type: "work"}}, 500), slices.Repeat([]task.Spec{{Type: "other"}}, 500)...)
	asked := store.asked.Load()
	tasks, _, err := e.Submit(t.Context(), me, specs, nil)
	if err != nil {
		t.Fatal(err)
	}
	if n := store.before.Load() - asked; n < 2 || n > 100 { // a dispatcher may ask meanwhile
		t.Errorf("it was asked %d times whether others wait", n)
	}
	for i := range tasks {
		if tasks[i].State != task.Pending {
			t.Fatalf("task %d is %s", i, tasks[i].State)
		}
	}
}
