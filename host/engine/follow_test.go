package engine_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/engine"
	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/sqlite"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// sharedStore is a store that the test changes as another host would.
type sharedStore struct{ *sqlite.Store }

func (sharedStore) Shared() bool { return true }

// elsewhere makes a change of the task that the engine did not make.
func (s sharedStore) elsewhere(t *testing.T, id task.ID, decide func(*task.Task) (task.Change, error)) {
	t.Helper()
	was, err := s.Get(t.Context(), task.Scope{All: true}, id)
	if err != nil {
		t.Fatal(err)
	}
	c, err := decide(&was)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Apply(t.Context(), []task.Change{c})[0]; err != nil {
		t.Fatal(err)
	}
}

func cancelBy(who string) func(*task.Task) (task.Change, error) {
	return func(t *task.Task) (task.Change, error) { return task.Cancel(t, who, time.Now().UTC()) }
}

// followed is an engine without polls on a store that others change.
func followed(t *testing.T, run func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error)) (*rig, sharedStore) {
	t.Helper()
	s := sharedStore{openStore(t, t.TempDir())}
	return followedOn(t, s, s, run), s
}

// followedOn is an engine on a store that is shared and lies over s.
func followedOn(t *testing.T, store engine.Store, s sharedStore, run func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error)) *rig {
	t.Helper()
	x, _ := sdk.NewScripts(script("work", run))
	e := engine.New(engine.Options{Store: store, DrainTimeout: 10 * time.Millisecond, Executors: []registry.Binding{{Name: "x", Executor: x}}})
	e.NoPolls()
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close(context.Background()) })
	return &rig{e, t, s.Store}
}

// What another host has inserted is run here, though nobody here was told.
func TestTaskOfAnotherHostIsRun(t *testing.T) {
	r, s := followed(t, instant)
	r.wait(r.submit(task.Spec{}).ID)
	tk, err := task.New(task.ID{7}, "me", task.Spec{Type: "work"}, task.DefaultLimits(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Insert(t.Context(), task.Submission{Tasks: []*task.Task{&tk}}); err != nil {
		t.Fatal(err)
	}
	r.until("the task is done", func() bool { return r.get(tk.ID).State == task.Succeeded })
}

// canceled is a script that runs once and goes on until it is told to stop.
type canceled struct {
	began chan struct{}
	why   chan error
}

func newCanceled() *canceled { return &canceled{make(chan struct{}), make(chan error, 1)} }

func (c *canceled) run(ctx context.Context, _ sdk.Task, _ sdk.Reporter) (sdk.Result, error) {
	close(c.began)
	<-ctx.Done()
	c.why <- context.Cause(ctx)
	return sdk.Result{}, context.Cause(ctx)
}

// await waits until the script is told that its task was canceled.
func (c *canceled) await(t *testing.T) {
	t.Helper()
	select {
	case err := <-c.why:
		if !errors.Is(err, sdk.ErrCancel) {
			t.Errorf("the attempt ended because: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the attempt was not told")
	}
}

// An attempt here ends when its task is canceled by way of another host.
func TestCancelByAnotherHost(t *testing.T) {
	c := newCanceled()
	r, s := followed(t, c.run)
	id := r.submit(task.Spec{}).ID
	<-c.began
	s.elsewhere(t, id, cancelBy("ann"))
	c.await(t)
	if got := r.wait(id); got.State != task.Canceled || got.Error.Details["confirmed"] != true {
		t.Errorf("%s, %+v", got.State, got.Error)
	}
}

// An attempt that another host ends before this one follows is told as well.
func TestCancelBeforeItIsFollowed(t *testing.T) {
	c := newCanceled()
	s := sharedStore{openStore(t, t.TempDir())}
	late := lateFeed{s, make(chan struct{})}
	r := followedOn(t, late, s, c.run)
	id := r.submit(task.Spec{}).ID
	<-c.began
	s.elsewhere(t, id, cancelBy("ann"))
	close(late.begin)
	c.await(t)
}

// lateFeed is a store whose feed is not followed before the test says so.
type lateFeed struct {
	sharedStore
	begin chan struct{}
}

func (s lateFeed) Changes(ctx context.Context, since int64, now time.Time) (task.Changes, error) {
	<-s.begin
	return s.sharedStore.Changes(ctx, since, now)
}

// A watcher hears of what another host does, and of each event once.
func TestWatcherHearsOfAnotherHost(t *testing.T) {
	g := newGate()
	r, s := followed(t, g.run)
	id := r.submit(task.Spec{RunAt: time.Now().Add(time.Hour)}).ID
	updates, err := r.Watch(t.Context(), me, id)
	if err != nil {
		t.Fatal(err)
	}
	s.elsewhere(t, id, cancelBy("ann"))
	last := int64(0)
	until := func(state task.State) task.Update {
		late := time.After(20 * time.Second)
		for {
			select {
			case u := <-updates:
				if u.Event == nil {
					continue
				}
				if u.Event.Seq <= last {
					t.Errorf("heard of event %d after %d", u.Event.Seq, last)
				}
				last = u.Event.Seq
				if u.Event.To == state {
					return u
				}
			case <-late:
				t.Fatalf("the watcher did not hear that the task is %s", state)
			}
		}
	}
	if u := until(task.Canceled); u.Event.By != "ann" || u.Task.State != task.Canceled {
		t.Errorf("heard %+v", u.Event)
	}
	if _, err := r.Retry(t.Context(), me, id); err != nil { // by this host, and told by the feed as well
		t.Fatal(err)
	}
	<-g.began
	close(g.let)
	r.wait(id)
	until(task.Succeeded)
}

// changingStore has another host change a task right after it was read in its second version, once.
type changingStore struct {
	sharedStore
	change *atomic.Pointer[func()]
}

func (s changingStore) Get(ctx context.Context, scope task.Scope, id task.ID) (task.Task, error) {
	t, err := s.sharedStore.Get(ctx, scope, id)
	if t.Version != 2 {
		return t, err
	}
	if change := s.change.Swap(nil); change != nil {
		(*change)()
	}
	return t, err
}

// A watcher hears of no change with the task as it was before, also if that was read meanwhile.
func TestWatcherHearsOfNoChangeTooEarly(t *testing.T) {
	s := sharedStore{openStore(t, t.TempDir())}
	store := changingStore{s, new(atomic.Pointer[func()])}
	r := followedOn(t, store, s, instant)
	id := r.submit(task.Spec{RunAt: time.Now().Add(time.Hour)}).ID
	updates, err := r.Watch(t.Context(), me, id)
	if err != nil {
		t.Fatal(err)
	}
	cancel := func() { s.elsewhere(t, id, cancelBy("ann")) }
	store.change.Store(&cancel)
	s.elsewhere(t, id, func(is *task.Task) (task.Change, error) { return task.Pause(is, "ben", time.Now().UTC()) })
	for {
		select {
		case u := <-updates:
			if u.Event == nil || u.Event.To != task.Canceled {
				continue
			}
			if u.Task.State != task.Canceled {
				t.Errorf("heard that the task is canceled with one that is %s", u.Task.State)
			}
			return
		case <-time.After(20 * time.Second):
			t.Fatal("the watcher did not hear that the task is canceled")
		}
	}
}
