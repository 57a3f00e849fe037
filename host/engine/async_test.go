package engine_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/engine"
	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/sqlite"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// away is an executor whose attempts are somewhere else. It has one lock, as who serves many
// attempts has, and tells of their ends under it.
type away struct {
	sdk.Irreversible
	mu      sync.Mutex
	begun   []awayAttempt
	settled int
	changed chan struct{} // signaled with each
}

type awayAttempt struct {
	ctx  context.Context
	task sdk.Task
	r    sdk.Reporter
	done func(sdk.Result, error)
}

func (x *away) Describe(context.Context) (sdk.Info, error) {
	return sdk.Info{Types: []sdk.TypeInfo{{Name: "work"}}}, nil
}

func (x *away) Execute(ctx context.Context, t sdk.Task, r sdk.Reporter) (sdk.Result, error) {
	return sdk.Await(func(done func(sdk.Result, error)) { x.ExecuteAsync(ctx, t, r, done) })
}

func (x *away) ExecuteAsync(ctx context.Context, t sdk.Task, r sdk.Reporter, done func(sdk.Result, error)) {
	x.note(func() { x.begun = append(x.begun, awayAttempt{ctx, t, r, done}) })
}

func (x *away) Settled(sdk.Token) { x.note(func() { x.settled++ }) }

func (x *away) note(change func()) {
	x.mu.Lock()
	change()
	x.mu.Unlock()
	select {
	case x.changed <- struct{}{}:
	default:
	}
}

// until waits for what is is about.
func (x *away) until(is func() bool) {
	for {
		x.mu.Lock()
		ok := is()
		x.mu.Unlock()
		if ok {
			return
		}
		<-x.changed
	}
}

// attempts takes those that were begun, once there are so many.
func (x *away) attempts(n int) []awayAttempt {
	x.until(func() bool { return len(x.begun) >= n })
	x.mu.Lock()
	defer x.mu.Unlock()
	begun := x.begun
	x.begun = nil
	return begun
}

// end ends attempts under the lock.
func (x *away) end(list []awayAttempt, res sdk.Result, err error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, a := range list {
		a.done(res, err)
	}
}

// busyStore is a store on which whatever an attempt's end may need waits while mu is held.
type busyStore struct {
	*sqlite.Store
	mu *sync.Mutex
}

func (s busyStore) Apply(ctx context.Context, cs []task.Change) []error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Store.Apply(ctx, cs)
}

func (s busyStore) AppendLogs(ctx context.Context, seq int64, lines []task.LogLine) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Store.AppendLogs(ctx, seq, lines)
}

func (s busyStore) Upload(ctx context.Context, seq int64, token task.Token) (task.Upload, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.Store.Upload(ctx, seq, token)
}

// startAway starts a rig with one executor, which is away, and a store that is busy while the
// mutex is held.
func startAway(t *testing.T, slots int) (*rig, *away, *sync.Mutex) {
	x := &away{changed: make(chan struct{}, 1)}
	s := busyStore{openStore(t, t.TempDir()), new(sync.Mutex)}
	r := start(t, s.Store, engine.Options{Store: s, Types: quick,
		Executors: []registry.Binding{{Name: "x", Plugin: "away", Slots: slots, Executor: x}}})
	return r, x, s.mu
}

func TestAttemptsAwayCostNoGoroutine(t *testing.T) {
	const n = 1000
	r, x, _ := startAway(t, n)
	before := runtime.NumGoroutine()
	if _, _, err := r.Submit(t.Context(), me, slices.Repeat([]task.Spec{{Type: "work"}}, n), nil); err != nil {
		t.Fatal(err)
	}
	list := x.attempts(n)
	if grown := runtime.NumGoroutine() - before; grown > n/10 {
		t.Errorf("%d attempts are away, and there are %d goroutines more", n, grown)
	}
	x.end(list, sdk.Text("ok"), nil)
	x.until(func() bool { return x.settled == n })
}

