package engine_test

import (
	"strings"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/board"
	"github.com/taskhost/taskhost/host/engine"
	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// putMinVersion puts the oldest version that may run tasks of type work.
func (r *rig) putMinVersion(version string) {
	r.t.Helper()
	if _, _, err := r.PutType(r.t.Context(), me, task.TypeSpec{Name: "work", TypeConfig: task.TypeConfig{MinVersion: version}}); err != nil {
		r.t.Fatal(err)
	}
}

// waitsFor says that a task waits for an executor, for a reason that has this in it.
func (r *rig) waitsFor(id task.ID, reason string) bool {
	r.t.Helper()
	got := r.get(id)
	return got.State == task.Pending && got.Waiting == task.WaitExecutor && strings.Contains(got.WaitReason, reason)
}

// nodeOf is a node that offers type work in a version.
func nodeOf(name, version, zone string) sdk.Node {
	n := node(name, 10, "work")
	n.TypeVersions = map[string]string{"work": version}
	n.Labels = map[string]string{"zone": zone}
	return n
}

// A task whose type asks for a least version waits while no node with its labels is new
// enough, and what was handed on before a rise of that version is taken back as it begins.
func TestMinVersionOfNodes(t *testing.T) {
	offers := func(nodes ...sdk.Node) sdk.Info {
		return sdk.Info{Deferred: true, Slots: 100, Types: types("work"), Nodes: nodes}
	}
	old := nodeOf("old", "1.9.0", "a")
	x := nodes{newOffering(offers(old)), make(chan call, 100)}
	r := start(t, openStore(t, t.TempDir()), engine.Options{Executors: []registry.Binding{{Name: "x", Executor: x, Source: source{changed: x.changed}}}})
	id, local := r.submit(task.Spec{}).ID, r.submit(task.Spec{Route: map[string]string{"zone": "a"}}).ID
	var before []call
	for range 2 {
		c := <-x.calls
		if c.t.MinVersion != "" {
			t.Errorf("an attempt asks for version %q", c.t.MinVersion)
		}
		before = append(before, c)
	}
	r.putMinVersion("1.10.0")
	startSoon := func(c call) error {
		answer := make(chan error, 1)
		c.r.StartedSoon([]byte("h"), "old", func(err error) { answer <- err })
		return <-answer
	}
	for i, start := range []func(call) error{startSoon, func(c call) error { return c.r.Started([]byte("h"), "old") }} {
		c := before[i]
		if err := start(c); err == nil || !strings.Contains(err.Error(), "version 1.10.0") {
			t.Errorf("attempt %d is too old to begin: %v", i, err)
		}
		c.done <- sdk.ErrReleased
	}
	const reason = `is of version 1.10.0 or newer; the newest is 1.9.0`
	r.until("both wait for a newer one", func() bool { return r.waitsFor(id, reason) && r.waitsFor(local, reason) })
	x.offer(offers(old, nodeOf("new", "1.10.0", "b")))
	runs := func(want task.ID, node string) {
		t.Helper()
		c := <-x.calls
		if c.t.ID != want.String() || c.t.MinVersion != "1.10.0" {
			t.Errorf("%s was handed on for version %q, want %s", c.t.ID, c.t.MinVersion, want)
		}
		if err := c.r.Started([]byte("h"), node); err != nil {
			t.Error(err)
		}
		c.done <- nil
		if got := r.wait(want); got.State != task.Succeeded || got.Attempt > 2 {
			t.Errorf("attempt %d %s", got.Attempt, got.State)
		}
	}
	runs(id, "new")
	if !r.waitsFor(local, `that offers task type "work" and has its labels `+reason) {
		t.Errorf("waits for %q", r.get(local).WaitReason)
	}
	x.offer(offers(old, nodeOf("newest", "2.0.0", "a")))
	runs(local, "newest")
	// What runs, and says so once more, is not asked for its version again.
	last := r.submit(task.Spec{}).ID
	c := <-x.calls
	if err := c.r.Started([]byte("h"), "newest"); err != nil {
		t.Error(err)
	}
	r.putMinVersion("3.0.0")
	if err := c.r.Started([]byte("h"), "newest"); err != nil {
		t.Error(err)
	}
	c.done <- nil
	r.wait(last)
}

// An executor without nodes that offers an older version is passed over, and tasks wait if
// none is new enough.
func TestMinVersionOfExecutors(t *testing.T) {
	offers := func(version string) *offering {
		return newOffering(sdk.Info{Types: []sdk.TypeInfo{{Name: "work", Version: version}}})
	}
	r := start(t, openStore(t, t.TempDir()), engine.Options{Executors: []registry.Binding{
		{Name: "mute", Executor: offers("")}, {Name: "old", Executor: offers("1.0.0")}, {Name: "new", Executor: offers("2.0.0")}}})
	for _, c := range []struct{ least, by string }{{"", "mute"}, {"1.0.0", "old"}, {"1.0.1", "new"}, {"", "mute"}} {
		r.putMinVersion(c.least)
		if got := r.wait(r.submit(task.Spec{}).ID); got.Executor != c.by {
			t.Errorf("with %q it ran on %q, want %q", c.least, got.Executor, c.by)
		}
	}
	r.putMinVersion("2.0.1")
	id, pinned := r.submit(task.Spec{}).ID, r.submit(task.Spec{Executor: "old"}).ID
	if !r.waitsFor(id, "without telling its version, and 2.0.1 or newer is wanted") || !r.waitsFor(pinned, "in version 1.0.0, and 2.0.1 or newer is wanted") {
		t.Errorf("they wait for %q and %q", r.get(id).WaitReason, r.get(pinned).WaitReason)
	}
	r.putMinVersion("1.0.0")
	for _, id := range []task.ID{id, pinned} {
		if got := r.wait(id); got.Executor != "old" {
			t.Errorf("it ran on %q", got.Executor)
		}
	}
}

// A worker of the board says how new it is, and gets no task of a type that asks for more;
// what is put while it waits holds for it at once.
func TestMinVersionOnTheBoard(t *testing.T) {
	r := boardRig(t, openStore(t, t.TempDir()), 10, "work")
	r.putMinVersion("1.10.0")
	id := r.submit(task.Spec{}).ID
	for _, version := range []string{"", "1.9.0"} {
		if got := r.claim(board.Request{Worker: "old", Version: version}); len(got) != 0 {
			t.Errorf("a worker of version %q has %v", version, got)
		}
	}
	if backlog := r.Status(t.Context(), me).Backlog; len(backlog) != 1 || backlog[0].Reason != `no worker of version 1.10.0 or newer has claimed them from executor "board"` {
		t.Errorf("it waits for %+v", backlog)
	}
	if c := r.one(board.Request{Worker: "new", Version: "1.10.0"}); c.Task != id {
		t.Errorf("claimed %s", c.Task)
	}
	waits := make(chan []board.Claim, 1)
	second := r.submit(task.Spec{}).ID
	go func() {
		claims, err := r.tryClaim(t.Context(), board.Request{Worker: "old", Version: "1.9.0", Wait: 20 * time.Second})
		if err != nil {
			t.Error(err)
		}
		waits <- claims
	}()
	r.putMinVersion("")
	if claims := <-waits; len(claims) != 1 || claims[0].Task != second {
		t.Errorf("claimed %v", claims)
	}
}
