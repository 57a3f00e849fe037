package fleet

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/plugins/remote-queue/worker"
	"github.com/taskhost/taskhost/sdk"
)

// Types stay known while nobody serves them, also over a restart.
func TestTypesAreRemembered(t *testing.T) {
	dir := t.TempDir()
	f := openFleet(t, dir, map[string]any{"listen": "127.0.0.1:0"})
	g := queuetest.NewGates()
	w := gateWorker(t, g, worker.Options{URL: brokerURL(t, f), Labels: map[string]string{"zone": "a"}, Version: "7"})
	queuetest.Serves(t, f, "gate")
	info, err := f.Describe(t.Context())
	if err != nil || len(info.Nodes) != 1 {
		t.Fatalf("nodes: %+v, %v", info.Nodes, err)
	}
	if n := info.Nodes[0]; n.Name != "w1" || n.Version != "7" || n.Slots != 10 || n.Labels["zone"] != "a" ||
		n.Address != "127.0.0.1" || len(n.Types) != 2 || n.LastSeen.IsZero() {
		t.Errorf("node: %+v", n)
	}
	if err := w.Drain(t.Context()); err != nil {
		t.Fatal(err)
	}
	gone := func(f *fleet) {
		t.Helper()
		queuetest.Eventually(t, "the worker is gone", func() bool { return f.present(t) == 0 })
		info, _ := f.Describe(t.Context())
		if len(info.Types) != 2 || !info.Types[0].Unavailable || len(info.Types[0].Input) == 0 {
			t.Errorf("types without a worker: %+v", info.Types)
		}
	}
	gone(f)
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	gone(openFleet(t, dir, map[string]any{"listen": "127.0.0.1:0"}))
}

// bareFleet has no broker: for what is decided in memory alone.
func bareFleet() *fleet {
	return &fleet{log: hclog.NewNullLogger(), restURL: "http://127.0.0.1:1", attempts: map[sdk.Token]*attempt{}, forgottenTokens: map[sdk.Token]struct{}{},
		workers: map[wire.Peer]*remoteWorker{}, knownTypes: map[string]*knownType{}, goneWorkers: map[string]goneWorker{}, drained: map[string]struct{}{}, routes: map[string]wire.Route{wire.AnyRoute: {}}}
}

func (f *fleet) join(name string, types ...string) *remoteWorker {
	w := &remoteWorker{peer: wire.Peer{Name: name, Instance: "AAAAAAAA"}, described: true}
	f.workers[w.peer] = w
	var infos []sdk.TypeInfo
	for _, t := range types {
		infos = append(infos, sdk.TypeInfo{Name: t})
	}
	f.rememberTypes(w, infos)
	return w
}

// The file of types is a cache: whatever became of it, the host starts, and the
// workers tell their types again.
func TestTypesFileIsACache(t *testing.T) {
	for name, content := range map[string]string{"empty": "", "torn": `[{"name": "gate", "descr`, "foreign": `{"a": 1}`,
		"holes": `[null, {"name": ""}, {"name": "../x"}]`, "zeros": strings.Repeat("\x00", 512)} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "types.json"), []byte(content), 0o600); err != nil {
				t.Fatal(err)
			}
			f := openFleet(t, dir, map[string]any{"listen": "127.0.0.1:0"})
			gateWorker(t, queuetest.NewGates(), worker.Options{URL: brokerURL(t, f)})
			queuetest.Serves(t, f, "gate")
			queuetest.Eventually(t, "the file is whole", func() bool {
				data, err := os.ReadFile(f.typesPath())
				var list []knownType
				return err == nil && json.Unmarshal(data, &list) == nil && len(list) == 2
			})
		})
	}
}

