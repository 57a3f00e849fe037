package fleet

import (
	"testing"

	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
	"github.com/taskhost/taskhost/plugins/remote-queue/worker"
	"github.com/taskhost/taskhost/sdk"
)

// What waits for workers that are gone is given back, so that its slots are free, and
// what others can run stays.
func TestWaitingIsGivenBackWithoutWorkers(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0", "lapse": "2s"})
	g := queuetest.NewGates()
	url := brokerURL(t, f)
	one := func() []worker.Local { return []worker.Local{{Name: "local", Executor: g.Executor(t), Slots: 1}} }
	routed := func(zone, key string) *testAttempt {
		task := newTask("gate", `"`+key+`"`)
		task.Route = map[string]string{"zone": zone}
		return execute(t, f, task)
	}
	_, stop := startWorker(t, worker.Options{Name: "a", URL: url, Labels: map[string]string{"zone": "a"}, Local: one()})
	startWorker(t, worker.Options{Name: "b", URL: url, Labels: map[string]string{"zone": "b"}, Local: one()})
	queuetest.Eventually(t, "both are there", func() bool { return f.present(t) == 2 })
	runsB := routed("b", "b1")
	runsB.started(t)
	waitsB := routed("b", "b2")
	runsA := routed("a", "a1")
	runsA.started(t)
	waitsA := routed("a", "a2")
	queuetest.Eventually(t, "two wait in the broker", func() bool { return pending(t, f) == 2 })
	stop()
	<-runsA.done // interrupted, or lost where the machine is too busy to say so in time
	waitsA.wait(t, sdk.OutcomeReleased)
	select {
	case <-waitsB.done:
		t.Errorf("what b can run was given back as well: %+v", waitsB.out)
	default:
	}
	if err := f.ControlNode(t.Context(), "b", "drain"); err != nil {
		t.Fatal(err)
	}
	waitsB.wait(t, sdk.OutcomeReleased)
	queuetest.Eventually(t, "taken out of the broker", func() bool { return pending(t, f) == 0 })
	g.Release("b1")
	runsB.wait(t, sdk.OutcomeSucceeded)
	for _, key := range []string{"a2", "b2"} {
		if n := g.Count(key); n != 0 {
			t.Errorf("%s ran %d times", key, n)
		}
	}
	if i, _ := f.Describe(t.Context()); !i.Types[0].Unavailable {
		t.Errorf("no worker takes it, and it shows as available: %+v", i.Types[0])
	}
}

// A worker that comes back within the lapse finds what waits for it.
func TestWaitingStaysForARestart(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0", "lapse": "1m"})
	o := worker.Options{Name: "a", URL: brokerURL(t, f), Local: []worker.Local{{Name: "local", Executor: queuetest.NewGates().Executor(t), Slots: 1}}}
	_, stop := startWorker(t, o)
	queuetest.Serves(t, f, "quick")
	stop()
	queuetest.Eventually(t, "it is gone", func() bool { return f.present(t) == 0 })
	a := execute(t, f, newTask("quick", `1`))
	queuetest.Eventually(t, "it waits in the broker", func() bool { return pending(t, f) == 1 })
	startWorker(t, o)
	a.wait(t, sdk.OutcomeSucceeded)
}
