package fleet

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/config"
	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/plugins/remote-queue/worker"
	"github.com/taskhost/taskhost/sdk"
)

// The fleet works on while the host is away, and its results wait for it.
func TestHostRestart(t *testing.T) {
	dir := t.TempDir()
	settings := map[string]any{"listen": queuetest.FreeAddress(t)}
	f := openFleet(t, dir, settings)
	g := queuetest.NewGates()
	gateWorker(t, g, worker.Options{URL: "nats://" + settings["listen"].(string)})
	queuetest.Serves(t, f, "gate")
	long, ends := execute(t, f, newTask("gate", `"long"`)), execute(t, f, newTask("gate", `"ends"`))
	long.started(t)
	ends.started(t)
	<-g.Began
	<-g.Began
	longTask, endsTask := long.detach(), ends.detach()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	g.Release("ends") // nobody hears of it

	f = openFleet(t, dir, settings)
	ends, long = execute(t, f, endsTask), execute(t, f, longTask)
	if out := ends.wait(t, sdk.OutcomeSucceeded); string(out.Result.Data) != `"through ends"` {
		t.Errorf("the result is %s", out.Result.Data)
	}
	g.Release("long")
	long.wait(t, sdk.OutcomeSucceeded)
	for _, key := range []string{"long", "ends"} {
		if n := g.Count(key); n != 1 {
			t.Errorf("%s ran %d times", key, n)
		}
	}
}

// A start on record whose go was never heard is made when it is joined; one without
// a record is given back; one of a worker that is gone is lost.
func TestRejoin(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0", "rejoin": "1s"})
	unrecorded := newTask("gate", `"k"`)
	unrecorded.Rejoin = true
	execute(t, f, unrecorded).wait(t, sdk.OutcomeReleased)
	gone := newTask("gate", `"k"`)
	gone.Rejoin, gone.Handle = true, encodeHandle(wire.Peer{Name: "w1", Instance: "GONEGONEGONE"})
	execute(t, f, gone).wait(t, sdk.OutcomeLost)
	broken := newTask("gate", `"k"`)
	broken.Rejoin, broken.Handle = true, []byte("?")
	execute(t, f, broken).wait(t, sdk.OutcomeLost)
}

// What a worker runs that no host wants is stopped, once the host has had time to
// say what it wants.
func TestUnwantedIsStopped(t *testing.T) {
	dir := t.TempDir()
	settings := map[string]any{"listen": queuetest.FreeAddress(t), "rejoin": "1s"}
	f := openFleet(t, dir, settings)
	g := queuetest.NewGates()
	gateWorker(t, g, worker.Options{URL: "nats://" + settings["listen"].(string)})
	queuetest.Serves(t, f, "gate")
	a := execute(t, f, newTask("gate", `"k"`))
	<-g.Began
	a.detach()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	openFleet(t, dir, settings)
	queuetest.Eventually(t, "stopped", func() bool { return errors.Is(g.Ended("k"), sdk.ErrCancel) })
}

// A worker that dies is noticed by its silence, and what it ran is lost.
func TestWorkerKilled(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0", "lapse": "2s"})
	cmd := reexec(t, brokerURL(t, f))
	queuetest.Serves(t, f, "sleep")
	a := execute(t, f, newTask("sleep", `null`))
	a.started(t)
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if out := a.wait(t, sdk.OutcomeLost); out.Code != sdk.CodeExecutorLost || !strings.Contains(out.Message, "proc") {
		t.Errorf("the outcome is %+v", out)
	}
	reexec(t, brokerURL(t, f))
	queuetest.Eventually(t, "its successor serves", func() bool {
		a := execute(t, f, newTask("quick", `1`))
		<-a.done
		return a.out.Kind == sdk.OutcomeSucceeded
	})
}

// A worker that was cut off for longer than the lapse comes back with a result that
// nobody wants; what it began in the meantime is stopped. A short cut is nothing.
func TestPartition(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0", "lapse": "3s"})
	p := queuetest.NewProxy(t, config.WithoutScheme(brokerURL(t, f)))
	g := queuetest.NewGates()
	w := gateWorker(t, g, worker.Options{URL: "nats://" + p.Addr()})
	queuetest.Serves(t, f, "gate")

	short := execute(t, f, newTask("gate", `"short"`))
	<-g.Began
	p.Cut()
	g.Release("short") // its result has to wait
	p.Heal()
	short.wait(t, sdk.OutcomeSucceeded)

	late, runs := execute(t, f, newTask("gate", `"late"`)), execute(t, f, newTask("gate", `"runs"`))
	<-g.Began
	<-g.Began
	p.Cut()
	late.wait(t, sdk.OutcomeLost)
	runs.wait(t, sdk.OutcomeLost)
	queuetest.Eventually(t, "the worker is gone", func() bool { return f.present(t) == 0 })
	g.Release("late")
	p.Heal()
	queuetest.Eventually(t, "the other is stopped", func() bool { return g.Ended("runs") != nil })
	if err := g.Ended("runs"); !errors.Is(err, sdk.ErrCancel) {
		t.Errorf("the script was told %v", err)
	}
	execute(t, f, newTask("quick", `1`)).wait(t, sdk.OutcomeSucceeded)
	ctx, cancel := context.WithTimeout(t.Context(), queuetest.Patience)
	defer cancel()
	if err := w.Drain(ctx); err != nil {
		t.Errorf("the late result was not thrown away: %v", err)
	}
}

