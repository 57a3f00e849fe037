package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/engine"
	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// offering is an executor of which the test says what it offers.
type offering struct {
	sdk.Irreversible
	info    atomic.Pointer[sdk.Info]
	fails   atomic.Pointer[error]
	changed chan struct{}
}

func newOffering(info sdk.Info) *offering {
	x := &offering{changed: make(chan struct{}, 1)}
	x.info.Store(&info)
	return x
}

func (x *offering) offer(info sdk.Info) {
	x.info.Store(&info)
	x.changed <- struct{}{}
}

func (x *offering) Describe(context.Context) (sdk.Info, error) {
	if err := x.fails.Load(); err != nil {
		return sdk.Info{}, *err
	}
	return *x.info.Load(), nil
}

func (x *offering) Execute(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) {
	return sdk.Result{}, nil
}

// until waits for what the test can only look at.
func (r *rig) until(what string, is func() bool) {
	r.t.Helper()
	for end := time.Now().Add(20 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			r.t.Fatalf("never came true: %s; executors %+v", what, r.Executors())
		}
	}
}

// What an executor wishes for its tasks has the bounds of what a client may ask for.
func TestDefaultsOfAnOfferAreBounded(t *testing.T) {
	lost := math.MaxInt
	x := newOffering(sdk.Info{Types: []sdk.TypeInfo{{Name: "work", Defaults: sdk.Defaults{Timeout: math.MaxInt64, MaxAttempts: math.MaxInt, MaxLost: &lost}}}})
	r := start(t, openStore(t, t.TempDir()), engine.Options{Executors: []registry.Binding{{Name: "x", Executor: x}}})
	if got := r.submit(task.Spec{}); got.Timeout != task.MaxTimeout || got.MaxAttempts != task.MaxTries || got.MaxLost != task.MaxTries {
		t.Errorf("timeout %s, max_attempts %d, max_lost %d", got.Timeout, got.MaxAttempts, got.MaxLost)
	}
}

// One type that the host refuses is left out, alone, and the executor says why.
func TestRefusedTypeIsLeftOutAlone(t *testing.T) {
	good := sdk.TypeInfo{Name: "work"}
	for name, bad := range map[string]sdk.TypeInfo{
		"a schema that refers elsewhere": {Name: "bad", Input: json.RawMessage(`{"$ref":"https://example.org/schema.json"}`)},
		"a schema that is none":          {Name: "bad", Input: json.RawMessage(`{"type":`)},
		"a result schema that is none":   {Name: "bad", Result: json.RawMessage(`{"type":`)},
		"a name that is none":            {Name: "b a d"},
		"a name that is taken":           {Name: "work", Description: "another"},
	} {
		t.Run(name, func(t *testing.T) {
			x := newOffering(sdk.Info{Types: []sdk.TypeInfo{good, bad}})
			r := start(t, openStore(t, t.TempDir()), engine.Options{Executors: []registry.Binding{{Name: "x", Executor: x}}})
			if got := r.wait(r.submit(task.Spec{}).ID); got.State != task.Succeeded {
				t.Errorf("the good type's task %s", got.State)
			}
			s := r.Executors()[0]
			if s.State != task.ExecutorDegraded || !strings.Contains(s.LastError, bad.Name) {
				t.Errorf("shown as %s, %q, %q", s.State, s.Reason, s.LastError)
			}
		})
	}
}

// What an executor says of itself is shown: that it can run nothing, or nothing at all.
func TestExecutorThatCannotRunAnything(t *testing.T) {
	types := []sdk.TypeInfo{{Name: "work"}}
	x := newOffering(sdk.Info{Types: types, Unavailable: "the broker is away"})
	y := newOffering(sdk.Info{})
	boom := errors.New("boom")
	y.fails.Store(&boom)
	r := start(t, openStore(t, t.TempDir()), engine.Options{Executors: []registry.Binding{{Name: "x", Executor: x, Source: source{changed: x.changed}}, {Name: "y", Executor: y}}})
	s := r.Executors()
	if s[0].State != task.ExecutorDegraded || s[0].Reason != "the broker is away" {
		t.Errorf("x is shown as %s, %q", s[0].State, s[0].Reason)
	}
	if s[1].State != task.ExecutorDegraded || s[1].LastError != "boom" {
		t.Errorf("y is shown as %s, %q", s[1].State, s[1].LastError)
	}
	id := r.submit(task.Spec{}).ID
	if got := r.get(id); got.Waiting != task.WaitExecutor {
		t.Errorf("waits for %s", got.Waiting)
	}
	if ready, err := r.Ready(t.Context()); err == nil || !ready.Degraded {
		t.Errorf("ready, though nothing can run: %+v", ready)
	}
	x.offer(sdk.Info{Types: types})
	r.wait(id)
	if ready, err := r.Ready(t.Context()); err != nil || !ready.Degraded {
		t.Errorf("with one of two: %v, %+v", err, ready)
	}
}

