package engine_test

import (
	"context"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/engine"
	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/task"
)

// Starts that come while one is written are written together, and each is answered once it is on
// record. One whose task was canceled meanwhile is refused, and holds up no other; so is one of an
// engine that has ended.
func TestStartsAreWrittenTogether(t *testing.T) {
	const tasks = 10
	store := &slowStore{Store: openStore(t, t.TempDir()), held: make(chan struct{}), came: make(chan struct{}, 1)}
	x := &remote{calls: make(chan call, tasks)}
	e := engine.New(engine.Options{Store: store, Executors: []registry.Binding{{Name: "x", Executor: x}}})
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := &rig{e, t, store.Store}
	byID := map[string]call{}
	var ids []task.ID
	for range tasks {
		ids = append(ids, r.submit(task.Spec{}).ID)
		c := <-x.calls
		byID[c.t.ID] = c
	}
	answers := make([]chan error, tasks)
	say := func(i int) {
		answers[i] = make(chan error, 1)
		byID[ids[i].String()].r.StartedSoon([]byte("h"), "w1", func(err error) { answers[i] <- err })
	}
	say(0)
	<-store.came
	c, err := task.Cancel(new(r.get(ids[5])), "another", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if err := store.Store.Apply(t.Context(), []task.Change{c})[0]; err != nil {
		t.Fatal(err)
	}
	for i := 1; i < tasks; i++ {
		say(i)
	}
	select {
	case <-answers[0]:
		t.Error("a start was let go before it was on record")
	default:
	}
	close(store.held)
	for i, id := range ids {
		err := <-answers[i]
		if got := r.get(id); (err == nil) != (i != 5) || i != 5 && (got.State != task.Running || got.Node != "w1" || string(got.Handle) != "h") {
			t.Errorf("start %d: %v, the task is %s on %q", i, err, got.State, got.Node)
		}
	}
	store.mu.Lock()
	if len(store.sizes) > 3 { // one, those that came meanwhile, and one more if it was quick to look
		t.Errorf("%d starts were written by operations of %v", tasks, store.sizes)
	}
	store.mu.Unlock()
	if err := e.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	say(1)
	if err := <-answers[1]; err == nil {
		t.Error("an engine that has ended let an attempt start")
	}
}
