package engine_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/engine"
	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/sqlite"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

var me = task.Scope{Owner: "me"}

// rig is an engine on a real store.
type rig struct {
	*engine.Engine
	t     *testing.T
	store *sqlite.Store
}

// source is an executor's state as the test says it; ready where it says nothing.
type source struct {
	status  func() task.ExecutorStatus
	changed chan struct{}
}

func (s source) Status() task.ExecutorStatus {
	if s.status == nil {
		return task.ExecutorStatus{State: task.ExecutorReady}
	}
	return s.status()
}

func (s source) State() task.ExecutorState { return s.Status().State }

func (s source) Changed() <-chan struct{} { return s.changed }

func openStore(t *testing.T, dir string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), dir, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

// start starts a rig on a store, by way of o.Store if that is set.
func start(t *testing.T, store *sqlite.Store, o engine.Options) *rig {
	t.Helper()
	if o.Store == nil {
		o.Store = store
	}
	if o.CancelGrace == 0 {
		o.CancelGrace = 5 * time.Second
	}
	if o.DrainTimeout == 0 {
		o.DrainTimeout = 10 * time.Millisecond
	}
	e := engine.New(o)
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close(context.Background()) })
	return &rig{e, t, store}
}

// scripts is a rig with one executor, named x, of scripts.
func scripts(t *testing.T, slots int, types map[string]task.TypeConfig, list ...sdk.Script) *rig {
	t.Helper()
	x, err := sdk.NewScripts(list...)
	if err != nil {
		t.Fatal(err)
	}
	return start(t, openStore(t, t.TempDir()), engine.Options{Types: types, Executors: []registry.Binding{{Name: "x", Plugin: "scripts", Slots: slots, Executor: x}}})
}

func script(name string, run func(ctx context.Context, t sdk.Task, r sdk.Reporter) (sdk.Result, error)) sdk.Script {
	return sdk.Script{TypeInfo: sdk.TypeInfo{Name: name}, Run: run}
}

func (r *rig) submit(spec task.Spec) task.Task {
	r.t.Helper()
	if spec.Type == "" {
		spec.Type = "work"
	}
	ts, _, err := r.Submit(r.t.Context(), me, []task.Spec{spec}, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	return ts[0]
}

func (r *rig) wait(id task.ID) task.Task {
	r.t.Helper()
	ctx, stop := context.WithTimeout(r.t.Context(), 20*time.Second)
	defer stop()
	t, err := r.Wait(ctx, me, id)
	if err != nil {
		r.t.Fatal(err)
	}
	if !t.State.Final() {
		r.t.Fatalf("task is still %s (%s)", t.State, t.Waiting)
	}
	return t
}

func (r *rig) get(id task.ID) task.Task {
	r.t.Helper()
	t, err := r.Get(r.t.Context(), me, id)
	if err != nil {
		r.t.Fatal(err)
	}
	return t
}

// path is the states of the task's history.
func (r *rig) path(id task.ID) string {
	r.t.Helper()
	events, err := r.History(r.t.Context(), me, id, 0)
	if err != nil {
		r.t.Fatal(err)
	}
	var states []string
	for _, e := range events {
		states = append(states, e.To.String())
		if !task.Allowed(e.From, e.To) {
			r.t.Errorf("history has %s to %s, which the table does not allow", e.From, e.To)
		}
	}
	return strings.Join(states, " ")
}

var quick = map[string]task.TypeConfig{"work": {Backoff: task.Backoff{Initial: time.Millisecond, Max: time.Millisecond}}}

// gate is a script that says when it runs and waits to be let go.
type gate struct {
	began chan string
	let   chan struct{}
	deaf  bool // does not listen to its context
}

func newGate() *gate { return &gate{began: make(chan string, 100), let: make(chan struct{})} }

func (g *gate) run(ctx context.Context, t sdk.Task, _ sdk.Reporter) (sdk.Result, error) {
	g.began <- string(t.Input)
	if g.deaf {
		ctx = context.Background()
	}
	select {
	case <-g.let:
		return sdk.Result{}, nil
	case <-ctx.Done():
		return sdk.Result{}, context.Cause(ctx)
	}
}

// remote is an executor that hands attempts on, by the rules of Info.Deferred.
type remote struct {
	sdk.Irreversible
	calls  chan call
	result sdk.Result // "ok" as text if it is none
}

type call struct {
	t    sdk.Task
	r    sdk.Reporter
	ctx  context.Context
	done chan error
}

func (x *remote) Describe(context.Context) (sdk.Info, error) {
	return sdk.Info{Types: []sdk.TypeInfo{{Name: "work"}}, Deferred: true, Outlives: true, Slots: 10}, nil
}

func (x *remote) Execute(ctx context.Context, t sdk.Task, r sdk.Reporter) (sdk.Result, error) {
	c := call{t, r, ctx, make(chan error)}
	x.calls <- c
	select {
	case err := <-c.done:
		if x.result.Stored {
			return x.result, err
		}
		return sdk.Text("ok"), err
	case <-ctx.Done():
		if errors.Is(context.Cause(ctx), sdk.ErrDetach) {
			return sdk.Result{}, context.Cause(ctx)
		}
		return sdk.Result{}, <-c.done
	}
}
