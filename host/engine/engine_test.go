package engine_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/engine"
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

func openStore(t *testing.T, dir string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), dir, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func start(t *testing.T, store *sqlite.Store, o engine.Options) *rig {
	t.Helper()
	o.Store = store
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
func scripts(t *testing.T, slots int, types map[string]engine.TypeConfig, list ...sdk.Script) *rig {
	t.Helper()
	x, err := sdk.NewScripts(list...)
	if err != nil {
		t.Fatal(err)
	}
	return start(t, openStore(t, t.TempDir()), engine.Options{Types: types, Executors: []engine.Executor{{Name: "x", Plugin: "scripts", Slots: slots, Impl: x}}})
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

var quick = map[string]engine.TypeConfig{"work": {Backoff: &task.Backoff{Initial: time.Millisecond, Max: time.Millisecond}}}

func TestTaskBornRunningSucceeds(t *testing.T) {
	r := scripts(t, 4, nil, script("work", func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) { return sdk.Text("done"), nil }))
	id := r.submit(task.Spec{Input: json.RawMessage(`{"a":1}`)}).ID
	got := r.wait(id)
	if got.State != task.Succeeded || string(got.Result) != "done" || got.Attempt != 1 || string(got.Input) != `{"a":1}` {
		t.Errorf("got %+v", got)
	}
	if p := r.path(id); p != "running succeeded" {
		t.Errorf("history: %s; a task that finds a free slot is two writes", p)
	}
}

func TestFailuresAreRetriedUpToMaxAttempts(t *testing.T) {
	var runs atomic.Int64
	r := scripts(t, 4, quick, script("work", func(_ context.Context, st sdk.Task, _ sdk.Reporter) (sdk.Result, error) {
		runs.Add(1)
		if string(st.Input) == "2" && st.Attempt == 2 {
			return sdk.Result{}, nil
		}
		if string(st.Input) == "9" {
			return sdk.Result{}, sdk.Permanent(errors.New("no use"))
		}
		if string(st.Input) == "8" {
			panic("oh no")
		}
		return sdk.Result{}, fmt.Errorf("attempt %d failed", st.Attempt)
	}))
	for _, c := range []struct {
		input    string
		state    task.State
		attempts int
		code     string
	}{
		{"1", task.Failed, 3, "script_failed"},
		{"2", task.Succeeded, 2, ""},
		{"9", task.Failed, 1, "permanent"},
		{"8", task.Failed, 3, "script_failed"},
	} {
		got := r.wait(r.submit(task.Spec{Input: json.RawMessage(c.input)}).ID)
		code := ""
		if got.Error != nil {
			code = got.Error.Code
		}
		if got.State != c.state || got.Attempt != c.attempts || code != c.code {
			t.Errorf("input %s: %s after %d attempts, code %q; want %s after %d, %q", c.input, got.State, got.Attempt, code, c.state, c.attempts, c.code)
		}
	}
	failed := r.wait(r.submit(task.Spec{Input: json.RawMessage("1"), MaxAttempts: 1}).ID)
	again, err := r.Retry(t.Context(), me, failed.ID)
	if err != nil || again.State != task.Pending {
		t.Fatalf("retry: %v, %s", err, again.State)
	}
	if got := r.wait(failed.ID); got.Attempt != 2 {
		t.Errorf("after a retry by hand the attempt's number is %d, want 2: it goes on", got.Attempt)
	}
}

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

func TestCancelIsConfirmed(t *testing.T) {
	g := newGate()
	r := scripts(t, 1, nil, script("work", g.run))
	running := r.submit(task.Spec{})
	<-g.began
	waiting := r.submit(task.Spec{})
	if got, err := r.Cancel(t.Context(), me, waiting.ID); err != nil || got.State != task.Canceled {
		t.Errorf("cancel of a waiting task: %v, %s", err, got.State)
	}
	if got, err := r.Cancel(t.Context(), me, running.ID); err != nil || got.State != task.Canceling {
		t.Errorf("cancel of a running task: %v, %s", err, got.State)
	}
	got := r.wait(running.ID)
	if got.State != task.Canceled || got.Error.Details["confirmed"] != true {
		t.Errorf("got %s, %+v", got.State, got.Error)
	}
	if _, err := r.Cancel(t.Context(), me, running.ID); task.CodeOf(err) != task.CodeAlreadyFinal {
		t.Errorf("second cancel: %v", err)
	}
}

func TestAttemptThatDoesNotStopIsGivenUp(t *testing.T) {
	g := newGate()
	g.deaf = true
	x, _ := sdk.NewScripts(script("work", g.run))
	r := start(t, openStore(t, t.TempDir()), engine.Options{CancelGrace: 20 * time.Millisecond,
		Executors: []engine.Executor{{Name: "x", Slots: 1, Impl: x}}})
	first := r.submit(task.Spec{})
	<-g.began
	if _, err := r.Cancel(t.Context(), me, first.ID); err != nil {
		t.Fatal(err)
	}
	got := r.wait(first.ID)
	if got.State != task.Canceled || got.Error.Details["confirmed"] != false {
		t.Errorf("got %s, %+v", got.State, got.Error)
	}
	if s := r.Executors()[0]; s.Used != 1 {
		t.Errorf("%d slots in use, want 1: the goroutine is still there", s.Used)
	}
	second := r.submit(task.Spec{})
	if second.State != task.Pending {
		t.Errorf("the slot was given away: %s", second.State)
	}
	close(g.let)
	if got := r.wait(second.ID); got.State != task.Succeeded {
		t.Errorf("after the goroutine came back: %s", got.State)
	}
	if r.Ignored() == 0 {
		t.Error("the late end of the first was not counted")
	}
}

func TestAttemptTimesOut(t *testing.T) {
	g := newGate()
	r := scripts(t, 1, nil, script("work", g.run))
	got := r.wait(r.submit(task.Spec{Timeout: 10 * time.Millisecond, MaxAttempts: 1}).ID)
	if got.State != task.Failed || got.Error.Code != "timeout" {
		t.Errorf("got %s, %+v", got.State, got.Error)
	}
}

func TestWaitingTasksRunByPriorityThenAge(t *testing.T) {
	g := newGate()
	r := scripts(t, 1, nil, script("work", g.run))
	r.submit(task.Spec{Input: json.RawMessage(`"first"`)})
	<-g.began
	var last task.ID
	for i, p := range []int{0, 5, 0, 9, 5} {
		last = r.submit(task.Spec{Input: json.RawMessage(fmt.Sprint(i)), Priority: p}).ID
	}
	var order []string
	for range 5 {
		g.let <- struct{}{}
		order = append(order, <-g.began)
	}
	close(g.let)
	if want := []string{"3", "1", "4", "0", "2"}; !slices.Equal(order, want) {
		t.Errorf("ran in order %v, want %v", order, want)
	}
	r.wait(last)
}

func TestScheduledTaskWaitsForItsTime(t *testing.T) {
	r := scripts(t, 4, nil, script("work", func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) { return sdk.Result{}, nil }))
	at := time.Now().Add(150 * time.Millisecond)
	s := r.submit(task.Spec{RunAt: at})
	if s.State != task.Pending || s.Waiting != task.WaitScheduled {
		t.Errorf("got %s, %s", s.State, s.Waiting)
	}
	if got := r.wait(s.ID); got.StartedAt.Before(at) {
		t.Errorf("started at %s, before %s", got.StartedAt, at)
	}
}

