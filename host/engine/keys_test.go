package engine_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/engine"
	"github.com/taskhost/taskhost/host/group"
	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// TestKeyConflicts: what is asked for about a key that another has is done in the commit, a
// slot that was reserved for what is not written is free again, and watchers of what was
// replaced hear of it.
func TestKeyConflicts(t *testing.T) {
	g := newGate()
	r := scripts(t, 1, nil, script("work", g.run))
	first := r.submit(task.Spec{Key: "k"})
	<-g.began
	if got := r.submit(task.Spec{Key: "k", OnConflict: task.ConflictExisting}); got.ID != first.ID || got.Existing() != first.ID || got.State != task.Running {
		t.Fatalf("the existing task is %s, %s", got.ID, got.State)
	}
	_, _, err := r.Submit(t.Context(), me, []task.Spec{{Type: "work", Key: "k", OnConflict: task.ConflictReplace}}, nil)
	if task.CodeOf(err) != task.CodeConflict || !strings.Contains(err.Error(), first.ID.String()) {
		t.Fatalf("a task that runs is replaced: %v", err)
	}
	waiting := r.submit(task.Spec{Key: "w"})
	updates, err := r.Watch(t.Context(), me, waiting.ID)
	if err != nil {
		t.Fatal(err)
	}
	replaced := r.submit(task.Spec{Key: "w", OnConflict: task.ConflictReplace})
	if u := <-updates; u.Event == nil || u.Event.To != task.Canceled || u.Event.By != "me" {
		t.Fatalf("a watcher of what was replaced heard %+v", u)
	}
	if was := r.get(waiting.ID); was.State != task.Canceled || was.Key != "" || was.StartedAt != (time.Time{}) {
		t.Fatalf("what was replaced: %+v", was)
	}
	g.let <- struct{}{}
	r.wait(first.ID)
	<-g.began
	g.let <- struct{}{}
	r.wait(replaced.ID)

	// The only slot is free: it is reserved for each of these, and given back.
	for range 3 {
		if got := r.submit(task.Spec{Key: "k", OnConflict: task.ConflictExisting}); got.ID != first.ID || got.State != task.Succeeded {
			t.Fatalf("the existing task is %s, %s", got.ID, got.State)
		}
	}
	last := r.submit(task.Spec{Key: "k", OnConflict: task.ConflictReplace})
	if <-g.began; r.get(first.ID).Key != "" || r.get(first.ID).State != task.Succeeded {
		t.Fatalf("a final task that was replaced: %+v", r.get(first.ID))
	}
	g.let <- struct{}{}
	r.wait(last.ID)
}

// TestReplaceWhatWasHandedOn: an attempt that was handed on and has not begun is withdrawn
// when its task is replaced.
func TestReplaceWhatWasHandedOn(t *testing.T) {
	x := &remote{calls: make(chan call, 2)}
	r := start(t, openStore(t, t.TempDir()), engine.Options{Executors: []registry.Binding{{Name: "x", Slots: 1, Executor: x}}})
	first := r.submit(task.Spec{Key: "k"})
	a := <-x.calls
	second := r.submit(task.Spec{Key: "k", OnConflict: task.ConflictReplace})
	select {
	case <-a.ctx.Done():
	case <-time.After(20 * time.Second):
		t.Fatal("the attempt of what was replaced was not withdrawn")
	}
	if was := r.get(first.ID); was.State != task.Canceled {
		t.Fatalf("what was replaced is %s", was.State)
	}
	a.done <- sdk.ErrReleased
	a = <-x.calls // it found the slot
	a.done <- nil
	r.wait(second.ID)
}

// TestKeyOfAFinisher: a finisher has a key like others, and what it asks for about a conflict
// is done.
func TestKeyOfAFinisher(t *testing.T) {
	r := scripts(t, 10, nil, script("work", func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) { return sdk.Result{}, nil }))
	kept := r.submit(task.Spec{Key: "k"})
	r.wait(kept.ID)
	spec := task.Spec{Type: "work", Key: "k", OnConflict: task.ConflictExisting}
	g, _, err := r.SubmitGroup(t.Context(), me, group.Spec{OnFinished: &spec}, []task.Spec{{Type: "work"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.until("the group has a finisher", func() bool {
		g, err = r.Group(t.Context(), me, g.ID)
		return err == nil && !g.Finisher.IsZero()
	})
	if g.Finisher != kept.ID {
		t.Errorf("the finisher is %s, want the task that has its key", g.Finisher)
	}
	members := []task.Spec{{Type: "work"}, spec}
	if _, _, err = r.SubmitGroup(t.Context(), me, group.Spec{}, members, nil); task.CodeOf(err) != task.CodeInvalidRequest {
		t.Errorf("a member that is another's: %v", err)
	}

	// A finisher whose key is taken waits for it, and holds up nobody.
	refused := task.Spec{Type: "work", Key: "k"}
	if g, _, err = r.SubmitGroup(t.Context(), me, group.Spec{OnFinished: &refused}, []task.Spec{{Type: "work"}}, nil); err != nil {
		t.Fatal(err)
	}
	r.until("the group is finished", func() bool {
		g, err = r.Group(t.Context(), me, g.ID)
		return err == nil && g.State() == group.Finished
	})
	if err := r.Delete(t.Context(), me, kept.ID); err != nil {
		t.Fatal(err)
	}
	r.until("the finisher is submitted", func() bool {
		g, err = r.Group(t.Context(), me, g.ID)
		return err == nil && !g.Finisher.IsZero()
	})
	if p, err := r.List(t.Context(), me, task.Filter{Key: "k"}); err != nil || !slices.ContainsFunc(p.Tasks, func(t task.Task) bool { return t.ID == g.Finisher }) {
		t.Errorf("of that key there are %+v, %v", p.Tasks, err)
	}
}
