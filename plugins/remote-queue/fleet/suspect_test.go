package fleet

import (
	"context"
	"testing"
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/plugins/remote-queue/worker"
	"github.com/taskhost/taskhost/sdk"
)

// A worker runs one suspect at a time, and anything else beside it; a second suspect
// goes to another worker, or waits. One that the host gave up holds no place, also if
// its script does not listen.
func TestOneSuspectOnEachWorker(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0", "lapse": "1m"})
	g := queuetest.NewGates()
	url := brokerURL(t, f)
	gateWorker(t, g, worker.Options{Name: "a", URL: url})
	queuetest.Serves(t, f, "gate")
	suspect := func(key string) *testAttempt {
		task := newTask("gate", `"`+key+`"`)
		task.Suspect = true
		return execute(t, f, task)
	}
	s1 := suspect("s1")
	s1.started(t)
	s2 := suspect("s2")
	plain := execute(t, f, newTask("quick", `1`))
	plain.wait(t, sdk.OutcomeSucceeded)
	queuetest.Eventually(t, "it was put back", func() bool { return redelivered(t, f, wire.Lane{Route: wire.AnyRoute, Type: "gate"}) > 0 })
	execute(t, f, newTask("quick", `2`)).wait(t, sdk.OutcomeSucceeded)
	if n := g.Count("s2"); n != 0 {
		t.Fatal("two suspects ran on one worker at once")
	}
	gateWorker(t, g, worker.Options{Name: "b", URL: url})
	if s2.started(t); s2.node != "b" {
		t.Errorf("the second ran on %q", s2.node)
	}
	s3 := suspect("s3")
	g.Release("s1")
	s1.wait(t, sdk.OutcomeSucceeded)
	if s3.started(t); s3.node != "a" {
		t.Errorf("the third ran on %q", s3.node)
	}
	for _, key := range []string{"s2", "s3"} {
		g.Release(key)
	}
	s2.wait(t, sdk.OutcomeSucceeded)
	s3.wait(t, sdk.OutcomeSucceeded)
}

// redelivered is how many starts of a lane were handed out before and are out again.
func redelivered(t *testing.T, f *fleet, l wire.Lane) int {
	t.Helper()
	c, err := jetStream(t, f).Consumer(t.Context(), subjectsOf(f).Stream(), l.Name())
	if err != nil {
		return 0
	}
	return c.CachedInfo().NumRedelivered
}

func TestSuspectOfADeafScriptIsCleared(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0"})
	hang, began := make(chan struct{}), make(chan struct{}, 1)
	e, err := sdk.NewScripts(sdk.Script{TypeInfo: sdk.TypeInfo{Name: "deaf"}, Run: deaf(hang, began)}, queuetest.Quick)
	if err != nil {
		t.Fatal(err)
	}
	gateWorker(t, queuetest.NewGates(), worker.Options{URL: brokerURL(t, f), Local: []worker.Local{{Name: "local", Executor: e, Slots: 10}}})
	t.Cleanup(func() { close(hang) })
	queuetest.Serves(t, f, "deaf")
	task := newTask("deaf", `1`)
	task.Suspect = true
	first := execute(t, f, task)
	<-began
	first.cancel(sdk.ErrCancel)
	f.Settled(task.Token) // its grace is over
	<-first.done
	second := newTask("quick", `1`)
	second.Suspect = true
	execute(t, f, second).wait(t, sdk.OutcomeSucceeded)
}

// deaf is a script that ends when the test says so, whatever its context says.
func deaf(hang <-chan struct{}, began chan<- struct{}) func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) {
	return func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) {
		began <- struct{}{}
		<-hang
		return sdk.Result{}, nil
	}
}

// A suspect that waits for the place of another is in its worker's hands, or on its way back: it
// is not taken for one that the broker lost.
func TestWaitingSuspectIsNotLost(t *testing.T) { queuetest.OnEachBroker(t, waitingSuspect) }

func waitingSuspect(t *testing.T, s queuetest.Server) {
	f := openFleet(t, t.TempDir(), map[string]any{"url": s.URL(), "queue": s.Queue(), "lapse": "1s"})
	g := queuetest.NewGates()
	gateWorker(t, g, worker.Options{URL: s.URL(), Queue: s.Queue()})
	queuetest.Serves(t, f, "gate")
	suspect := func(key string) *testAttempt {
		task := newTask("gate", `"`+key+`"`)
		task.Suspect = true
		return execute(t, f, task)
	}
	first := suspect("first")
	first.started(t)
	second := suspect("second")
	before := f.clock.now() // there is no event for nothing happening
	queuetest.Eventually(t, "some lapses pass", func() bool { return f.clock.now()-before > 3*time.Duration(f.queueConfig.Lapse) })
	if n := f.counters.republished.Load(); n > 0 {
		t.Errorf("%d were published again", n)
	}
	g.Release("first")
	first.wait(t, sdk.OutcomeSucceeded)
	g.Release("second")
	second.wait(t, sdk.OutcomeSucceeded)
}