func TestCheckpointCrossesAttempts(t *testing.T) {
	r := scripts(t, 4, quick, script("work", func(_ context.Context, st sdk.Task, rep sdk.Reporter) (sdk.Result, error) {
		if st.Attempt == 1 {
			if err := rep.Checkpoint([]byte("here")); err != nil {
				return sdk.Result{}, err
			}
			return sdk.Result{}, errors.New("once more")
		}
		return sdk.Text(string(st.Checkpoint)), nil
	}))
	if got := r.wait(r.submit(task.Spec{}).ID); string(got.Result) != "here" {
		t.Errorf("the second attempt found %q", got.Result)
	}
}

func TestProgressAndLogs(t *testing.T) {
	r := scripts(t, 4, nil, script("work", func(_ context.Context, _ sdk.Task, rep sdk.Reporter) (sdk.Result, error) {
		rep.Progress(3, 10, "a third")
		rep.Log().Named("part").Info("hello", "n", 1)
		return sdk.Result{}, nil
	}))
	got := r.wait(r.submit(task.Spec{}).ID)
	if got.Progress != (task.Progress{Done: 3, Total: 10, Message: "a third"}) {
		t.Errorf("progress %+v", got.Progress)
	}
	lines, err := r.Logs(t.Context(), me, got.ID, task.LogFilter{})
	if err != nil || len(lines) != 1 || lines[0].Message != "part: hello" || lines[0].Fields["n"] != "1" {
		t.Errorf("logs %+v, %v", lines, err)
	}
}