// Who tells of an end is never made to wait for the store: it has other attempts to hear.
func TestEndsAreToldWhileTheStoreIsBusy(t *testing.T) {
	r, x, busy := startAway(t, 4)
	large := sdk.Result{ContentType: "application/octet-stream", Data: make([]byte, 1<<20)}
	for name, c := range map[string]struct {
		before func(a awayAttempt)
		res    sdk.Result
		err    error
		want   task.State
	}{
		"plain":        {nil, sdk.Text("ok"), nil, task.Succeeded},
		"large":        {nil, large, nil, task.Succeeded},
		"fails":        {nil, sdk.Result{}, sdk.Permanent(errors.New("no use")), task.Failed},
		"not uploaded": {nil, sdk.Result{Stored: true}, nil, task.Failed},
		"with lines":   {func(a awayAttempt) { a.r.Log().Info("nearly there") }, sdk.Text("ok"), nil, task.Succeeded},
	} {
		t.Run(name, func(t *testing.T) {
			id := r.submit(task.Spec{MaxAttempts: 1}).ID
			list := x.attempts(1)
			if c.before != nil {
				c.before(list[0])
			}
			busy.Lock()
			told := make(chan struct{})
			go func() { x.end(list, c.res, c.err); close(told) }()
			select {
			case <-told:
				busy.Unlock()
			case <-time.After(20 * time.Second):
				busy.Unlock()
				t.Fatal("it waits for the store")
			}
			if got := r.wait(id); got.State != c.want || string(got.Result) != string(c.res.Data) {
				t.Errorf("got %s with %d bytes, want %s with %d", got.State, len(got.Result), c.want, len(c.res.Data))
			}
			if c.before == nil {
				return
			}
			if lines, err := r.Logs(t.Context(), me, id, task.LogFilter{}); err != nil || len(lines) != 1 {
				t.Errorf("lines %v, %v", lines, err)
			}
		})
	}
}

// A retry and a cancel, both of which need more than a first attempt.
func TestAttemptsAwayAreRetriedAndCanceled(t *testing.T) {
	r, x, _ := startAway(t, 4)
	id := r.submit(task.Spec{MaxAttempts: 2}).ID
	x.end(x.attempts(1), sdk.Result{}, errors.New("once more"))
	second := x.attempts(1)
	if second[0].task.Attempt != 2 {
		t.Errorf("attempt %d", second[0].task.Attempt)
	}
	if _, err := r.Cancel(t.Context(), me, id); err != nil {
		t.Fatal(err)
	}
	<-second[0].ctx.Done()
	x.end(second, sdk.Result{}, fmt.Errorf("stopped: %w", context.Cause(second[0].ctx)))
	if got := r.wait(id); got.State != task.Canceled {
		t.Errorf("got %s, %+v", got.State, got.Error)
	}
}

// claimedStore is a store that says of each claim how many tasks it has begun.
type claimedStore struct {
	*sqlite.Store
	claimed chan int
}

func (s claimedStore) Claim(ctx context.Context, c task.Claim) ([]task.Claimed, error) {
	claimed, err := s.Store.Claim(ctx, c)
	s.claimed <- len(claimed)
	return claimed, err
}

// While attempts begin that were claimed, others are claimed; and all begin in the order of
// their tasks.
func TestOthersAreClaimedWhileAttemptsBegin(t *testing.T) {
	const n = 600 // more than one claim, no more than two
	x := &away{changed: make(chan struct{}, 1)}
	s := claimedStore{openStore(t, t.TempDir()), make(chan int, 2*n)}
	r := start(t, s.Store, engine.Options{Store: s, Types: quick,
		Executors: []registry.Binding{{Name: "x", Plugin: "away", Slots: n, Executor: x}}})
	control := func(action string) {
		if _, err := r.ControlExecutor(t.Context(), "x", action); err != nil {
			t.Fatal(err)
		}
	}
	control("pause") // or else those who submit begin them
	tasks, _, err := r.Submit(t.Context(), me, slices.Repeat([]task.Spec{{Type: "work"}}, n), nil)
	x.mu.Lock() // no attempt begins
	control("resume")
	late := time.After(20 * time.Second)
	for claimed := 0; err == nil && claimed < n; {
		select {
		case more := <-s.claimed:
			claimed += more
		case <-late:
			err = fmt.Errorf("%d of %d are claimed while the first waits to begin", claimed, n)
		}
	}
	x.mu.Unlock()
	if err != nil {
		t.Fatal(err)
	}
	list := x.attempts(n)
	for i, a := range list {
		if a.task.ID != tasks[i].ID.String() {
			t.Fatalf("attempt %d is of %s, want %s", i, a.task.ID, tasks[i].ID)
		}
	}
	x.end(list, sdk.Text("ok"), nil)
	x.until(func() bool { return x.settled == n })
}