// A type that config places is known before anybody came to offer it.
func TestPlacedTypeIsNotUnknown(t *testing.T) {
	x := newOffering(sdk.Info{Deferred: true})
	r := start(t, openStore(t, t.TempDir()), engine.Options{Types: map[string]task.TypeConfig{"work": {Executor: "x"}},
		Executors: []registry.Binding{{Name: "x", Executor: x, Source: source{changed: x.changed}}}})
	submit := func(name string) task.Code {
		_, _, err := r.Submit(t.Context(), me, []task.Spec{{Type: name}}, nil)
		return task.CodeOf(err)
	}
	if got := submit("work"); got != task.CodeExecutorUnavailable {
		t.Errorf("a type that is placed: %q", got)
	}
	if got := submit("other"); got != task.CodeUnknownType {
		t.Errorf("a type that nobody named: %q", got)
	}
	x.offer(sdk.Info{Types: []sdk.TypeInfo{{Name: "work"}}})
	r.until("the type is known", func() bool { return submit("work") == "" })
}

// An executor that died at its first start has not said what it offers.
func TestTypesOfAnExecutorInQuarantineAreNotUnknown(t *testing.T) {
	status := func() task.ExecutorStatus { return task.ExecutorStatus{State: task.ExecutorQuarantined} }
	r := start(t, openStore(t, t.TempDir()), engine.Options{Executors: []registry.Binding{{Name: "x", Executor: newOffering(sdk.Info{}), Source: source{status: status}}}})
	if _, _, err := r.Submit(t.Context(), me, []task.Spec{{Type: "work"}}, nil); task.CodeOf(err) != task.CodeExecutorUnavailable {
		t.Errorf("got %v", err)
	}
}

// A type that nobody runs where it is only remembered gives way to an executor that does.
func TestRememberedTypeGivesWay(t *testing.T) {
	away := newOffering(sdk.Info{Deferred: true, Types: []sdk.TypeInfo{{Name: "work", Unavailable: true}}})
	here := newOffering(sdk.Info{Types: []sdk.TypeInfo{{Name: "work"}}})
	r := start(t, openStore(t, t.TempDir()), engine.Options{Executors: []registry.Binding{{Name: "fleet", Executor: away, Source: source{changed: away.changed}}, {Name: "local", Executor: here}}})
	if got := r.wait(r.submit(task.Spec{}).ID); got.Executor != "local" {
		t.Errorf("ran on %q", got.Executor)
	}
	away.offer(sdk.Info{Types: []sdk.TypeInfo{{Name: "work"}}})
	r.until("the first of the file serves again", func() bool { return r.Types(me)[0].Executor == "fleet" })
}

// The operator's pause outlasts the host.
func TestPauseOutlastsARestart(t *testing.T) {
	dir := t.TempDir()
	x, _ := sdk.NewScripts(script("work", instant))
	o := engine.Options{Executors: []registry.Binding{{Name: "x", Executor: x}}}
	store := openStore(t, dir)
	r := start(t, store, o)
	if _, err := r.ControlExecutor(t.Context(), "x", "pause"); err != nil {
		t.Fatal(err)
	}
	id := r.submit(task.Spec{}).ID
	r.Close(context.Background())
	store.Close()
	store = openStore(t, dir)
	r = start(t, store, o)
	if s := r.Executors()[0]; s.State != task.ExecutorPaused {
		t.Errorf("after a restart it is %s", s.State)
	}
	if got := r.get(id); got.Waiting != task.WaitExecutor {
		t.Errorf("waits for %s", got.Waiting)
	}
	if _, err := r.ControlExecutor(t.Context(), "x", "resume"); err != nil {
		t.Fatal(err)
	}
	r.wait(id)
	r.Close(context.Background())
	store.Close()
	r = start(t, openStore(t, dir), o)
	if s := r.Executors()[0]; s.State != task.ExecutorReady {
		t.Errorf("resumed, and after a restart it is %s", s.State)
	}
}

// shy does not describe itself when first asked.
type shy struct {
	sdk.Executor
	asked atomic.Int64
}

func (s *shy) Describe(ctx context.Context) (sdk.Info, error) {
	if s.asked.Add(1) == 1 {
		return sdk.Info{}, errors.New("not now")
	}
	return s.Executor.Describe(ctx)
}

// An executor that did not describe itself is asked again, though nothing changes.
func TestExecutorIsAskedAgain(t *testing.T) {
	x, _ := sdk.NewScripts(script("work", func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) { return sdk.Result{}, nil }))
	r := start(t, openStore(t, t.TempDir()), engine.Options{Executors: []registry.Binding{{Name: "x", Executor: &shy{Executor: x}}}})
	late := time.After(15 * time.Second)
	for len(r.Types(me)) == 0 {
		select {
		case <-late:
			t.Fatal("its types never became known")
		default:
		}
	}
	if got := r.wait(r.submit(task.Spec{}).ID); got.State != task.Succeeded {
		t.Errorf("got %s", got.State)
	}
}