func TestSubmitRefusals(t *testing.T) {
	type in struct {
		N int `json:"n"`
	}
	g := newGate()
	x, _ := sdk.NewScripts(
		sdk.Func("typed", func(context.Context, in, sdk.Reporter) (int, error) { return 0, nil }),
		script("work", g.run))
	r := start(t, openStore(t, t.TempDir()), engine.Options{
		Types:     map[string]engine.TypeConfig{"work": {QueueLimit: 1, MaxInput: 10}},
		Executors: []engine.Executor{{Name: "x", Slots: 1, Impl: x}},
	})
	for _, c := range []struct {
		spec  task.Spec
		code  task.Code
		place string
	}{
		{task.Spec{Type: "nope"}, task.CodeUnknownType, "/type"},
		{task.Spec{Type: "work", Executor: "y"}, task.CodeInvalidRequest, "/executor"},
		{task.Spec{Type: "typed", Input: json.RawMessage(`{"n":"x"}`)}, task.CodeInvalidInput, "/input/n"},
		{task.Spec{Type: "typed", Input: json.RawMessage(`{"n":1,"m":2}`)}, task.CodeInvalidInput, "/input"},
		{task.Spec{Type: "work", Input: json.RawMessage(`"12345678901"`)}, task.CodeTooLarge, "/input"},
		{task.Spec{Type: "work", Input: json.RawMessage(`{`)}, task.CodeInvalidInput, "/input"},
		{task.Spec{Type: "work", Deadline: time.Now().Add(-time.Second)}, task.CodeInvalidRequest, "/deadline"},
	} {
		_, _, err := r.Submit(t.Context(), me, []task.Spec{c.spec}, nil)
		var e *task.Error
		if !errors.As(err, &e) || e.Code != c.code || len(e.Fields) == 0 || e.Fields[0].Place() != c.place {
			t.Errorf("%+v: %v (%+v), want %s at %s", c.spec, err, e, c.code, c.place)
		}
	}
	r.submit(task.Spec{})
	<-g.began
	r.submit(task.Spec{})
	if _, _, err := r.Submit(t.Context(), me, []task.Spec{{Type: "work"}}, nil); task.CodeOf(err) != task.CodeQueueFull {
		t.Errorf("a full queue: %v", err)
	}
	close(g.let)
}

func TestGracefulStopCostsNothing(t *testing.T) {
	dir, g := t.TempDir(), newGate()
	x, _ := sdk.NewScripts(script("work", g.run))
	list := []engine.Executor{{Name: "x", Slots: 1, Impl: x}}
	store := openStore(t, dir)
	first := start(t, store, engine.Options{Executors: list})
	id := first.submit(task.Spec{MaxAttempts: 1}).ID
	<-g.began
	if err := first.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if got := first.get(id); got.State != task.Pending || got.Failures != 0 || got.Lost != 0 {
		t.Errorf("after the stop: %s, %d failures, %d lost", got.State, got.Failures, got.Lost)
	}
	if _, _, err := first.Submit(t.Context(), me, []task.Spec{{Type: "work"}}, nil); task.CodeOf(err) != task.CodeStoreUnavailable {
		t.Errorf("submit to a stopped host: %v", err)
	}
	store.Close()
	second := start(t, openStore(t, dir), engine.Options{Executors: list})
	<-g.began
	close(g.let)
	if got := second.wait(id); got.State != task.Succeeded || got.Attempt != 2 {
		t.Errorf("after the restart: %s, attempt %d", got.State, got.Attempt)
	}
}

