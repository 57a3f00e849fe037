package engine_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/engine"
	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/sqlite"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// lookedAt is a store that says when an executor looks for work in a lane, and holds up
// inserts until they are let.
type lookedAt struct {
	*sqlite.Store
	lane    task.LaneID
	looks   chan struct{}
	inserts chan chan struct{}
}

func (s lookedAt) Ready(ctx context.Context, lanes []task.LaneID) (int64, error) {
	n, err := s.Store.Ready(ctx, lanes)
	if slices.Contains(lanes, s.lane) {
		select {
		case s.looks <- struct{}{}:
		default:
		}
	}
	return n, err
}

func (s lookedAt) Insert(ctx context.Context, sub task.Submission) (task.Receipt, error) {
	await(s.inserts)
	return s.Store.Insert(ctx, sub)
}

// start is an engine on that store which nothing but wake-ups moves.
func (s lookedAt) start(t *testing.T, o engine.Options) *rig {
	t.Helper()
	o.Store, o.DrainTimeout = s, 10*time.Millisecond
	e := engine.New(o)
	e.NoPolls()
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close(context.Background()) })
	return &rig{e, t, s.Store}
}

// moveTo has the executor serve the type, and returns when it has looked for work after that.
func (s lookedAt) moveTo(t *testing.T, r *rig, taskType, executor string) {
	t.Helper()
	for len(s.looks) > 0 {
		<-s.looks
	}
	r.SetTypes(map[string]task.TypeConfig{taskType: {Executor: executor}})
	select {
	case <-s.looks:
	case <-time.After(20 * time.Second):
		t.Fatal("the executor did not look for work")
	}
}

func instant(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) { return sdk.Result{}, nil }

// The config moves a type while an attempt runs that comes back to wait: whoever serves
// the type now is woken, and not whoever had the attempt.
func TestTaskThatComesBackWakesItsNewExecutor(t *testing.T) {
	for name, back := range map[string]error{"released": sdk.ErrReleased, "lost": sdk.ErrLost, "yield": sdk.YieldUntil(time.Now().Add(-time.Second), nil)} {
		t.Run(name, func(t *testing.T) {
			began, let := make(chan struct{}), make(chan struct{})
			a, _ := sdk.NewScripts(script("work", func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) {
				close(began)
				<-let
				return sdk.Result{}, back
			}))
			b, _ := sdk.NewScripts(script("work", instant), script("own", instant))
			s := lookedAt{Store: openStore(t, t.TempDir()), lane: 1, looks: make(chan struct{}, 100)}
			r := s.start(t, engine.Options{Types: map[string]task.TypeConfig{"work": {Executor: "a"}},
				Executors: []registry.Binding{{Name: "a", Executor: a}, {Name: "b", Executor: b}}})
			r.wait(r.submit(task.Spec{Type: "own"}).ID) // the lane by which b is known
			id := r.submit(task.Spec{}).ID
			<-began
			s.moveTo(t, r, "work", "b")
			close(let)
			if got := r.wait(id); got.State != task.Succeeded || got.Executor != "b" {
				t.Errorf("%s on %s", got.State, got.Executor)
			}
		})
	}
}

// The same where a submit is on its way to the disk.
func TestSubmitWakesTheExecutorThatServesNow(t *testing.T) {
	g := newGate()
	defer close(g.let)
	a, _ := sdk.NewScripts(script("work", g.run), script("other", g.run))
	b, _ := sdk.NewScripts(script("work", instant), script("own", instant))
	s := lookedAt{Store: openStore(t, t.TempDir()), lane: 1, looks: make(chan struct{}, 100), inserts: make(chan chan struct{})}
	r := s.start(t, engine.Options{Types: map[string]task.TypeConfig{"work": {Executor: "a"}},
		Executors: []registry.Binding{{Name: "a", Executor: a, Slots: 1}, {Name: "b", Executor: b}}})
	go r.Submit(context.Background(), me, []task.Spec{{Type: "own"}}, nil) // the lane by which b is known
	close(<-s.inserts)
	go r.Submit(context.Background(), me, []task.Spec{{Type: "other"}}, nil) // a's only slot
	close(<-s.inserts)
	<-g.began
	ids := make(chan task.ID, 1)
	go func() {
		ts, _, err := r.Submit(context.Background(), me, []task.Spec{{Type: "work"}}, nil)
		if err != nil {
			t.Error(err)
			return
		}
		ids <- ts[0].ID
	}()
	let := <-s.inserts // looked up, and on its way to the disk
	s.moveTo(t, r, "work", "b")
	close(let)
	if got := r.wait(<-ids); got.State != task.Succeeded || got.Executor != "b" {
		t.Errorf("%s on %s", got.State, got.Executor)
	}
}

// late is a store that shows what is ready only when it is let, and says when it was asked
// before that.
type late struct {
	*sqlite.Store
	shows atomic.Bool
	looks chan struct{}
}

func (s *late) Ready(ctx context.Context, lanes []task.LaneID) (int64, error) {
	if s.shows.Load() {
		return s.Store.Ready(ctx, lanes)
	}
	select {
	case s.looks <- struct{}{}:
	default:
	}
	return 0, nil
}

// Nothing waits for ever because a wake-up was missed.
func TestMissedWakeUpIsMadeGood(t *testing.T) {
	x, _ := sdk.NewScripts(script("work", instant))
	s := &late{Store: openStore(t, t.TempDir()), looks: make(chan struct{}, 100)}
	e := engine.New(engine.Options{Store: s, Executors: []registry.Binding{{Name: "x", Executor: x}}})
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close(context.Background()) })
	r := &rig{e, t, s.Store}
	<-s.looks
	id := r.submit(task.Spec{RunAt: time.Now().Add(10 * time.Millisecond)}).ID
	r.until("it is ready", func() bool { n, _ := s.Store.Ready(t.Context(), []task.LaneID{1}); return n == 1 })
	for len(s.looks) > 0 {
		<-s.looks
	}
	<-s.looks // whoever was woken for it has looked by now, and found nothing
	s.shows.Store(true)
	if got := r.wait(id); got.State != task.Succeeded {
		t.Errorf("got %s", got.State)
	}
}
