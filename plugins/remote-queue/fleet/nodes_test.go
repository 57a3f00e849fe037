package fleet

import (
	"context"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
	"github.com/taskhost/taskhost/plugins/remote-queue/worker"
	"github.com/taskhost/taskhost/sdk"
)

// present is how many workers are here.
func (f *fleet) present(t *testing.T) (n int) {
	t.Helper()
	for _, node := range f.shown(t) {
		if !node.Gone {
			n++
		}
	}
	return n
}

func (f *fleet) shown(t *testing.T) []sdk.Node {
	t.Helper()
	i, err := f.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return i.Nodes
}

// startWorker is a worker that the test ends before it ends itself.
func startWorker(t *testing.T, o worker.Options) (w *worker.Worker, stop func()) {
	t.Helper()
	o.Log = queuetest.Log(o.Name)
	w, err := openWorker(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = w.Run(ctx) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return w, stop
}

// An operator's drain outlasts the worker and the host, and ends by a resume alone.
func TestDrainOutlastsRestarts(t *testing.T) {
	dir := t.TempDir()
	settings := map[string]any{"listen": queuetest.FreeAddress(t), "lapse": "1m"}
	f := openFleet(t, dir, settings)
	g := queuetest.NewGates()
	o := worker.Options{Name: "w1", URL: "nats://" + settings["listen"].(string), Local: []worker.Local{{Name: "local", Executor: g.Executor(t), Slots: 10}}}
	_, stop := startWorker(t, o)
	queuetest.Serves(t, f, "quick")
	if err := f.ControlNode(t.Context(), "w1", "drain"); err != nil {
		t.Fatal(err)
	}
	waits := execute(t, f, newTask("quick", `1`))
	stop()
	startWorker(t, o) // its successor of the same name
	queuetest.Eventually(t, "told", func() bool { return told(f, true) })
	waits.cancel(sdk.ErrDetach)
	<-waits.done
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	f = openFleet(t, dir, settings)
	queuetest.Eventually(t, "the next host hears it", func() bool { return f.present(t) == 1 })
	if n := f.shown(t)[0]; !n.Draining || n.SlotsFor("quick") != 0 {
		t.Errorf("the next host shows %+v", n)
	}
	queuetest.Eventually(t, "told by the next host", func() bool { return told(f, true) })
	a := execute(t, f, newTask("quick", `2`))
	if err := f.ControlNode(t.Context(), "w1", "resume"); err != nil {
		t.Fatal(err)
	}
	if a.wait(t, sdk.OutcomeSucceeded); a.node != "w1" {
		t.Errorf("it ran on %q", a.node)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	f = openFleet(t, dir, settings) // what was resumed stays so
	queuetest.Eventually(t, "heard again", func() bool { return f.present(t) == 1 })
	execute(t, f, newTask("quick", `3`)).wait(t, sdk.OutcomeSucceeded)
}

// A worker that left is shown as gone, and one of its name in its place is not; one
// that was drained is shown wherever it is, so that it can be resumed.
func TestGoneWorkersAreShown(t *testing.T) {
	dir := t.TempDir()
	f := openFleet(t, dir, map[string]any{"listen": queuetest.FreeAddress(t)})
	g := queuetest.NewGates()
	o := worker.Options{Name: "w1", Version: "7", URL: brokerURL(t, f), Labels: map[string]string{"zone": "a"},
		Local: []worker.Local{{Name: "local", Executor: g.Executor(t), Slots: 3}, {Name: "more", Executor: g.Executor(t), Slots: 5}}}
	_, stop := startWorker(t, o)
	queuetest.Serves(t, f, "gate")
	first := peers(f)[0]
	n := f.shown(t)[0]
	if n.Gone || n.Instance != first.Instance || n.Slots != 8 || n.SlotsFor("gate") != 3 {
		t.Errorf("here: %+v", n)
	}
	stop()
	queuetest.Eventually(t, "it is gone", func() bool { return f.present(t) == 0 })
	n = f.shown(t)[0]
	if !n.Gone || n.Version != "7" || n.Labels["zone"] != "a" || n.LastSeen.IsZero() || len(n.Types) != 2 || n.Used != 0 || n.SlotsFor("gate") != 0 {
		t.Errorf("gone: %+v", n)
	}
	_, stop = startWorker(t, o)
	queuetest.Eventually(t, "its successor is there alone", func() bool { return f.present(t) == 1 && len(f.shown(t)) == 1 })
	stop()
	queuetest.Eventually(t, "gone as well", func() bool { return f.present(t) == 0 })
	if err := f.ControlNode(t.Context(), "w1", "drain"); err != nil {
		t.Errorf("a drain of one that is away: %v", err)
	}
	f.mu.Lock()
	early := f.forgetGoneWorkers(time.Now().Add(keepGone - time.Minute))
	late := f.forgetGoneWorkers(time.Now().Add(keepGone + time.Minute))
	f.mu.Unlock()
	if early || !late {
		t.Errorf("forgotten early %v, late %v", early, late)
	}
	if all := f.shown(t); len(all) != 1 || all[0].Name != "w1" || !all[0].Gone || !all[0].Draining {
		t.Errorf("a drained one that is long gone: %+v", all)
	}
	if err := f.ControlNode(t.Context(), "w1", "resume"); err != nil {
		t.Fatal(err)
	}
	if all := f.shown(t); len(all) != 0 {
		t.Errorf("resumed and long gone: %+v", all)
	}
}

func TestGoneWorkersAreBounded(t *testing.T) {
	f := bareFleet()
	for i := range maxGone + 10 {
		f.removeWorker(f.join(fmt.Sprintf("w%d", i), "a"))
	}
	if len(f.goneWorkers) != maxGone {
		t.Errorf("%d are kept", len(f.goneWorkers))
	}
}

// Two workers of one name at once are told apart by their instances, and an operator's
// word is for both.
func TestTwoOfOneName(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0"})
	g := queuetest.NewGates()
	url := brokerURL(t, f)
	gateWorker(t, g, worker.Options{URL: url})
	gateWorker(t, g, worker.Options{URL: url})
	queuetest.Eventually(t, "both are there", func() bool { return f.present(t) == 2 })
	all := f.shown(t)
	if all[0].Instance == all[1].Instance || all[0].Name != all[1].Name {
		t.Errorf("shown as %+v", all)
	}
	if err := f.ControlNode(t.Context(), "w1", "drain"); err != nil {
		t.Fatal(err)
	}
	queuetest.Eventually(t, "both drain", func() bool { return told(f, true) })
}

// A file of drained workers that cannot be read does not stop the host.
func TestDrainedFileDamaged(t *testing.T) {
	f := bareFleet()
	f.cfg.DataDir = t.TempDir()
	for _, content := range []string{"", `["w1"`, `{"w1": true}`} {
		if err := os.WriteFile(f.drainedPath(), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if f.loadDrained(); len(f.drained) > 0 {
			t.Errorf("%q: %v", content, f.drained)
		}
	}
}
