package engine_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/taskhost/taskhost/host/engine"
	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// What failed last is told over a restart of the host: the latest first, ten at the most,
// and none that is failed no more.
func TestWhatFailedLastIsTold(t *testing.T) {
	fails := script("fails", func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) {
		return sdk.Result{}, sdk.Permanent(errors.New("no"))
	})
	x, err := sdk.NewScripts(fails)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	o := engine.Options{Executors: []registry.Binding{{Name: "x", Slots: 1, Executor: x}}}
	store := openStore(t, dir)
	r := start(t, store, o)
	var want []task.ID
	for range 12 {
		id := r.submit(task.Spec{Type: "fails"}).ID
		r.wait(id)
		want = append([]task.ID{id}, want...)
	}
	if err := r.Delete(t.Context(), me, want[1]); err != nil {
		t.Fatal(err)
	}
	want = append(want[:1], want[2:11]...)
	failed := func() (ids []task.ID) {
		s := r.Status(t.Context(), me)
		if s.StoreFault != nil || s.Unready != nil || s.Store.Bytes == 0 {
			t.Fatalf("%+v", s)
		}
		for i := range s.Failed {
			ids = append(ids, s.Failed[i].ID)
		}
		return ids
	}
	r.until("what failed is told", func() bool { return fmt.Sprint(failed()) == fmt.Sprint(want) })
	if err := errors.Join(r.Close(t.Context()), store.Close()); err != nil {
		t.Fatal(err)
	}
	r = start(t, openStore(t, dir), o)
	r.until("what failed before is found", func() bool { return fmt.Sprint(failed()) == fmt.Sprint(want) })
	if s := r.Status(t.Context(), task.Scope{Owner: "another"}); len(s.Failed) != 0 {
		t.Errorf("another's: %v", s.Failed)
	}
	again := r.submit(task.Spec{Type: "fails"}).ID
	r.wait(again)
	r.until("it comes first", func() bool { got := failed(); return got[0] == again && got[1] == want[0] })
}
