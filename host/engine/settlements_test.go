package engine_test

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/engine"
	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/sqlite"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// slowStore holds up the first ends that are to be written, and counts with how many
// operations they all are.
type slowStore struct {
	*sqlite.Store
	held chan struct{} // closed: go on
	came chan struct{} // receives when one is held up

	mu    sync.Mutex
	sizes []int
}

func (s *slowStore) Apply(ctx context.Context, cs []task.Change) []error {
	s.mu.Lock()
	s.sizes = append(s.sizes, len(cs))
	s.mu.Unlock()
	select {
	case s.came <- struct{}{}:
	default:
	}
	<-s.held
	return s.Store.Apply(ctx, cs)
}

// What ends while ends are written is written together: with one more operation, whatever
// its number. One of them whose task somebody else has changed is settled all the same.
func TestEndsAreWrittenTogether(t *testing.T) {
	const tasks = 100
	store := &slowStore{Store: openStore(t, t.TempDir()), held: make(chan struct{}), came: make(chan struct{}, 2)}
	end := make(chan struct{})
	var began sync.WaitGroup
	began.Add(tasks)
	x, err := sdk.NewScripts(script("work", func(ctx context.Context, st sdk.Task, _ sdk.Reporter) (sdk.Result, error) {
		began.Done()
		if string(st.Input) != "1" {
			<-end
		}
		return sdk.Text("done"), nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	e := engine.New(engine.Options{Store: store, Executors: []registry.Binding{{Name: "x", Plugin: "scripts", Slots: tasks, Executor: x}}})
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close(context.Background()) })
	r := &rig{e, t, store.Store}
	var ids []task.ID
	for i := range tasks {
		input := "0"
		if i < 2 { // as many as are written at once
			input = "1"
		}
		ids = append(ids, r.submit(task.Spec{Input: []byte(input)}).ID)
		if i < 2 {
			<-store.came
		}
	}
	began.Wait()
	changed := r.get(ids[50])
	c, err := task.Checkpointed(&changed, []byte("by another"), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Store.Apply(t.Context(), []task.Change{c})[0]; err != nil {
		t.Fatal(err)
	}
	close(end)
	r.until("all ends but two wait to be written", func() bool { return e.ComingEnds() == tasks-2 })
	close(store.held)
	for i, id := range ids {
		if got := r.wait(id); got.State != task.Succeeded || i == 50 && string(got.Checkpoint) != "by another" {
			t.Errorf("task %d is %s with checkpoint %q", i, got.State, got.Checkpoint)
		}
	}
	store.mu.Lock()
	defer store.mu.Unlock()
	if len(store.sizes) > 5 { // two, those that waited, and two tries at the one that was changed
		t.Errorf("%d ends were written by operations of %v", tasks, store.sizes)
	}
}

// An attempt that ends while a cancel of its task is on the way to the disk is settled once
// that is there.
func TestEndDuringACancel(t *testing.T) {
	store := &slowStore{Store: openStore(t, t.TempDir()), held: make(chan struct{}), came: make(chan struct{}, 1)}
	end := make(chan struct{})
	x, err := sdk.NewScripts(script("work", func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) {
		<-end
		return sdk.Text("done"), nil
	}))
	if err != nil {
		t.Fatal(err)
	}
	e := engine.New(engine.Options{Store: store, Executors: []registry.Binding{{Name: "x", Plugin: "scripts", Slots: 1, Executor: x}}})
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close(context.Background()) })
	r := &rig{e, t, store.Store}
	id := r.submit(task.Spec{}).ID
	canceled := make(chan error, 1)
	go func() {
		_, err := e.Cancel(context.Background(), task.Scope{All: true}, id)
		canceled <- err
	}()
	<-store.came
	close(end)
	r.until("its end was taken up", func() bool { return e.IdleRunners() == 1 })
	close(store.held)
	if err := <-canceled; err != nil {
		t.Error(err)
	}
	if got := r.wait(id); got.State != task.Succeeded || got.CancelRequestedAt.IsZero() {
		t.Errorf("it is %s, with a cancel requested at %s", got.State, got.CancelRequestedAt)
	}
}
