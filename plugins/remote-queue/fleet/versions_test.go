package fleet

import (
	"slices"
	"testing"

	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
	"github.com/taskhost/taskhost/plugins/remote-queue/worker"
	"github.com/taskhost/taskhost/sdk"
)

// A task that asks for a least version goes to a worker that is new enough and has its
// labels, and waits while there is none.
func TestVersions(t *testing.T) { queuetest.OnEachBroker(t, versions) }

func versions(t *testing.T, s queuetest.Server) {
	f := openFleet(t, t.TempDir(), map[string]any{"url": s.URL(), "queue": s.Queue(), "lapse": "1m"})
	g := queuetest.NewGates()
	join := func(name, version, zone string) {
		gateWorker(t, g, worker.Options{Name: name, URL: s.URL(), Queue: s.Queue(), TypeVersion: version, Labels: map[string]string{"zone": zone}})
	}
	asks := func(minVersion string, route map[string]string) *testAttempt {
		task := newTask("quick", `1`)
		task.MinVersion, task.Route = minVersion, route
		return execute(t, f, task)
	}
	runsOn := func(a *testAttempt, want string) {
		t.Helper()
		if a.wait(t, sdk.OutcomeSucceeded); a.node != want {
			t.Errorf("what asks for %q of zone %v ran on %q, not on %q", a.task.MinVersion, a.task.Route, a.node, want)
		}
	}
	join("old", "1.9.0", "a")
	queuetest.Serves(t, f, "quick")
	join("mute", "", "a")
	newer, both := asks("1.10.0", nil), asks("1.10.0", map[string]string{"zone": "a"})
	for range 5 {
		runsOn(asks("1.9.0", nil), "old")
	}
	asks("", map[string]string{"zone": "a"}).wait(t, sdk.OutcomeSucceeded)
	for _, a := range []*testAttempt{newer, both} {
		select {
		case <-a.begun:
			t.Errorf("a task that asks for %s ran on %q", a.task.MinVersion, a.node)
		default:
		}
	}
	join("new", "1.10.0", "b")
	runsOn(newer, "new")
	join("newest", "v2", "a")
	runsOn(both, "newest")
	queuetest.Eventually(t, "every worker is shown with what it offers", func() bool {
		info, err := f.Describe(t.Context())
		got := map[string]string{}
		for _, n := range info.Nodes {
			got[n.Name] = n.TypeVersions["quick"]
		}
		return err == nil && len(got) == 4 && got["old"] == "1.9.0" && got["mute"] == "" && got["new"] == "1.10.0" && got["newest"] == "v2"
	})
}

// Of workers that describe a type differently, the newest is heard.
func TestNewestDescribesAType(t *testing.T) {
	f := bareFleet()
	says := func(w *remoteWorker, version, text string) {
		f.rememberTypes(w, []sdk.TypeInfo{{Name: "a", Version: version, Description: text}})
	}
	one, two := f.join("one"), f.join("two")
	for _, c := range []struct {
		by                  *remoteWorker
		version, text, want string
	}{
		{one, "1.0.0", "first", "first"}, {two, "1.1.0", "second", "second"}, {one, "1.0.0", "old news", "second"},
		{one, "1.1.0", "the same age", "the same age"}, {two, "", "mute", "the same age"}, {one, "", "nobody tells", "nobody tells"},
	} {
		says(c.by, c.version, c.text)
		if got := f.knownTypes["a"].Description; got != c.want {
			t.Errorf("after %q in version %q it is described as %q", c.text, c.version, got)
		}
	}
	says(two, "2.0.0", "new")
	delete(f.workers, two.peer)
	if says(one, "1.0.0", "back"); f.knownTypes["a"].Description != "back" {
		t.Error("what describes a type is gone, and still heard")
	}
}

// When the newest worker leaves, the next newest describes what both offered.
func TestNextNewestDescribesAType(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0"})
	g := queuetest.NewGates()
	url := brokerURL(t, f)
	join := func(name, version string) *worker.Worker {
		return gateWorker(t, g, worker.Options{Name: name, URL: url, TypeVersion: version})
	}
	described := func(version string) {
		t.Helper()
		queuetest.Eventually(t, "version "+version+" describes the type", func() bool {
			info, err := f.Describe(t.Context())
			i := slices.IndexFunc(info.Types, func(ti sdk.TypeInfo) bool { return ti.Name == "quick" })
			return err == nil && i >= 0 && info.Types[i].Version == version
		})
	}
	join("oldest", "1.0.0")
	join("old", "1.9.0")
	newest := join("newest", "2.0.0")
	queuetest.Eventually(t, "all are here", func() bool { return f.present(t) == 3 })
	described("2.0.0")
	if err := newest.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	described("1.9.0")
}