// What a dead host left running on a local executor is lost; max_lost bounds how often.
func TestRecoverSettlesLost(t *testing.T) {
	dir := t.TempDir()
	store := openStore(t, dir)
	var ids []task.ID
	for i, maxLost := range []int{3, 0} {
		tk, err := task.New(task.ID{byte(i + 1)}, "me", task.Spec{Type: "work", MaxLost: &maxLost}, task.DefaultLimits(), time.Now())
		if err != nil {
			t.Fatal(err)
		}
		tk = task.Begin(tk, "x", task.Token{byte(i + 1)}, false, time.Now()).Task
		if _, err := store.Insert(t.Context(), task.Submission{Tasks: []*task.Task{&tk}}); err != nil {
			t.Fatal(err)
		}
		ids = append(ids, tk.ID)
	}
	x, _ := sdk.NewScripts(script("work", func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) { return sdk.Result{}, nil }))
	r := start(t, store, engine.Options{Executors: []engine.Executor{{Name: "x", Slots: 4, Impl: x}}})
	if got := r.wait(ids[0]); got.State != task.Succeeded || got.Attempt != 2 || got.Lost != 1 {
		t.Errorf("may be lost: %s, attempt %d, lost %d", got.State, got.Attempt, got.Lost)
	}
	if got := r.wait(ids[1]); got.State != task.Failed || got.Error.Code != "executor_lost" || got.Attempt != 1 {
		t.Errorf("never twice: %s, %+v, attempt %d", got.State, got.Error, got.Attempt)
	}
}

// A task that was lost runs with no other suspect beside it.
func TestSuspectsRunOneAtATime(t *testing.T) {
	var mu sync.Mutex
	now, most := 0, 0
	r := scripts(t, 8, nil, script("work", func(ctx context.Context, st sdk.Task, _ sdk.Reporter) (sdk.Result, error) {
		if st.Attempt == 1 {
			return sdk.Result{}, sdk.ErrLost
		}
		mu.Lock()
		now++
		most = max(most, now)
		mu.Unlock()
		time.Sleep(2 * time.Millisecond) // long enough for another to begin, if it were let
		mu.Lock()
		now--
		mu.Unlock()
		return sdk.Result{}, nil
	}))
	var ids []task.ID
	for range 6 {
		ids = append(ids, r.submit(task.Spec{}).ID)
	}
	for _, id := range ids {
		if got := r.wait(id); got.State != task.Succeeded {
			t.Errorf("got %s", got.State)
		}
	}
	if most != 1 {
		t.Errorf("%d suspects ran at once", most)
	}
}

// remote is an executor that hands attempts on, by the rules of Info.Deferred.
type remote struct {
	sdk.Irreversible
	calls chan call
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
		return sdk.Text("ok"), err
	case <-ctx.Done():
		if errors.Is(context.Cause(ctx), sdk.ErrDetach) {
			return sdk.Result{}, context.Cause(ctx)
		}
		return sdk.Result{}, <-c.done
	}
}

