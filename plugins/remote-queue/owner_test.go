package remotequeue

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

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

// watches waits until f, which does not have the queue, has watched its owner for d:
// there is no event for nothing happening.
func watches(t *testing.T, f *fleet, d time.Duration) {
	t.Helper()
	from := f.owner.clock.now()
	eventually(t, "watched for "+d.String(), func() bool { return f.owner.clock.now()-from > d })
}

// A second host on the same queue of a broker neither hears nor answers workers,
// publishes nothing, purges nothing, and says whose the queue is.
func TestQueueIsOneHosts(t *testing.T) {
	s := externalServer(t)
	f := openFleet(t, t.TempDir(), map[string]any{"url": s.url()})
	if r := why(t, f); r != "" {
		t.Fatalf("the only host cannot run anything: %s", r)
	}
	g := newGates()
	g.worker(t, WorkerOptions{URL: s.url(), Local: []Local{{Name: "local", Executor: g.executor(t), Slots: 1}}})
	serves(t, f, "gate")
	runs := execute(t, f, newTask("gate", `"runs"`))
	<-g.at
	execute(t, f, newTask("gate", `"waits"`))
	eventually(t, "in the broker", func() bool { return pending(t, f) == 1 })

	other := openFleet(t, t.TempDir(), map[string]any{"url": s.url(), "rejoin": "100ms"})
	if r := why(t, other); !strings.Contains(r, `queue "default" on this broker belongs to host`) || !strings.Contains(r, "choose another queue") {
		t.Errorf("the second host says %q", r)
	}
	a := execute(t, other, newTask("quick", `1`))
	own := openFleet(t, t.TempDir(), map[string]any{"url": s.url(), "queue": "own"})
	g.worker(t, WorkerOptions{Name: "w2", URL: s.url(), Queue: "own"})
	serves(t, own, "quick")
	execute(t, own, newTask("quick", `1`)).wait(t, sdk.OutcomeSucceeded)

	watches(t, other, 6*time.Duration(f.conf.Lapse))
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
	if heard > 0 || other.count.refused.Load() > 0 {
		t.Errorf("the second host hears %d workers of the first, and refused %d attempts", heard, other.count.refused.Load())
	}
	g.let("runs")
	runs.wait(t, sdk.OutcomeSucceeded)
}

// Of hosts that start at the same time, exactly one has the queue.
func TestHostsAtOnce(t *testing.T) {
	s := externalServer(t)
	for _, queue := range []string{"a", "b", "c", "d", "e"} {
		var all [12]*fleet
		var wg sync.WaitGroup
		for i := range all {
			dir := t.TempDir()
			wg.Go(func() { all[i], _ = tryFleet(t, dir, map[string]any{"url": s.url(), "queue": queue}) })
		}
		wg.Wait()
		have := 0
		for _, f := range all {
			if f == nil {
				t.Fatal("a host did not start")
			}
			t.Cleanup(func() { _ = f.Close() })
			eventually(t, "decided", func() bool { r := why(t, f); return r == "" || strings.Contains(r, "belongs to") })
			if f.owner.sure() {
				have++
			}
		}
		if have != 1 {
			t.Errorf("%d hosts have queue %q", have, queue)
		}
	}
}

// A host that comes back has its queue at once, whatever became of the process before.
func TestOwnerRestarts(t *testing.T) {
	s := externalServer(t)
	dir := t.TempDir()
	f := openFleet(t, dir, map[string]any{"url": s.url(), "lapse": "1h"})
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	next := openFleet(t, dir, map[string]any{"url": s.url(), "lapse": "1h"})
	if r := why(t, next); r != "" || next.owner.mine.Generation <= f.owner.mine.Generation {
		t.Errorf("generation %d after %d: %q", next.owner.mine.Generation, f.owner.mine.Generation, r)
	}
}

