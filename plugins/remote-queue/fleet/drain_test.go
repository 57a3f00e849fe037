package fleet

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
	"github.com/taskhost/taskhost/plugins/remote-queue/worker"
	"github.com/taskhost/taskhost/sdk"
)

// A script that does not listen to its context holds up neither a drain nor the end of
// its worker, and the host hears that it was interrupted: it may have run in part.
func TestDeafScript(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0", "lapse": "1m"})
	for name, end := range map[string]func(t *testing.T, w *worker.Worker, stop func()){
		"drain out of time": func(t *testing.T, w *worker.Worker, _ func()) {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if err := w.Drain(ctx); err == nil {
				t.Error("the drain says that all has finished")
			}
		},
		"drain canceled": func(t *testing.T, w *worker.Worker, _ func()) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := w.Drain(ctx); err == nil {
				t.Error("the drain says that all has finished")
			}
		},
		"stopped": func(_ *testing.T, w *worker.Worker, stop func()) { stop() },
	} {
		t.Run(name, func(t *testing.T) {
			began, hang, through := make(chan struct{}), make(chan struct{}), make(chan struct{})
			e, err := sdk.NewScripts(sdk.Script{TypeInfo: sdk.TypeInfo{Name: "deaf"}, Run: func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) {
				defer close(through)
				close(began)
				<-hang
				return sdk.Result{}, nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			w, err := openWorker(worker.Options{Name: "w1", URL: brokerURL(t, f), Local: []worker.Local{{Name: "local", Executor: e}}, Log: queuetest.Log("w1")})
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			ran := make(chan struct{})
			go func() { defer close(ran); _ = w.Run(ctx) }()
			queuetest.Serves(t, f, "deaf")
			a := execute(t, f, newTask("deaf", `1`))
			<-began
			ended := make(chan struct{})
			go func() { defer close(ended); end(t, w, stop) }()
			for _, c := range []chan struct{}{ended, ran} {
				select {
				case <-c:
				case <-time.After(queuetest.Patience):
					t.Error("the worker does not end")
				}
			}
			close(hang)
			<-through
			a.wait(t, sdk.OutcomeInterrupted)
			queuetest.Eventually(t, "the worker is gone", func() bool { return f.present(t) == 0 })
		})
	}
}

// A draining worker finishes what runs and takes nothing more.
func TestDrain(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0", "lapse": "1m"})
	url := brokerURL(t, f)
	g := queuetest.NewGates()
	w := gateWorker(t, g, worker.Options{URL: url})
	queuetest.Serves(t, f, "gate")
	runs := execute(t, f, newTask("gate", `"runs"`))
	<-g.Began
	if err := f.ControlNode(t.Context(), "nobody", "drain"); err == nil {
		t.Error("a worker that is not there was drained")
	}
	for _, step := range []struct {
		action  string
		nothing bool
	}{{"resume", true}, {"drain", false}, {"drain", true}} {
		err := f.ControlNode(t.Context(), "w1", step.action)
		if nothing := errors.Is(err, sdk.ErrNodeUnchanged); nothing != step.nothing || err != nil && !nothing {
			t.Fatalf("%s: %v", step.action, err)
		}
	}
	i, err := f.Describe(t.Context())
	if err != nil || len(i.Nodes) != 1 || !i.Nodes[0].Draining || len(i.Nodes[0].Running) != 1 || !i.Types[0].Unavailable {
		t.Errorf("shown at once as draining: %+v, %v", i, err)
	}
	later := execute(t, f, newTask("gate", `"later"`))
	drained := make(chan error, 1)
	go func() { drained <- w.Drain(t.Context()) }()
	g.Release("runs")
	runs.wait(t, sdk.OutcomeSucceeded)
	if err := <-drained; err != nil {
		t.Fatal(err)
	}
	if n := g.Count("later"); n != 0 {
		t.Errorf("a draining worker began something new")
	}
	gateWorker(t, g, worker.Options{Name: "w2", URL: url})
	g.Release("later")
	if later.wait(t, sdk.OutcomeSucceeded); later.node != "w2" {
		t.Errorf("it ran on %q", later.node)
	}
}

// A drain that takes too long interrupts what still runs.
func TestDrainBounded(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0"})
	g := queuetest.NewGates()
	w := gateWorker(t, g, worker.Options{URL: brokerURL(t, f)})
	queuetest.Serves(t, f, "gate")
	a := execute(t, f, newTask("gate", `"k"`))
	<-g.Began
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := w.Drain(ctx); err == nil {
		t.Error("the drain says that all is finished")
	}
	a.wait(t, sdk.OutcomeInterrupted)
	if err := g.Ended("k"); !errors.Is(err, sdk.ErrDetach) {
		t.Errorf("the script was told %v", err)
	}
}