func TestDeferredAttempts(t *testing.T) {
	dir, x := t.TempDir(), &remote{calls: make(chan call, 10)}
	list := []engine.Executor{{Name: "x", Impl: x}}
	store := openStore(t, dir)
	r := start(t, store, engine.Options{Executors: list})

	id := r.submit(task.Spec{}).ID
	c := <-x.calls
	if got := r.get(id); got.State != task.Pending || got.Waiting != task.WaitDispatched || got.Attempt != 1 {
		t.Fatalf("handed on: %s %s, attempt %d", got.State, got.Waiting, got.Attempt)
	}
	c.done <- sdk.ErrReleased
	c = <-x.calls
	if err := c.r.Started([]byte("h"), "w1"); err != nil {
		t.Fatal(err)
	}
	if got := r.get(id); got.State != task.Running || got.Node != "w1" || got.Attempt != 2 || got.Failures+got.Lost != 0 {
		t.Fatalf("started: %+v", got)
	}

	gone := r.submit(task.Spec{}).ID
	g := <-x.calls
	if got, err := r.Cancel(t.Context(), me, gone); err != nil || got.State != task.Canceled {
		t.Fatalf("cancel of a dispatched task: %v, %s", err, got.State)
	}
	if err := g.r.Started([]byte("h"), "w1"); err == nil {
		t.Error("a withdrawn attempt was let start")
	}
	<-g.ctx.Done()
	g.done <- sdk.ErrReleased

	if err := r.Close(context.Background()); err != nil { // the fleet works on
		t.Fatal(err)
	}
	if got := r.get(id); got.State != task.Running {
		t.Fatalf("after the host let go: %s", got.State)
	}
	store.Close()
	r = start(t, openStore(t, dir), engine.Options{Executors: list})
	c = <-x.calls
	if !c.t.Rejoin || string(c.t.Handle) != "h" || c.t.Attempt != 2 {
		t.Errorf("joined with %+v", c.t)
	}
	c.done <- nil
	if got := r.wait(id); got.State != task.Succeeded || got.Attempt != 2 {
		t.Errorf("got %s, attempt %d", got.State, got.Attempt)
	}
	if p := r.path(id); p != "pending pending pending running succeeded" {
		t.Logf("history: %s", p)
	}
}

func TestPausedExecutorKeepsTasksWaiting(t *testing.T) {
	r := scripts(t, 4, nil, script("work", func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) { return sdk.Result{}, nil }))
	if _, err := r.ControlExecutor(t.Context(), "x", "pause"); err != nil {
		t.Fatal(err)
	}
	id := r.submit(task.Spec{}).ID
	if got := r.get(id); got.State != task.Pending || got.Waiting != task.WaitExecutor {
		t.Errorf("got %s, %s", got.State, got.Waiting)
	}
	if _, err := r.ControlExecutor(t.Context(), "x", "resume"); err != nil {
		t.Fatal(err)
	}
	if got := r.wait(id); got.State != task.Succeeded {
		t.Errorf("got %s", got.State)
	}
}

func TestSubmitOnce(t *testing.T) {
	r := scripts(t, 4, nil, script("work", func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) { return sdk.Result{}, nil }))
	idem := &task.Idempotency{Owner: "me", Key: "k", Hash: [32]byte{1}}
	a, _, err := r.Submit(t.Context(), me, []task.Spec{{Type: "work"}}, idem)
	if err != nil {
		t.Fatal(err)
	}
	b, replayed, err := r.Submit(t.Context(), me, []task.Spec{{Type: "work"}}, idem)
	if err != nil || !replayed || a[0].ID != b[0].ID {
		t.Errorf("second: %v, replayed %v", err, replayed)
	}
	if _, _, err := r.Submit(t.Context(), me, []task.Spec{{Type: "work"}}, &task.Idempotency{Owner: "me", Key: "k", Hash: [32]byte{2}}); task.CodeOf(err) != task.CodeIdempotencyMismatch {
		t.Errorf("another request under the key: %v", err)
	}
	if s := r.Executors()[0]; s.Used != 0 {
		r.wait(a[0].ID)
	}
}

func TestManyAtOnce(t *testing.T) {
	var runs atomic.Int64
	r := scripts(t, 50, nil, script("work", func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) {
		runs.Add(1)
		return sdk.Result{}, nil
	}))
	const clients, each = 16, 50
	var wg sync.WaitGroup
	ids := make(chan task.ID, clients*each)
	for range clients {
		wg.Go(func() {
			for range each {
				ts, _, err := r.Submit(context.Background(), me, []task.Spec{{Type: "work"}}, nil)
				if err != nil {
					t.Error(err)
					return
				}
				ids <- ts[0].ID
			}
		})
	}
	wg.Wait()
	close(ids)
	for id := range ids {
		if got := r.wait(id); got.State != task.Succeeded || got.Attempt != 1 {
			t.Fatalf("%s after %d attempts", got.State, got.Attempt)
		}
	}
	if n := runs.Load(); n != clients*each {
		t.Errorf("%d runs of %d tasks", n, clients*each)
	}
}

