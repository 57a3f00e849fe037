package engine_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/engine"
	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// A task must not rest where nobody wakes it: what the host cannot wake is
// refused, and says why.
func TestYieldsThatNobodyWakesAreRefused(t *testing.T) {
	for name, y := range map[string]error{
		"children":   sdk.YieldForChildren([]string{"01990f4e-7f3a-7c55-a1b2-0123456789ab"}, nil),
		"resumed":    sdk.YieldUntilResumed(nil),
		"checkpoint": sdk.YieldUntil(time.Now(), make([]byte, sdk.MaxCheckpoint+1)),
		"away":       sdk.YieldUntil(time.Now().AddDate(400, 0, 0), nil),
	} {
		r := scripts(t, 1, nil, script("work", func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) { return sdk.Result{}, y }))
		got := r.wait(r.submit(task.Spec{}).ID)
		if got.State != task.Failed || got.Attempt != 1 || got.Error.Code != task.FailureProtocol || !strings.Contains(got.Error.Message, name) {
			t.Errorf("%s: %s after %d attempts, %+v", name, got.State, got.Attempt, got.Error)
		}
	}
}

func TestYieldUntilATime(t *testing.T) {
	r := scripts(t, 1, nil, script("work", func(_ context.Context, st sdk.Task, _ sdk.Reporter) (sdk.Result, error) {
		if st.Checkpoint == nil {
			return sdk.Result{}, sdk.YieldUntil(time.Now().Add(20*time.Millisecond), []byte("here"))
		}
		return sdk.Text(string(st.Checkpoint)), nil
	}))
	got := r.wait(r.submit(task.Spec{MaxAttempts: 1}).ID)
	if got.State != task.Succeeded || string(got.Result) != "here" || got.Failures != 0 {
		t.Errorf("%s, %q, %+v", got.State, got.Result, got.Error)
	}
}

// A task that pins an executor which is in the config no more waits for it,
// visibly, and not for the one that serves its type.
func TestTaskOfARemovedExecutorIsShown(t *testing.T) {
	dir := t.TempDir()
	x, _ := sdk.NewScripts(script("work", newGate().run))
	store := openStore(t, dir)
	r := start(t, store, engine.Options{Executors: []registry.Binding{{Name: "old", Executor: x}, {Name: "x", Executor: x}}})
	if _, err := r.ControlExecutor(t.Context(), "old", "pause"); err != nil {
		t.Fatal(err)
	}
	s := r.submit(task.Spec{Executor: "old"})
	if s.Waiting != task.WaitExecutor {
		t.Errorf("the answer to the submit says it waits for %s", s.Waiting)
	}
	r.Close(context.Background())
	store.Close()
	r = start(t, openStore(t, dir), engine.Options{Executors: []registry.Binding{{Name: "x", Executor: x}}})
	if got := r.get(s.ID); got.Waiting != task.WaitExecutor || got.Executor != "old" {
		t.Errorf("waits for %s of %q", got.Waiting, got.Executor)
	}
}

// starting is an executor whose process is not there yet.
func starting() task.ExecutorStatus { return task.ExecutorStatus{State: task.ExecutorStarting} }

func TestPinnedExecutorThatIsStartingIsNoFaultOfTheRequest(t *testing.T) {
	x, _ := sdk.NewScripts(script("work", newGate().run))
	r := start(t, openStore(t, t.TempDir()), engine.Options{Executors: []registry.Binding{{Name: "x", Executor: x}, {Name: "slow", Executor: x, Source: source{status: starting}}}})
	_, _, err := r.Submit(t.Context(), me, []task.Spec{{Type: "work", Executor: "slow"}}, nil)
	if task.CodeOf(err) != task.CodeExecutorUnavailable {
		t.Errorf("got %v", err)
	}
}

func TestReplayOfADeletedTask(t *testing.T) {
	r := scripts(t, 4, nil, script("work", func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) { return sdk.Result{}, nil }))
	idem := &task.Idempotency{Owner: "me", Key: "k", Hash: [32]byte{1}}
	ts, _, err := r.Submit(t.Context(), me, []task.Spec{{Type: "work"}}, idem)
	if err != nil {
		t.Fatal(err)
	}
	r.wait(ts[0].ID)
	if err := r.Delete(t.Context(), me, ts[0].ID); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.Submit(t.Context(), me, []task.Spec{{Type: "work"}}, idem); task.CodeOf(err) != task.CodeConflict || !strings.Contains(err.Error(), "deleted") {
		t.Errorf("got %v", err)
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
	for len(r.Types()) == 0 {
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

// A queue is full for those who pin an executor as well.
func TestQueueLimitHoldsForPinnedTasks(t *testing.T) {
	g := newGate()
	x, _ := sdk.NewScripts(script("work", g.run))
	r := start(t, openStore(t, t.TempDir()), engine.Options{
		Types:     map[string]task.TypeConfig{"work": {QueueLimit: 1}},
		Executors: []registry.Binding{{Name: "x", Slots: 1, Executor: x}, {Name: "y", Slots: 1, Executor: x}},
	})
	r.submit(task.Spec{Executor: "y"})
	<-g.began
	r.submit(task.Spec{Executor: "y"})
	if _, _, err := r.Submit(t.Context(), me, []task.Spec{{Type: "work", Executor: "y"}}, nil); task.CodeOf(err) != task.CodeQueueFull {
		t.Errorf("a full queue: %v", err)
	}
	close(g.let)
}
