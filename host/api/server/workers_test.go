package server_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/server"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// workers is an executor with nodes, of which one is gone. It runs nothing.
type workers struct {
	sdk.Irreversible
	mu       sync.Mutex
	drained  map[string]bool
	controls bool
	used     int
}

func (x *workers) Describe(context.Context) (sdk.Info, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	info := sdk.Info{Types: []sdk.TypeInfo{{Name: "import"}}, Deferred: true, ControlsNodes: x.controls}
	for _, n := range []sdk.Node{{Name: "a", Instance: "A1", Used: x.used}, {Name: "a", Instance: "A2"}, {Name: "b", Instance: "B1", Gone: true}} {
		n.Slots, n.Types, n.Version, n.Labels, n.LastSeen = 4, []string{"import"}, "1.2", map[string]string{"zone": "x"}, time.Now()
		n.Draining = x.drained[n.Name]
		info.Nodes = append(info.Nodes, n)
	}
	return info, nil
}

func (x *workers) Execute(ctx context.Context, _ sdk.Task, _ sdk.Reporter) (sdk.Result, error) {
	<-ctx.Done()
	return sdk.Result{}, sdk.ErrReleased
}

func (x *workers) ControlNode(_ context.Context, node, action string) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.drained[node] = action == "drain"
	return nil
}

// workerStates lists workers as name/instance and state.
func workerStates(t *testing.T, r *testServer) string {
	t.Helper()
	all, err := r.client.Workers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, w := range all {
		out = append(out, fmt.Sprintf("%s/%s %s", w.Name, w.Instance, w.State))
	}
	return strings.Join(out, ", ")
}

// Workers are shown with all that an operator asks for.
func TestWorkers(t *testing.T) {
	r := &testServer{t: t, log: &syncBuffer{}}
	r.serve(&workers{drained: map[string]bool{}, controls: true}, server.Options{})
	if got := workerStates(t, r); got != "a/A1 ready, a/A2 ready, b/B1 gone" {
		t.Errorf("listed: %s", got)
	}
	all, err := r.client.Workers(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if w := all[0]; w.Labels["zone"] != "x" || w.Version != "1.2" || w.Executor != "x" || w.LastSeen == nil || w.Slots.Max != 4 {
		t.Errorf("%+v", w)
	}
	a := r.do("GET", "/v1/workers/b", "")
	r.wants(a, 200, "")
	if want := `"state":"gone"`; !strings.Contains(string(a.body), want) || strings.Contains(string(a.body), `"A1"`) {
		t.Errorf("%s", a.body)
	}
	r.wants(r.do("GET", "/v1/workers/none", ""), 404, task.CodeNotFound)
}

// Drain and resume are for a name, and answer with the workers as they are at this moment.
func TestWorkersAreDrainedAndResumed(t *testing.T) {
	r := &testServer{t: t, log: &syncBuffer{}}
	x := &workers{drained: map[string]bool{}, controls: true}
	r.serve(x, server.Options{})
	x.mu.Lock()
	x.used = 2 // without any word to the host
	x.mu.Unlock()
	if w, err := r.client.ControlWorker(t.Context(), "a", "drain"); err != nil || w.State != api.WorkerDraining || w.Slots.Used != 2 || !w.Draining {
		t.Errorf("%+v, %v", w, err)
	}
	if got := workerStates(t, r); got != "a/A1 draining, a/A2 drained, b/B1 gone" {
		t.Errorf("drained: %s", got)
	}
	if w, err := r.client.ControlWorker(t.Context(), "a", "resume"); err != nil || w.State != api.WorkerReady {
		t.Errorf("%+v, %v", w, err)
	}
	if w, err := r.client.ControlWorker(t.Context(), "b", "drain"); err != nil || w.State != api.WorkerGone || !w.Draining {
		t.Errorf("one that is gone: %+v, %v", w, err)
	}
	for _, path := range []string{"/v1/workers/none/resume", "/v1/workers/none/drain", "/v1/workers/a/restart"} {
		r.wants(r.do("POST", path, ""), 404, task.CodeNotFound)
	}
}

// What an executor does not say that it can do, it is not asked to.
func TestWorkersThatNobodyControls(t *testing.T) {
	r := &testServer{t: t, log: &syncBuffer{}}
	r.serve(&workers{drained: map[string]bool{}}, server.Options{})
	r.wants(r.do("POST", "/v1/workers/a/drain", ""), 409, task.CodeConflict)
}

// A task that no worker can run says what is missing.
func TestWaitingReason(t *testing.T) {
	r := &testServer{t: t, log: &syncBuffer{}}
	r.serve(&workers{drained: map[string]bool{}}, server.Options{})
	a := r.do("POST", "/v1/tasks", `{"type":"import","route":{"zone":"y"}}`)
	r.wants(a, 202, "")
	var d api.Task
	a.json(t, &d)
	if d.Waiting == nil || *d.Waiting != "executor" || d.WaitReason == nil || !strings.Contains(*d.WaitReason, "has the label zone=y") {
		t.Errorf("%s", a.body)
	}
	r.wantCounts("import", api.Counts{Waiting: 1})
}