// What is sent again is answered, though it would be refused if it were new.
func TestReplayComesBeforeRefusal(t *testing.T) {
	g := newGate()
	r := scripts(t, 1, map[string]engine.TypeConfig{"work": {QueueLimit: 1}}, script("work", g.run))
	r.submit(task.Spec{})
	<-g.began
	idem := &task.Idempotency{Owner: "me", Key: "k", Hash: [32]byte{1}}
	first, _, err := r.Submit(t.Context(), me, []task.Spec{{Type: "work"}}, idem)
	if err != nil {
		t.Fatal(err)
	}
	again, replayed, err := r.Submit(t.Context(), me, []task.Spec{{Type: "work"}}, idem)
	if err != nil || !replayed || again[0].ID != first[0].ID {
		t.Errorf("with the queue full: %v, replayed %v", err, replayed)
	}
	close(g.let)
	r.wait(first[0].ID)
}

// routed is a deferred executor with one node of which the test says the zone.
type routed struct {
	remote
	zone atomic.Value
}

func (x *routed) Describe(context.Context) (sdk.Info, error) {
	return sdk.Info{Types: []sdk.TypeInfo{{Name: "work"}}, Deferred: true, Slots: 1,
		Nodes: []sdk.Node{{Name: "n", Types: []string{"work"}, Labels: map[string]string{"zone": x.zone.Load().(string)}}}}, nil
}

// A task waits for the executor, and holds no slot of it, until there is a node of its route.
func TestRouteWithoutNodeWaits(t *testing.T) {
	x := &routed{remote: remote{calls: make(chan call, 10)}}
	x.zone.Store("a")
	changed := make(chan struct{}, 1)
	r := start(t, openStore(t, t.TempDir()), engine.Options{Executors: []engine.Executor{{Name: "x", Impl: x, Changed: changed}}})
	far := r.submit(task.Spec{Route: map[string]string{"zone": "b"}})
	if got := r.get(far.ID); got.Waiting != task.WaitExecutor {
		t.Errorf("waits: %s", got.Waiting)
	}
	near := r.submit(task.Spec{Route: map[string]string{"zone": "a"}})
	c := <-x.calls
	if c.t.ID != near.ID.String() {
		t.Errorf("the executor was given %s, want %s", c.t.ID, near.ID)
	}
	if err := c.r.Started([]byte("h"), "n"); err != nil {
		t.Error(err)
	}
	c.done <- nil
	r.wait(near.ID)
	x.zone.Store("b")
	changed <- struct{}{}
	c = <-x.calls
	if c.t.ID != far.ID.String() {
		t.Errorf("the executor was given %s, want %s", c.t.ID, far.ID)
	}
	if err := c.r.Started([]byte("h"), "n"); err != nil {
		t.Error(err)
	}
	c.done <- nil
	r.wait(far.ID)
}

// One line of config moves what waits, and the tasks do not notice.
func TestSetTypesMovesWaitingTasks(t *testing.T) {
	var mu sync.Mutex
	ran := map[string]int{}
	work := func(name string) sdk.Executor {
		x, err := sdk.NewScripts(script("work", func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) {
			mu.Lock()
			defer mu.Unlock()
			ran[name]++
			return sdk.Result{}, nil
		}))
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	r := start(t, openStore(t, t.TempDir()), engine.Options{Executors: []engine.Executor{{Name: "a", Impl: work("a")}, {Name: "b", Impl: work("b")}}})
	if _, err := r.ControlExecutor(t.Context(), "a", "pause"); err != nil {
		t.Fatal(err)
	}
	var ids []task.ID
	for range 20 {
		ids = append(ids, r.submit(task.Spec{}).ID)
	}
	r.SetTypes(map[string]engine.TypeConfig{"work": {Executor: "b"}})
	for _, id := range ids {
		if got := r.wait(id); got.State != task.Succeeded || got.Executor != "b" {
			t.Errorf("%s on %s", got.State, got.Executor)
		}
	}
	if ran["a"] != 0 || ran["b"] != len(ids) {
		t.Errorf("ran %v", ran)
	}
}
