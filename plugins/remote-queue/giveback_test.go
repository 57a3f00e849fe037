package remotequeue

import (
	"testing"

	"github.com/taskhost/taskhost/sdk"
)

// What waits for workers that are gone is given back, so that its slots are free, and
// what others can run stays.
func TestWaitingIsGivenBackWithoutWorkers(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0"})
	g := newGates()
	url := f.broker.srv.ClientURL()
	one := func() []Local { return []Local{{Name: "local", Executor: g.executor(t), Slots: 1}} }
	routed := func(zone, key string) *try {
		task := newTask("gate", `"`+key+`"`)
		task.Route = map[string]string{"zone": zone}
		return execute(t, f, task)
	}
	_, stop := startWorker(t, WorkerOptions{Name: "a", URL: url, Labels: map[string]string{"zone": "a"}, Local: one()})
	startWorker(t, WorkerOptions{Name: "b", URL: url, Labels: map[string]string{"zone": "b"}, Local: one()})
	eventually(t, "both are there", func() bool { return f.present(t) == 2 })
	runsB := routed("b", "b1")
	runsB.started(t)
	waitsB := routed("b", "b2")
	runsA := routed("a", "a1")
	runsA.started(t)
	waitsA := routed("a", "a2")
	eventually(t, "two wait in the broker", func() bool { return pending(t, f) == 2 })
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
	eventually(t, "taken out of the broker", func() bool { return pending(t, f) == 0 })
	g.let("b1")
	runsB.wait(t, sdk.OutcomeSucceeded)
	for _, key := range []string{"a2", "b2"} {
		if n := g.count(key); n != 0 {
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
	o := WorkerOptions{Name: "a", URL: f.broker.srv.ClientURL(), Local: []Local{{Name: "local", Executor: newGates().executor(t), Slots: 1}}}
	_, stop := startWorker(t, o)
	serves(t, f, "quick")
	stop()
	eventually(t, "it is gone", func() bool { return f.present(t) == 0 })
	a := execute(t, f, newTask("quick", `1`))
	eventually(t, "it waits in the broker", func() bool { return pending(t, f) == 1 })
	startWorker(t, o)
	a.wait(t, sdk.OutcomeSucceeded)
}
