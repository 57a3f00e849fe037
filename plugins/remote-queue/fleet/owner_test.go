package fleet

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/plugins/remote-queue/worker"
	"github.com/taskhost/taskhost/sdk"
)

// why is the reason that a fleet gives for running nothing.
func why(t *testing.T, f *fleet) string {
	t.Helper()
	info, err := f.Describe(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return info.Unavailable
}

// says waits until the reason of a fleet for running nothing has those words.
func says(t *testing.T, f *fleet, words ...string) {
	t.Helper()
	queuetest.Eventually(t, fmt.Sprintf("it says %q", words), func() bool {
		r := why(t, f)
		return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(r, w) })
	})
}

// hasQueue waits until a fleet has its queue.
func hasQueue(t *testing.T, f *fleet) {
	t.Helper()
	queuetest.Eventually(t, "it has its queue", func() bool { return why(t, f) == "" })
}

// watches waits until f has watched the owner of its queue for longer than a lease, and never
// had the queue itself: there is no event for nothing happening.
func watches(t *testing.T, f *fleet) {
	t.Helper()
	from, long := f.owner.clock.now(), 4*time.Duration(f.queueConfig.Lapse) // a lease is three
	queuetest.Eventually(t, "watched for "+long.String(), func() bool {
		if f.owner.claimed.Load() {
			t.Fatal("the queue went to the one that watched")
		}
		return f.owner.clock.now()-from > long
	})
}

// A second host on the same queue of a broker neither hears nor answers workers,
// publishes nothing, purges nothing, and says whose the queue is.
func TestQueueIsOneHosts(t *testing.T) { queuetest.OnEachBroker(t, queueIsOneHosts) }

func queueIsOneHosts(t *testing.T, s queuetest.Server) {
	f := openFleet(t, t.TempDir(), map[string]any{"url": s.URL(), "queue": s.Queue(), "lapse": "2s"})
	hasQueue(t, f)
	g := queuetest.NewGates()
	gateWorker(t, g, worker.Options{URL: s.URL(), Queue: s.Queue(), Local: []worker.Local{{Name: "local", Executor: g.Executor(t), Slots: 1}}})
	queuetest.Serves(t, f, "gate")
	runs := execute(t, f, newTask("gate", `"runs"`))
	<-g.Began
	execute(t, f, newTask("gate", `"waits"`)).inBroker(t)
	queuetest.Eventually(t, "what runs is not", func() bool { return pending(t, f) == 1 })

	other := openFleet(t, t.TempDir(), map[string]any{"url": s.URL(), "queue": s.Queue(), "lapse": "2s", "rejoin": "100ms"})
	says(t, other, `queue "`+s.Queue()+`" on this broker belongs to host`, "choose another queue")
	a := execute(t, other, newTask("quick", `1`))
	own := openFleet(t, t.TempDir(), map[string]any{"url": s.URL(), "queue": s.Queue() + "-own"})
	gateWorker(t, g, worker.Options{Name: "w2", URL: s.URL(), Queue: s.Queue() + "-own"})
	queuetest.Serves(t, own, "quick")
	execute(t, own, newTask("quick", `1`)).wait(t, sdk.OutcomeSucceeded)

	watches(t, other)
	if n := pending(t, f); n != 1 {
		t.Errorf("%d starts are left of the first host's one", n)
	}
	select {
	case <-a.done:
		t.Errorf("the second host on the same queue ran something: %+v", a.out)
	default:
	}
	other.mu.Lock()
	heard := len(other.workers)
	other.mu.Unlock()
	if heard > 0 || other.counters.refusedReports.Load() > 0 {
		t.Errorf("the second host hears %d workers of the first, and refused %d attempts", heard, other.counters.refusedReports.Load())
	}
	g.Release("runs")
	runs.wait(t, sdk.OutcomeSucceeded)
}

// Of hosts that start at the same time, exactly one has the queue.
func TestHostsAtOnce(t *testing.T) { queuetest.OnEachBroker(t, hostsAtOnce) }

func hostsAtOnce(t *testing.T, s queuetest.Server) {
	for _, queue := range []string{"a", "b", "c", "d", "e"} {
		var all [12]*fleet
		var wg sync.WaitGroup
		for i := range all {
			dir := t.TempDir()
			wg.Go(func() {
				all[i], _ = tryFleet(t, dir, map[string]any{"url": s.URL(), "queue": s.Queue() + queue, "lapse": "4s"})
			})
		}
		wg.Wait()
		have := 0
		for _, f := range all {
			if f == nil {
				t.Fatal("a host did not start")
			}
			t.Cleanup(func() { _ = f.Close() })
			queuetest.Eventually(t, "decided", func() bool { r := why(t, f); return r == "" || strings.Contains(r, "belongs to") })
			if f.owner.claimed.Load() {
				have++
			}
		}
		if have != 1 {
			t.Errorf("%d hosts have queue %q", have, queue)
		}
		for _, f := range all { // so that the next are alone
			wg.Go(func() { _ = f.Close() })
		}
		wg.Wait()
	}
}

