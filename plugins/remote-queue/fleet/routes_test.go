package fleet

import (
	"testing"

	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
	"github.com/taskhost/taskhost/plugins/remote-queue/worker"
	"github.com/taskhost/taskhost/sdk"
)

// A task goes where its labels are, and waits while they are nowhere.
func TestRoutes(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0", "lapse": "1m"})
	url := brokerURL(t, f)
	g := queuetest.NewGates()
	gateWorker(t, g, worker.Options{Name: "a", URL: url, Labels: map[string]string{"zone": "a"}})
	queuetest.Serves(t, f, "quick")
	routed := func(route map[string]string) *testAttempt {
		task := newTask("quick", `1`)
		task.Route = route
		return execute(t, f, task)
	}
	for range 5 {
		a := routed(map[string]string{"zone": "a"})
		if a.wait(t, sdk.OutcomeSucceeded); a.node != "a" {
			t.Errorf("zone a ran on %q", a.node)
		}
	}
	b := routed(map[string]string{"zone": "b"})
	both := routed(map[string]string{"zone": "b", "disk": "ssd"})
	routed(map[string]string{"zone": "a"}).wait(t, sdk.OutcomeSucceeded)
	select {
	case <-b.begun:
		t.Error("zone b ran though nobody is there")
	default:
	}
	gateWorker(t, g, worker.Options{Name: "b", URL: url, Labels: map[string]string{"zone": "b"}})
	if b.wait(t, sdk.OutcomeSucceeded); b.node != "b" {
		t.Errorf("zone b ran on %q", b.node)
	}
	gateWorker(t, g, worker.Options{Name: "c", URL: url, Labels: map[string]string{"zone": "b", "disk": "ssd", "more": "x"}})
	if both.wait(t, sdk.OutcomeSucceeded); both.node != "c" {
		t.Errorf("zone b with ssd ran on %q", both.node)
	}
}