// A file as an earlier version wrote it, without times, is read.
func TestTypesFileWithoutTimes(t *testing.T) {
	f := bareFleet()
	f.cfg.DataDir = t.TempDir()
	if err := os.WriteFile(f.typesPath(), []byte(`[{"name":"a","description":"d"}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	f.loadTypes()
	if k := f.knownTypes["a"]; k == nil || k.Description != "d" || time.Since(k.LastOffered) > time.Minute {
		t.Errorf("%+v", k)
	}
}

// A type that no worker offers stays known for a while, and for as long as an
// attempt is of it.
func TestTypesAreForgotten(t *testing.T) {
	f := bareFleet()
	f.join("w1", "offered")
	w := f.join("w2", "used", "unused")
	delete(f.workers, w.peer)
	f.attempts[sdk.Token{1}] = &attempt{lane: wire.Lane{Route: wire.AnyRoute, Type: "used"}}
	names := func() string {
		i, err := f.Describe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		for _, ti := range i.Types {
			fmt.Fprintf(&b, "%s:%v ", ti.Name, !ti.Unavailable)
		}
		return b.String()
	}
	if f.forgetTypes(time.Now().Add(keepTypes - time.Hour)); names() != "offered:true unused:false used:false " {
		t.Errorf("early: %s", names())
	}
	if !f.forgetTypes(time.Now().Add(keepTypes+time.Hour)) || names() != "offered:true used:false " {
		t.Errorf("late: %s", names())
	}
	delete(f.attempts, sdk.Token{1})
	if f.forgetTypes(time.Now().Add(keepTypes + time.Hour)); names() != "offered:true " {
		t.Errorf("without its attempt: %s", names())
	}
}

// The types of all workers are bounded: those that nobody offers make room, and
// beyond that a worker's type is left out, and its others are not.
func TestTypesAreBounded(t *testing.T) {
	f := bareFleet()
	many := func(prefix string) (names []string) {
		for i := range maxTypes {
			names = append(names, fmt.Sprintf("%s%d", prefix, i))
		}
		return names
	}
	old := f.join("old", many("old")...)
	delete(f.workers, old.peer)
	f.join("a", "first")
	if len(f.knownTypes) != maxTypes || f.knownTypes["first"] == nil {
		t.Fatalf("%d types, first %v", len(f.knownTypes), f.knownTypes["first"])
	}
	full := f.join("full", many("new")...)
	if len(f.knownTypes) != maxTypes || len(full.types) != maxTypes-1 || f.knownTypes["first"] == nil {
		t.Fatalf("%d types, %d of the second worker", len(f.knownTypes), len(full.types))
	}
	if late := f.join("late", "new0", "another"); len(late.types) != 1 || late.types[0] != "new0" {
		t.Errorf("with no room left: %v", late.types)
	}
	delete(f.workers, full.peer)
	w := &remoteWorker{peer: wire.Peer{Name: "large", Instance: "AAAAAAAA"}}
	f.workers[w.peer] = w
	large := json.RawMessage(`"` + strings.Repeat("x", maxTypesBytes/2) + `"`)
	f.rememberTypes(w, []sdk.TypeInfo{{Name: "l1", Input: large}, {Name: "l2", Input: large}})
	if len(w.types) != 1 || f.knownTypes["first"] == nil {
		t.Errorf("large ones: %v", w.types)
	}
}

// The host is asked to look again when the offer changed, and not by each heartbeat.
func TestHeartbeatsAreNoChange(t *testing.T) {
	var changes atomic.Int64
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0", "changed": func() { changes.Add(1) }})
	w := gateWorker(t, queuetest.NewGates(), worker.Options{URL: brokerURL(t, f)})
	queuetest.Serves(t, f, "gate")
	p := peers(f)[0]
	heard := func() time.Duration {
		f.mu.Lock()
		defer f.mu.Unlock()
		if w := f.workers[p]; w != nil {
			return w.heardAt
		}
		return 0
	}
	// The first heartbeats may settle something: the offer, and whether the host's REST answers.
	beats := func(n int) {
		for range n {
			last := heard()
			queuetest.Eventually(t, "another heartbeat", func() bool { return heard() > last })
		}
	}
	beats(5)
	before := changes.Load()
	if before == 0 {
		t.Error("the host was not told of the worker")
	}
	a := execute(t, f, newTask("gate", `"k"`))
	a.started(t)
	f.queueItem(p, &wire.Item{Kind: wire.KindDescribe}) // it also describes itself after each loss of the connection
	beats(60)                                           // three seconds, as long as it was between two such changes, and more
	if n := changes.Load(); n != before {
		t.Errorf("%d changes by heartbeats alone", n-before)
	}
	go func() { _ = w.Drain(t.Context()) }()
	queuetest.Eventually(t, "told of the drain", func() bool { return changes.Load() > before })
}
