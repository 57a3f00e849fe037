package fleet

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/plugins/remote-queue/worker"
	"github.com/taskhost/taskhost/sdk"
)

// A script with more error details than any message holds fails alone, with the reason.
func TestErrorDetailsBeyondTheBudget(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0"})
	g := queuetest.NewGates()
	e, err := sdk.NewScripts(sdk.Script{TypeInfo: sdk.TypeInfo{Name: "details"}, Run: func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) {
		return sdk.Result{}, sdk.FailedWith(sdk.Outcome{Kind: sdk.OutcomeFailed, Message: "no", Details: queuetest.ManyDetails(20_000, 1000)})
	}})
	if err != nil {
		t.Fatal(err)
	}
	gateWorker(t, g, worker.Options{URL: brokerURL(t, f), Local: []worker.Local{{Name: "local", Executor: g.Executor(t), Slots: 10}, {Name: "more", Executor: e, Slots: 10}}})
	queuetest.Serves(t, f, "details")
	beside := execute(t, f, newTask("gate", `"k"`))
	beside.started(t)
	if out := execute(t, f, newTask("details", `1`)).wait(t, sdk.OutcomeFailed); out.Code != sdk.CodeProtocolError || !strings.Contains(out.Message, "details") {
		t.Errorf("the outcome is %s: %s", out.Code, out.Message)
	}
	g.Release("k")
	beside.wait(t, sdk.OutcomeSucceeded)
}

// A worker that says more of itself than it may ends with the reason; its neighbours
// do not notice.
func TestWorkerBeyondItsBudgetIsRefused(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0"})
	url := brokerURL(t, f)
	g := queuetest.NewGates()
	gateWorker(t, g, worker.Options{Name: "good", URL: url})
	queuetest.Serves(t, f, "gate")
	runs := execute(t, f, newTask("gate", `"k"`))
	runs.started(t)
	w, err := openWorker(worker.Options{Name: "greedy", URL: url, Labels: queuetest.ManyDetails(wire.MaxWorkerLabels+1, 1), Log: queuetest.Log("greedy"),
		Local: []worker.Local{{Name: "local", Executor: g.Executor(t), Slots: 10}}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), queuetest.Patience)
	defer cancel()
	if err := w.Run(ctx); err == nil || !strings.Contains(err.Error(), "labels of one worker: 65, and at most 64") {
		t.Errorf("the worker ended with %v", err)
	}
	for _, n := range f.shown(t) {
		if n.Name == "greedy" && !n.Gone {
			t.Errorf("it is shown as %+v", n)
		}
	}
	g.Release("k")
	runs.wait(t, sdk.OutcomeSucceeded)
}

// Of one name a few workers may be here: more are refused, and one that takes the
// place of those that fell silent is welcome.
func TestInstancesOfANameAreBounded(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0", "lapse": "1m"})
	about := &wire.WorkerInfo{Slots: 1, Types: []sdk.TypeInfo{{Name: "quick"}}}
	for i := range 2000 {
		a := *about
		f.handleHeartbeat(wire.Peer{Name: "w1", Instance: fmt.Sprintf("INSTANCE%04d", i)}, wire.Heartbeat{Info: &a})
	}
	if n := f.present(t); n != maxInstances {
		t.Errorf("%d workers of one name are kept", n)
	}
	if f.counters.dismissedWorkers.Load() == 0 {
		t.Error("nobody was refused")
	}
	f.handleHeartbeat(wire.Peer{Name: "w2", Instance: "ANOTHERNAME"}, wire.Heartbeat{Info: about})
	if n := f.present(t); n != maxInstances+1 {
		t.Errorf("another name's worker is not here: %d are", n)
	}
	began := f.clock.now()
	queuetest.Eventually(t, "they fell silent", func() bool { return f.clock.now()-began > 4*f.heartbeat() })
	gateWorker(t, queuetest.NewGates(), worker.Options{URL: brokerURL(t, f)})
	queuetest.Eventually(t, "its successor is here", func() bool {
		for _, n := range f.shown(t) {
			if n.Name == "w1" && !strings.HasPrefix(n.Instance, "INSTANCE") {
				return true
			}
		}
		return false
	})
	if n := f.present(t); n != maxInstances+1 {
		t.Errorf("%d workers are here", n)
	}
}

// What one worker names that nobody wants is refused in turns.
func TestRefusalsAreBounded(t *testing.T) {
	f := bareFleet()
	f.outbox = wire.NewOutbox(func(wire.Peer, []byte) {}, func() int { return 1 << 20 })
	f.clock.ns.Store(int64(time.Hour))
	w := f.join("w1", "a")
	w.lastHeartbeat.Running = make([]byte, 16*wire.MaxNamed)
	for i := range wire.MaxNamed {
		w.lastHeartbeat.Running[16*i], w.lastHeartbeat.Running[16*i+1] = byte(i), byte(i>>8)
	}
	f.noteNamedTokens(w)
	if n := f.outbox.ItemCount.Load(); n != maxRefused {
		t.Errorf("%d refusals at once", n)
	}
}
