package host_test

import (
	"context"
	"encoding/json"
	"path/filepath"
	"testing"

	"github.com/taskhost/taskhost/host"
	"github.com/taskhost/taskhost/host/task"
	remotequeue "github.com/taskhost/taskhost/plugins/remote-queue"
	"github.com/taskhost/taskhost/sdk"
)

// fleetWorker runs a type whose tasks end when gate is closed.
func fleetWorker(t *testing.T, data, name, typ string, slots int, gate <-chan struct{}) (stop func()) {
	t.Helper()
	e, err := sdk.NewScripts(sdk.Func(typ, func(ctx context.Context, _ any, _ sdk.Reporter) (string, error) {
		select {
		case <-gate:
			return name, nil
		case <-ctx.Done():
			return "", context.Cause(ctx)
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
	w, err := remotequeue.NewWorker(remotequeue.WorkerOptions{Name: name, Join: data, Local: []remotequeue.Local{{Name: "l", Executor: e, Slots: slots}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = w.Run(ctx) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

// What waits for workers that are gone holds none of the fleet's slots, and shows so.
func TestSlotsOfWorkersThatAreGone(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	h, err := host.Open(t.Context(), host.Options{DataDir: data, Builtins: []sdk.Plugin{remotequeue.Plugin("test")},
		Executors: []task.ExecutorConfig{{Name: "fleet", Plugin: "remote-queue", Slots: 4, Config: json.RawMessage(`{"heartbeat":"100ms","lapse":"6s"}`)}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	never, at := make(chan struct{}), make(chan struct{})
	close(at)
	stop := fleetWorker(t, data, "wa", "a", 2, never)
	fleetWorker(t, data, "wb", "b", 10, at)
	available := func(typ string) bool {
		for _, s := range h.Tasks().Types(host.DefaultScope()) {
			if s.Name == typ {
				return s.Available
			}
		}
		return false
	}
	until(t, "both types are served", func() bool { return available("a") && available("b") })
	submit := func(typ string, n int) (ids []task.ID) {
		specs := make([]task.Spec, n)
		for i := range specs {
			specs[i].Type = typ
		}
		ts, _, err := h.Tasks().Submit(t.Context(), host.DefaultScope(), specs, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := range ts {
			ids = append(ids, ts[i].ID)
		}
		return ids
	}
	waits := submit("a", 8)
	used := func() int { return h.Tasks().Executors()[0].Used }
	until(t, "two of a run", func() bool { // and none is between the host's word and its start
		n := 0
		for _, id := range waits {
			if got, err := h.Tasks().Get(t.Context(), host.DefaultScope(), id); err == nil && got.State == task.Running {
				n++
			}
		}
		return n == 2
	})
	stop()
	until(t, "a's slots are free", func() bool { return used() == 0 })
	until(t, "a shows that nobody serves it", func() bool { return !available("a") })
	for _, id := range submit("b", 8) {
		if got, err := h.Tasks().Wait(t.Context(), host.DefaultScope(), id); err != nil || got.State != task.Succeeded {
			t.Errorf("b: %s, %v", got.State, err)
		}
	}
	for _, id := range waits {
		var got task.Task
		until(t, "a task of a waits for its executor", func() bool { // after the rest of an attempt that cost nothing
			got, err = h.Tasks().Get(t.Context(), host.DefaultScope(), id)
			return err != nil || got.Waiting == task.WaitExecutor
		})
		if err != nil || got.State != task.Pending || got.Lost != 0 || got.Failures != 0 {
			t.Errorf("a: %s, %d lost, %d failures, %v", got.State, got.Lost, got.Failures, err)
		}
		if want := `no worker of executor "fleet" offers task type "a"; gone is wa`; got.WaitReason != want {
			t.Errorf("a waits: %s, want %s", got.WaitReason, want)
		}
	}
}