// A host that comes back has its queue at once, whatever became of the process before.
func TestOwnerRestarts(t *testing.T) { queuetest.OnEachBroker(t, ownerRestarts) }

func ownerRestarts(t *testing.T, s queuetest.Server) {
	dir := t.TempDir()
	f := openFleet(t, dir, map[string]any{"url": s.URL(), "queue": s.Queue(), "lapse": "1h"})
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	next := openFleet(t, dir, map[string]any{"url": s.URL(), "queue": s.Queue(), "lapse": "1h"})
	hasQueue(t, next)
	if err := next.Close(); err != nil { // what follows belongs to its goroutine
		t.Fatal(err)
	}
	if next.owner.ownClaim.Generation <= f.owner.ownClaim.Generation {
		t.Errorf("generation %d after %d", next.owner.ownClaim.Generation, f.owner.ownClaim.Generation)
	}
}

// A copy of the data directory is the same host by its id: the process that has the
// queue keeps it as long as it lives.
func TestCopiedDataDirectory(t *testing.T) { queuetest.OnEachBroker(t, copiedDataDirectory) }

func copiedDataDirectory(t *testing.T, s queuetest.Server) {
	dir, duplicate := t.TempDir(), t.TempDir()
	f := openFleet(t, dir, map[string]any{"url": s.URL(), "queue": s.Queue(), "lapse": "2s"})
	hasQueue(t, f)
	id, err := os.ReadFile(filepath.Join(dir, "host-id"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(duplicate, "host-id"), id, 0o600); err != nil {
		t.Fatal(err)
	}
	second := openFleet(t, duplicate, map[string]any{"url": s.URL(), "queue": s.Queue(), "lapse": "2s"})
	says(t, second, "copy of this data directory")
	watches(t, second)
	hasQueue(t, f)
}

// An owner that was cut off for longer than its lease, and whose queue another host
// took, says so as soon as it is back: what ran is lost to it, what waits goes on
// when the other host is gone.
func TestOwnerLosesTheQueue(t *testing.T) { queuetest.OnEachBroker(t, ownerLosesTheQueue) }

func ownerLosesTheQueue(t *testing.T, s queuetest.Server) {
	p := queuetest.NewProxy(t, s.Addr())
	f := openFleet(t, t.TempDir(), map[string]any{"url": s.URLAt(p.Addr()), "queue": s.Queue(), "lapse": "2s"})
	g := queuetest.NewGates()
	gateWorker(t, g, worker.Options{URL: s.URL(), Queue: s.Queue()})
	queuetest.Serves(t, f, "gate")
	runs := execute(t, f, newTask("gate", `"runs"`))
	runs.started(t)
	<-g.Began

	other, err := tryFleet(t, t.TempDir(), map[string]any{"url": s.URL(), "queue": s.Queue(), "lapse": "2s", "rejoin": "2s"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	says(t, other, "belongs to host")
	waiting := newTask("quick", `"waits"`)
	waiting.Route = map[string]string{"later": "yes"}
	waits := execute(t, f, waiting)
	waits.inBroker(t) // nobody serves it: it is given back unless the cut comes within a lapse
	p.Cut()
	hasQueue(t, other)
	if f.owner.ownsQueue() {
		t.Error("both have the queue")
	}
	p.Heal()
	runs.wait(t, sdk.OutcomeLost)
	says(t, f, "belongs to host")
	queuetest.Eventually(t, "the new owner stops what it does not know", func() bool { return g.Ended("runs") != nil })
	queuetest.Serves(t, other, "quick")
	execute(t, other, newTask("quick", `1`)).wait(t, sdk.OutcomeSucceeded)
	select {
	case <-waits.done:
		t.Errorf("what nobody began has ended: %+v", waits.out)
	default:
	}

	gateWorker(t, g, worker.Options{Name: "later", URL: s.URL(), Queue: s.Queue(), Labels: waiting.Route})
	queuetest.Eventually(t, "the other knows the worker", func() bool { return other.present(t) == 2 })
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	waits.wait(t, sdk.OutcomeSucceeded)
}

// A short cut costs nothing: the owner is back before anybody may take the queue.
func TestOwnerIsBackInTime(t *testing.T) { queuetest.OnEachBroker(t, ownerIsBackInTime) }

func ownerIsBackInTime(t *testing.T, s queuetest.Server) {
	p := queuetest.NewProxy(t, s.Addr())
	f := openFleet(t, t.TempDir(), map[string]any{"url": s.URLAt(p.Addr()), "queue": s.Queue(), "lapse": "5s"})
	g := queuetest.NewGates()
	gateWorker(t, g, worker.Options{URL: s.URL(), Queue: s.Queue()})
	queuetest.Serves(t, f, "gate")
	runs := execute(t, f, newTask("gate", `"runs"`))
	<-g.Began
	other := openFleet(t, t.TempDir(), map[string]any{"url": s.URL(), "queue": s.Queue(), "lapse": "5s"})
	p.Cut()
	queuetest.Eventually(t, "noticed", func() bool { return !f.owner.ownsQueue() })
	p.Heal()
	queuetest.Eventually(t, "back", func() bool { return why(t, f) == "" })
	g.Release("runs")
	runs.wait(t, sdk.OutcomeSucceeded)
	if !strings.Contains(why(t, other), "belongs to host") {
		t.Errorf("the other host says %q", why(t, other))
	}
}

// A broker that forgot all it kept does not give the queue to whoever comes first.
func TestOwnerOfAWipedBroker(t *testing.T) { queuetest.OnEachBroker(t, ownerOfAWipedBroker) }

func ownerOfAWipedBroker(t *testing.T, s queuetest.Server) {
	f := openFleet(t, t.TempDir(), map[string]any{"url": s.URL(), "queue": s.Queue(), "lapse": "3s"})
	p := queuetest.NewProxy(t, s.Addr())
	second := openFleet(t, t.TempDir(), map[string]any{"url": s.URLAt(p.Addr()), "queue": s.Queue(), "lapse": "3s"})
	s.Kill()
	s.Wipe()
	s.Start()
	hasQueue(t, f)
	says(t, second, "belongs to host")
	if second.owner.ownsQueue() {
		t.Error("both have the queue")
	}
}

// A broker that is full of starts still says whose the queue is.
func TestOwnerWhereTheClaimCannotBeRenewed(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0", "lapse": "1s"})
	kv, err := jetStream(t, f).KeyValue(t.Context(), subjectsOf(f).Stream())
	if err != nil {
		t.Fatal(err)
	}
	st, err := jetStream(t, f).Stream(t.Context(), "KV_"+subjectsOf(f).Stream())
	if err != nil {
		t.Fatal(err)
	}
	c := st.CachedInfo().Config
	c.MaxMsgSize = 1
	if _, err := jetStream(t, f).UpdateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Put(t.Context(), "owner", []byte("refused")); err == nil {
		t.Fatal("the broker takes it")
	}
	from := *f.owner.confirmedAt.Load()
	queuetest.Eventually(t, "confirmed for longer than a renewal is good", func() bool {
		return f.owner.ownsQueue() && f.owner.confirmedAt.Load().Sub(from) > f.owner.validFor
	})
}

// A broker that never was there, comes and goes shows as the executor's state.
func TestBrokerAwayIsShown(t *testing.T) { queuetest.OnEachBroker(t, brokerAwayIsShown) }

func brokerAwayIsShown(t *testing.T, s queuetest.Server) {
	p := queuetest.NewProxy(t, s.Addr())
	p.Cut()
	changed := make(chan struct{}, 1)
	f := openFleet(t, t.TempDir(), map[string]any{"url": s.URLAt(p.Addr()), "queue": s.Queue(), "changed": func() { wire.Wake(changed) }})
	says := func(what string, ok func(string) bool) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), queuetest.Patience)
		defer cancel()
		for !ok(why(t, f)) {
			select {
			case <-changed:
			case <-ctx.Done():
				t.Fatalf("%s: nothing changed; it says %q", what, why(t, f))
			}
		}
	}
	away := func(r string) bool { return strings.Contains(r, "cannot be reached since") }
	says("never there", away)
	if r := why(t, f); strings.Contains(r, "secret") || strings.Contains(r, "guest") || !strings.Contains(r, p.Addr()) {
		t.Errorf("it says %q", r)
	}
	p.Heal()
	says("there", func(r string) bool { return r == "" })
	p.Cut()
	says("gone", away)
	p.Heal()
	says("back", func(r string) bool { return r == "" })
}