// An external broker: killed and back, wiped, and the host itself cut off. Nothing
// is lost and nothing runs twice.
func TestExternalBroker(t *testing.T) { queuetest.OnEachBroker(t, externalBroker) }

func externalBroker(t *testing.T, s queuetest.Server) {
	// What the broker lost is there again as soon as it is back, not after a lapse, in which
	// what no worker serves is given back.
	settings := map[string]any{"url": s.URL(), "queue": s.Queue(), "lapse": "1m"}
	f := openFleet(t, t.TempDir(), settings)
	g := queuetest.NewGates()
	gateWorker(t, g, worker.Options{URL: s.URL(), Queue: s.Queue()})
	queuetest.Serves(t, f, "gate")
	execute(t, f, newTask("quick", `1`)).wait(t, sdk.OutcomeSucceeded)

	for _, wiped := range []bool{false, true} {
		name := fmt.Sprintf("wiped=%v", wiped)
		t.Run(name, func(t *testing.T) {
			runs := execute(t, f, newTask("gate", `"runs `+name+`"`))
			<-g.Began
			task := newTask("gate", `"waits `+name+`"`)
			task.Route = map[string]string{"later": name}
			waits := execute(t, f, task)
			waits.inBroker(t)
			s.Kill()
			if wiped {
				s.Wipe()
			}
			g.Release("runs " + name) // ends while the broker is away
			s.Start()
			runs.wait(t, sdk.OutcomeSucceeded)
			queuetest.Eventually(t, "in the broker again", func() bool { return pending(t, f) == 1 })
			gateWorker(t, g, worker.Options{Name: "later", URL: s.URL(), Queue: s.Queue(), Labels: task.Route})
			g.Release("waits " + name)
			waits.wait(t, sdk.OutcomeSucceeded)
			for _, key := range []string{"runs " + name, "waits " + name} {
				if n := g.Count(key); n != 1 {
					t.Errorf("%q ran %d times", key, n)
				}
			}
		})
	}
}

// While the broker is away from the host as well, no lapse counts.
func TestHostCutOff(t *testing.T) { queuetest.OnEachBroker(t, hostCutOff) }

func hostCutOff(t *testing.T, s queuetest.Server) {
	p := queuetest.NewProxy(t, s.Addr())
	f := openFleet(t, t.TempDir(), map[string]any{"url": s.URLAt(p.Addr()), "queue": s.Queue(), "lapse": "2s"})
	g := queuetest.NewGates()
	gateWorker(t, g, worker.Options{URL: s.URL(), Queue: s.Queue()})
	queuetest.Serves(t, f, "gate")
	a := execute(t, f, newTask("gate", `"k"`))
	<-g.Began
	before := f.clock.now()
	p.Cut()
	queuetest.Eventually(t, "noticed", func() bool { return !f.broker.Connected() })
	held := time.NewTimer(time.Duration(f.queueConfig.Lapse) * 3 / 2) // there is no event for nothing happening
	<-held.C
	select {
	case <-a.done:
		t.Fatalf("ended while nobody could hear of it: %+v", a.out)
	default:
	}
	if passed := f.clock.now() - before; passed > time.Duration(f.queueConfig.Lapse) {
		t.Errorf("%s passed in the host's silence", passed)
	}
	p.Heal()
	g.Release("k")
	a.wait(t, sdk.OutcomeSucceeded)
}

// Whoever waits for an attempt returns when the fleet is closed, and when another caller lets go
// of it: nobody else would hear how it ends.
func TestAllWhoWaitLetGo(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0"})
	ended := make(chan error)
	wait := func(ctx context.Context, task sdk.Task) {
		_, err := f.Execute(ctx, task, sdk.NewReporter(sdk.ReporterFuncs{}))
		ended <- err
	}
	callers := func(task sdk.Task, n int) {
		queuetest.Eventually(t, "they wait", func() bool {
			f.mu.Lock()
			defer f.mu.Unlock()
			a := f.attempts[task.Token]
			return a != nil && len(a.callers) == n
		})
	}
	shared, other := newTask("gate", `1`), newTask("gate", `2`)
	ctx, cancel := context.WithCancelCause(t.Context())
	go wait(ctx, shared)
	go wait(t.Context(), shared)
	go wait(t.Context(), other)
	callers(shared, 2)
	callers(other, 1)
	cancel(sdk.ErrDetach)
	for range 2 {
		if err := <-ended; !errors.Is(err, sdk.ErrDetach) {
			t.Errorf("one of the two ended with %v", err)
		}
	}
	if err := f.Close(); err != nil {
		t.Error(err)
	}
	if err := <-ended; !errors.Is(err, sdk.ErrDetach) {
		t.Errorf("the other ended with %v", err)
	}
}