// A copy of the data directory is the same host by its id: the process that has the
// queue keeps it as long as it lives.
func TestCopiedDataDirectory(t *testing.T) {
	s := externalServer(t)
	dir, duplicate := t.TempDir(), t.TempDir()
	f := openFleet(t, dir, map[string]any{"url": s.url()})
	id, err := os.ReadFile(filepath.Join(dir, "host-id"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(duplicate, "host-id"), id, 0o600); err != nil {
		t.Fatal(err)
	}
	second := openFleet(t, duplicate, map[string]any{"url": s.url()})
	if r := why(t, second); !strings.Contains(r, "copy of this data directory") {
		t.Errorf("the copy says %q", r)
	}
	watches(t, second, 6*time.Duration(f.conf.Lapse))
	if second.owner.sure() || !f.owner.sure() {
		t.Errorf("the queue went to the copy: %v, %v", f.owner.sure(), second.owner.sure())
	}
}

// An owner that was cut off for longer than its lease, and whose queue another host
// took, says so as soon as it is back: what ran is lost to it, what waits goes on
// when the other host is gone.
func TestOwnerLosesTheQueue(t *testing.T) {
	s := externalServer(t)
	p := newProxy(t, s.address)
	f := openFleet(t, t.TempDir(), map[string]any{"url": "nats://" + p.l.Addr().String()})
	g := newGates()
	g.worker(t, WorkerOptions{URL: s.url()})
	serves(t, f, "gate")
	runs := execute(t, f, newTask("gate", `"runs"`))
	runs.started(t)
	<-g.at
	waiting := newTask("quick", `"waits"`)
	waiting.Route = map[string]string{"later": "yes"}
	waits := execute(t, f, waiting)
	eventually(t, "in the broker", func() bool { return pending(t, f) == 1 })

	other, err := tryFleet(t, t.TempDir(), map[string]any{"url": s.url(), "rejoin": "2s"})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.Close() }()
	if r := why(t, other); !strings.Contains(r, "belongs to host") {
		t.Errorf("the second host says %q", r)
	}
	p.cut()
	eventually(t, "the other has it", func() bool { return why(t, other) == "" })
	if f.owner.sure() {
		t.Error("both have the queue")
	}
	p.heal()
	runs.wait(t, sdk.OutcomeLost)
	eventually(t, "the first says whose it is", func() bool { return strings.Contains(why(t, f), "belongs to host") })
	eventually(t, "the new owner stops what it does not know", func() bool { return g.ended("runs") != nil })
	serves(t, other, "quick")
	execute(t, other, newTask("quick", `1`)).wait(t, sdk.OutcomeSucceeded)
	select {
	case <-waits.done:
		t.Errorf("what nobody began has ended: %+v", waits.out)
	default:
	}

	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	g.worker(t, WorkerOptions{Name: "later", URL: s.url(), Labels: waiting.Route})
	waits.wait(t, sdk.OutcomeSucceeded)
}

// A short cut costs nothing: the owner is back before anybody may take the queue.
func TestOwnerIsBackInTime(t *testing.T) {
	s := externalServer(t)
	p := newProxy(t, s.address)
	f := openFleet(t, t.TempDir(), map[string]any{"url": "nats://" + p.l.Addr().String(), "lapse": "5s"})
	g := newGates()
	g.worker(t, WorkerOptions{URL: s.url()})
	serves(t, f, "gate")
	runs := execute(t, f, newTask("gate", `"runs"`))
	<-g.at
	other := openFleet(t, t.TempDir(), map[string]any{"url": s.url(), "lapse": "5s"})
	p.cut()
	eventually(t, "noticed", func() bool { return !f.owner.sure() })
	p.heal()
	eventually(t, "back", func() bool { return why(t, f) == "" })
	g.let("runs")
	runs.wait(t, sdk.OutcomeSucceeded)
	if !strings.Contains(why(t, other), "belongs to host") {
		t.Errorf("the other host says %q", why(t, other))
	}
}

// A broker that forgot all it kept does not give the queue to whoever comes first.
func TestOwnerOfAWipedBroker(t *testing.T) {
	s := externalServer(t)
	f := openFleet(t, t.TempDir(), map[string]any{"url": s.url(), "lapse": "3s"})
	p := newProxy(t, s.address)
	second := openFleet(t, t.TempDir(), map[string]any{"url": "nats://" + p.l.Addr().String(), "lapse": "3s"})
	s.kill()
	s.wipe()
	s.start()
	eventually(t, "the owner has it again", func() bool { return why(t, f) == "" })
	eventually(t, "the other knows", func() bool { return strings.Contains(why(t, second), "belongs to host") })
	if second.owner.sure() {
		t.Error("both have the queue")
	}
}

// A broker that is full of starts still says whose the queue is.
func TestOwnerWhereTheClaimCannotBeRenewed(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0"})
	kv, err := f.js.KeyValue(t.Context(), f.names.stream())
	if err != nil {
		t.Fatal(err)
	}
	st, err := f.js.Stream(t.Context(), "KV_"+f.names.stream())
	if err != nil {
		t.Fatal(err)
	}
	c := st.CachedInfo().Config
	c.MaxMsgSize = 1
	if _, err := f.js.UpdateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Put(t.Context(), claimKey, []byte("refused")); err == nil {
		t.Fatal("the broker takes it")
	}
	from := *f.owner.confirmed.Load()
	eventually(t, "confirmed for longer than a renewal is good", func() bool {
		return f.owner.sure() && f.owner.confirmed.Load().Sub(from) > f.owner.hold
	})
}

// A broker that never was there, comes and goes shows as the executor's state.
func TestBrokerAwayIsShown(t *testing.T) {
	s := externalServer(t)
	p := newProxy(t, s.address)
	p.cut()
	changed := make(chan struct{}, 1)
	f := openFleet(t, t.TempDir(), map[string]any{"url": "nats://user:secret@" + p.l.Addr().String(), "changed": func() { signal(changed) }})
	says := func(what string, ok func(string) bool) {
		t.Helper()
		ctx, cancel := context.WithTimeout(t.Context(), patience)
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
	if r := why(t, f); strings.Contains(r, "secret") || !strings.Contains(r, p.l.Addr().String()) {
		t.Errorf("it says %q", r)
	}
	p.heal()
	says("there", func(r string) bool { return r == "" })
	p.cut()
	says("gone", away)
	p.heal()
	says("back", func(r string) bool { return r == "" })
}
