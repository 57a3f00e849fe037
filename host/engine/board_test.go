package engine_test

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/board"
	"github.com/taskhost/taskhost/host/engine"
	"github.com/taskhost/taskhost/host/group"
	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/sqlite"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// boardRig is a rig whose one executor is a board of these types.
func boardRig(t *testing.T, store *sqlite.Store, slots int, types ...string) *rig {
	t.Helper()
	b := board.New(board.Options{Grace: 100 * time.Millisecond})
	config, err := json.Marshal(map[string]any{"types": types})
	if err != nil {
		t.Fatal(err)
	}
	cfg := sdk.NewConfig("board", config, nil)
	cfg.Slots = slots
	x, err := b.Plugin("test").New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	backoff := task.Backoff{Initial: time.Millisecond, Max: time.Millisecond}
	e := engine.New(engine.Options{Store: store, Board: b, CancelGrace: 100 * time.Millisecond, DrainTimeout: 10 * time.Millisecond, Types: map[string]task.TypeConfig{"work": {Backoff: backoff}, "placed": {Executor: "board"}},
		Executors: []registry.Binding{{Name: "board", Plugin: "board", Executor: x, OnDemand: true, StopsWithin: board.StopsWithin(100 * time.Millisecond)}}})
	e.NoPolls() // who asks hears of a task by its event, or never
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { e.Close(context.Background()) })
	return &rig{e, t, store}
}

// claim asks as worker w, for these types or for work.
func (r *rig) claim(q board.Request) []board.Claim {
	r.t.Helper()
	claims, err := r.tryClaim(r.t.Context(), q)
	if err != nil {
		r.t.Fatal(err)
	}
	return claims
}

func (r *rig) tryClaim(ctx context.Context, q board.Request) ([]board.Claim, error) {
	q.Scope = me
	if q.Worker == "" {
		q.Worker = "w"
	}
	if q.Types == nil {
		q.Types = []string{"work"}
	}
	claims, tasks, err := r.ClaimTasks(ctx, q)
	for i, c := range claims {
		if t := tasks[i]; t.ID != c.Task || t.State != task.Running || t.Node != q.Worker || t.StartedAt.IsZero() {
			r.t.Errorf("claimed by %s, the task is %s on %q", q.Worker, t.State, t.Node)
		}
	}
	return claims, err
}

// one claims one task, which comes.
func (r *rig) one(q board.Request) board.Claim {
	r.t.Helper()
	q.Wait = 20 * time.Second
	claims := r.claim(q)
	if len(claims) != 1 {
		r.t.Fatalf("got %d claims", len(claims))
	}
	return claims[0]
}

func (r *rig) finish(c board.Claim) {
	r.t.Helper()
	if err := r.FinishClaim(r.t.Context(), me, task.Token(c.Token), "text/plain", []byte("done")); err != nil {
		r.t.Fatal(err)
	}
}

// wantStale has a token be current no more, whatever is said with it.
func (r *rig) wantStale(c board.Claim) {
	r.t.Helper()
	ctx, token := r.t.Context(), task.Token(c.Token)
	before := r.get(c.Task)
	_, renewed := r.RenewClaim(ctx, me, token)
	_, progressed := r.ClaimProgress(ctx, me, token, task.Progress{Done: 77})
	_, logged := r.ClaimLog(ctx, me, token, []board.Line{{Level: "info", Message: "late"}})
	_, saved := r.ClaimCheckpoint(ctx, me, token, []byte("late"))
	for what, err := range map[string]error{
		"renew": renewed, "progress": progressed, "log": logged, "checkpoint": saved,
		"finish": r.FinishClaim(ctx, me, token, "", nil), "fail": r.FailClaim(ctx, me, token, board.Failure{Message: "late"}),
		"release": r.ReleaseClaim(ctx, me, token), "trash": r.TrashClaim(ctx, me, token, "late"),
	} {
		if task.CodeOf(err) != task.CodeStaleClaim {
			r.t.Errorf("%s with a token that is not current: %v", what, err)
		}
	}
	if after := r.get(c.Task); after.Version != before.Version || after.Progress.Done == 77 || string(after.Checkpoint) == "late" {
		r.t.Errorf("a token that is not current changed the task: %+v", after)
	}
}

func TestBoardClaimAndFinish(t *testing.T) {
	r := boardRig(t, openStore(t, t.TempDir()), 0, "work")
	id := r.submit(task.Spec{Input: []byte(`{"n":1}`)}).ID
	if got := r.get(id); got.Waiting != task.WaitQueued || r.Executors()[0].Used != 0 {
		t.Errorf("before anybody asks it is %s, %d slots in use", got.Waiting, r.Executors()[0].Used)
	}
	c := r.one(board.Request{Worker: "alice"})
	if held, _ := r.Claims(me, board.Cursor{}, 0); len(held) != 1 || held[0].Worker != "alice" || held[0].Task != id || held[0].Executor != "board" {
		t.Errorf("held: %+v", held)
	}
	if held, _ := r.Claims(task.Scope{Owner: "other"}, board.Cursor{}, 0); len(held) != 0 {
		t.Errorf("another owner sees %+v", held)
	}
	token := task.Token(c.Token)
	if _, err := r.ClaimCheckpoint(t.Context(), me, token, []byte("half")); err != nil {
		t.Error(err)
	}
	if _, err := r.ClaimProgress(t.Context(), me, token, task.Progress{Done: 3, Total: 4}); err != nil {
		t.Error(err)
	}
	if _, err := r.ClaimLog(t.Context(), me, token, []board.Line{{Level: "warn", Message: "hot", Fields: map[string]string{"c": "90"}}}); err != nil {
		t.Error(err)
	}
	if _, err := r.RenewClaim(t.Context(), task.Scope{Owner: "other"}, token); task.CodeOf(err) != task.CodeStaleClaim {
		t.Errorf("another owner renews it: %v", err)
	}
	r.finish(c)
	got := r.get(id) // at once: it is on record
	if got.State != task.Succeeded || string(got.Result) != "done" || got.ResultType != "text/plain" || got.Progress.Done != 3 || string(got.Checkpoint) != "half" {
		t.Errorf("got %+v", got)
	}
	if p := r.path(id); p != "pending pending running succeeded" {
		t.Errorf("history: %s", p)
	}
	if lines, err := r.Logs(t.Context(), me, id, task.LogFilter{}); err != nil || len(lines) != 1 || lines[0].Message != "hot" || lines[0].Level != "warn" || lines[0].Fields["c"] != "90" {
		t.Errorf("log: %+v, %v", lines, err)
	}
	r.wantStale(c)
	r.until("the slot is free", func() bool { return r.Executors()[0].Used == 0 })
}

// What is claimed keeps the order of all that waits, over all types of the worker.
func TestBoardOrder(t *testing.T) {
	r := boardRig(t, openStore(t, t.TempDir()), 0, "a", "b", "c")
	var want []task.ID
	for i, s := range []task.Spec{{Type: "a"}, {Type: "c", Priority: 9}, {Type: "b"}, {Type: "a"}, {Type: "b", Priority: 5}, {Type: "b"}} {
		id := r.submit(s).ID
		if i != 1 {
			want = append(want, id)
		}
	}
	urgent := want[3] // of priority 5
	want = append([]task.ID{urgent}, slices.Delete(want, 3, 4)...)
	var got []task.ID
	for range 5 {
		got = append(got, r.one(board.Request{Types: []string{"b", "a"}}).Task)
	}
	if !slices.Equal(got, want) {
		t.Errorf("claimed %v, want %v", got, want)
	}
	if claims := r.claim(board.Request{Types: []string{"a", "b"}}); len(claims) != 0 {
		t.Errorf("got %v where nothing is left of these types", claims)
	}
}

// Whatever waits for others, who asks for a type hears at once of its first task.
func TestBoardTypesDoNotStarveOneAnother(t *testing.T) {
	r := boardRig(t, openStore(t, t.TempDir()), 3, "work", "rare")
	for range 100 {
		r.submit(task.Spec{Priority: 10})
	}
	rare := make(chan board.Claim)
	go func() { rare <- r.one(board.Request{Worker: "rare", Types: []string{"rare"}}) }()
	r.until("somebody asks", func() bool { return r.Asking() == 1 })
	id := r.submit(task.Spec{Type: "rare"}).ID
	c := <-rare
	if c.Task != id {
		t.Errorf("got %v", c)
	}
	if got := r.claim(board.Request{Limit: 10}); len(got) != 2 {
		t.Errorf("with 3 slots, one of which is in use, there are %d claims", len(got))
	}
	waiting := make(chan board.Claim)
	go func() { waiting <- r.one(board.Request{}) }()
	r.until("somebody asks", func() bool { return r.Asking() == 1 })
	r.finish(c)
	r.finish(<-waiting) // it got the slot
}

func TestBoardTypeThatConfigPlaces(t *testing.T) {
	r := boardRig(t, openStore(t, t.TempDir()), 0, "work")
	id := r.submit(task.Spec{Type: "placed"}).ID
	if c := r.one(board.Request{Types: []string{"placed"}}); c.Task != id {
		t.Errorf("got %v", c)
	}
	_, err := r.tryClaim(t.Context(), board.Request{Types: []string{"nobody"}})
	if task.CodeOf(err) != task.CodeUnknownType {
		t.Errorf("a type that no board offers: %v", err)
	}
	waits := r.submit(task.Spec{Type: "placed"}).ID
	r.SetTypes(map[string]task.TypeConfig{"later": {Executor: "board"}})
	if got := r.get(waits); got.Waiting != task.WaitExecutor {
		t.Errorf("a task of a type that is placed no more waits for %s", got.Waiting)
	}
	if c := r.submit(task.Spec{Type: "later"}); r.one(board.Request{Types: []string{"later"}}).Task != c.ID {
		t.Error("a type that was placed meanwhile is not claimed")
	}
}

// TestBoardTypeThatIsPut: a type that a client has put on the board is claimed from there, with
// its own schema, also by the next host; the config goes before it.
func TestBoardTypeThatIsPut(t *testing.T) {
	dir := t.TempDir()
	store := openStore(t, dir)
	r := boardRig(t, store, 0, "work")
	spec := task.TypeSpec{Name: "put", Board: true, Input: []byte(`{"type":"object","required":["n"]}`)}
	if _, _, err := r.PutType(t.Context(), me, spec); err != nil {
		t.Fatal(err)
	}
	if _, _, err := r.Submit(t.Context(), me, []task.Spec{{Type: "put", Input: []byte(`{}`)}}, nil); task.CodeOf(err) != task.CodeInvalidInput {
		t.Errorf("an input that the schema does not take: %v", err)
	}
	id := r.submit(task.Spec{Type: "put", Input: []byte(`{"n":1}`)}).ID
	if c := r.one(board.Request{Types: []string{"put"}}); c.Task != id {
		t.Errorf("got %v", c)
	}
	r.Close(context.Background())
	store.Close()
	r = boardRig(t, openStore(t, dir), 0, "work")
	waits := r.submit(task.Spec{Type: "put", Input: []byte(`{"n":2}`)}).ID
	if c := r.one(board.Request{Types: []string{"put"}}); c.Task != waits {
		t.Errorf("the next host gave %v", c)
	}
	spec.Executor = "none"
	if _, _, err := r.PutType(t.Context(), me, spec); task.CodeOf(err) != task.CodeInvalidRequest {
		t.Errorf("on the board and on another executor: %v", err)
	}
}

func TestBoardRoutesAndOwners(t *testing.T) {
	r := boardRig(t, openStore(t, t.TempDir()), 0, "work")
	r.submit(task.Spec{Route: task.Route{"zone": "x"}})
	if got := r.claim(board.Request{Labels: map[string]string{"zone": "y"}}); len(got) != 0 {
		t.Errorf("a worker in another zone got %v", got)
	}
	if claims, _, err := r.ClaimTasks(t.Context(), board.Request{Scope: task.Scope{Owner: "other"}, Worker: "w", Types: []string{"work"}, Labels: map[string]string{"zone": "x"}}); err != nil || len(claims) != 0 {
		t.Errorf("another owner got %v, %v", claims, err)
	}
	r.one(board.Request{Labels: map[string]string{"zone": "x", "gpu": "1"}})
}

// A client that goes away while it waits gets nothing; what was claimed for one that went
// away before it had the answer waits again, at no cost.
func TestBoardClientGone(t *testing.T) {
	r := boardRig(t, openStore(t, t.TempDir()), 0, "work")
	ctx, leave := context.WithCancel(t.Context())
	gone := make(chan error)
	go func() {
		_, err := r.tryClaim(ctx, board.Request{Wait: time.Hour})
		gone <- err
	}()
	r.until("somebody asks", func() bool { return r.Asking() == 1 })
	leave()
	if err := <-gone; err == nil {
		t.Error("no error")
	}
	id := r.submit(task.Spec{}).ID
	c := r.one(board.Request{})
	r.AbandonClaims([]board.Claim{c})
	if again := r.one(board.Request{}); again.Task != id || again.Token == c.Token {
		t.Errorf("got %v", again)
	}
	if got := r.get(id); got.Lost != 0 || got.Failures != 0 || got.Suspect {
		t.Errorf("it cost something: %+v", got)
	}
	r.wantStale(c)
}

func TestBoardLapse(t *testing.T) {
	r := boardRig(t, openStore(t, t.TempDir()), 0, "work")
	never := 0
	once := r.submit(task.Spec{MaxLost: &never}).ID
	c := r.one(board.Request{Worker: "dead", Lease: time.Second})
	if got := r.wait(once); got.State != task.Failed || got.Error.Code != task.FailureExecutorLost {
		t.Errorf("a task that must not run twice: %s, %+v", got.State, got.Error)
	}
	r.wantStale(c)

	id := r.submit(task.Spec{}).ID
	r.one(board.Request{Worker: "dead", Lease: time.Second})
	again := r.one(board.Request{Worker: "alive"})
	if got := r.get(id); got.Lost != 1 || !got.Suspect || got.Node != "alive" {
		t.Errorf("got %+v", got)
	}
	r.finish(again)
}

// A worker that speaks keeps its claim for as long as it likes.
func TestBoardRenew(t *testing.T) {
	r := boardRig(t, openStore(t, t.TempDir()), 0, "work")
	r.submit(task.Spec{})
	c := r.one(board.Request{Lease: 2 * time.Second})
	for began := time.Now(); time.Since(began) < 5*time.Second; time.Sleep(50 * time.Millisecond) {
		if h, err := r.RenewClaim(t.Context(), me, task.Token(c.Token)); err != nil || h.Stop != board.StopNone {
			t.Fatalf("after %s: %v, %q", time.Since(began), err, h.Stop)
		}
	}
	r.finish(c)
}

func TestBoardCancelIsToldAndConfirmed(t *testing.T) {
	r := boardRig(t, openStore(t, t.TempDir()), 0, "work")
	for how, end := range map[string]func(c board.Claim) error{
		"release": func(c board.Claim) error { return r.ReleaseClaim(t.Context(), me, task.Token(c.Token)) },
		"fail": func(c board.Claim) error {
			return r.FailClaim(t.Context(), me, task.Token(c.Token), board.Failure{Message: "stopped"})
		},
	} {
		id := r.submit(task.Spec{}).ID
		c := r.one(board.Request{})
		if got, err := r.Cancel(t.Context(), me, id); err != nil || got.State != task.Canceling {
			t.Fatalf("%s, %v", got.State, err)
		}
		var h board.Heard
		r.until("the worker hears of it", func() (told bool) {
			var err error
			if h, err = r.RenewClaim(t.Context(), me, task.Token(c.Token)); err != nil {
				t.Fatal(err)
			}
			return h.Stop == board.StopCancel
		})
		if err := end(c); err != nil {
			t.Fatalf("%s: %v", how, err)
		}
		if got := r.get(id); got.State != task.Canceled || got.Error.Details["confirmed"] != true {
			t.Errorf("%s: %s, %+v", how, got.State, got.Error)
		}
	}
	waits := r.submit(task.Spec{}).ID
	if got, err := r.Cancel(t.Context(), me, waits); err != nil || got.State != task.Canceled || !got.StartedAt.IsZero() {
		t.Errorf("one that nobody claimed: %+v, %v", got, err)
	}
	quick := r.submit(task.Spec{}).ID
	c := r.one(board.Request{})
	if _, err := r.Cancel(t.Context(), me, quick); err != nil {
		t.Fatal(err)
	}
	r.finish(c) // it was done already: that is what is recorded
	if got := r.get(quick); got.State != task.Succeeded {
		t.Errorf("got %s", got.State)
	}
}

// A worker that hears of a cancel, or of a timeout, and goes on does not keep the task.
func TestBoardStopEndsWhateverTheWorkerDoes(t *testing.T) {
	r := boardRig(t, openStore(t, t.TempDir()), 0, "work")
	canceled := r.submit(task.Spec{}).ID
	first := r.one(board.Request{Lease: time.Hour})
	slow := r.submit(task.Spec{Timeout: time.Millisecond, MaxAttempts: 1}).ID
	second := r.one(board.Request{Lease: time.Hour})
	if _, err := r.Cancel(t.Context(), me, canceled); err != nil {
		t.Fatal(err)
	}
	stops := map[board.Stop]bool{}
	for _, c := range []board.Claim{first, second} {
		r.until("the claim is over", func() bool {
			h, err := r.RenewClaim(t.Context(), me, task.Token(c.Token))
			stops[h.Stop] = true
			return task.CodeOf(err) == task.CodeStaleClaim
		})
	}
	if !stops[board.StopCancel] || !stops[board.StopTimeout] {
		t.Errorf("told %v", stops)
	}
	if got := r.wait(canceled); got.State != task.Canceled || got.Error.Details["confirmed"] != false {
		t.Errorf("got %s, %+v", got.State, got.Error)
	}
	if got := r.wait(slow); got.State != task.Failed || got.Error.Code != task.FailureTimeout {
		t.Errorf("got %s, %+v", got.State, got.Error)
	}
}

func TestBoardPause(t *testing.T) {
	r := boardRig(t, openStore(t, t.TempDir()), 0, "work")
	id := r.submit(task.Spec{}).ID
	c := r.one(board.Request{})
	paused := make(chan error)
	go func() {
		_, err := r.Pause(t.Context(), me, id)
		paused <- err
	}()
	r.until("the worker hears of it", func() bool {
		h, err := r.ClaimCheckpoint(t.Context(), me, task.Token(c.Token), []byte("here"))
		return err == nil && h.Stop == board.StopPause
	})
	if err := r.ReleaseClaim(t.Context(), me, task.Token(c.Token)); err != nil {
		t.Fatal(err)
	}
	if err := <-paused; err != nil {
		t.Error(err)
	}
	if got := r.get(id); got.Waiting != task.WaitPaused {
		t.Fatalf("it waits for %s", got.Waiting)
	}
	if _, err := r.Resume(t.Context(), me, id); err != nil {
		t.Fatal(err)
	}
	if again := r.one(board.Request{}); again.Task != id {
		t.Errorf("got %v", again)
	}
	if got := r.get(id); string(got.Checkpoint) != "here" {
		t.Errorf("checkpoint %q", got.Checkpoint)
	}
}

// What no retry can help ends the task, also when its worker was asked to rest.
func TestBoardFailsWhereItWasToRest(t *testing.T) {
	for code, end := range map[string]func(*rig, task.Token) error{
		sdk.CodePermanent: func(r *rig, claim task.Token) error {
			return r.FailClaim(t.Context(), me, claim, board.Failure{Message: "no such image", Permanent: true})
		},
		task.FailureTrashed: func(r *rig, claim task.Token) error { return r.TrashClaim(t.Context(), me, claim, "no such image") },
	} {
		r := boardRig(t, openStore(t, t.TempDir()), 0, "work")
		id := r.submit(task.Spec{}).ID
		c := r.one(board.Request{})
		hasty, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := r.Pause(hasty, me, id); task.CodeOf(err) != task.CodeConflict {
			t.Errorf("the worker has not heard of it, the pause gave %v", err)
		}
		r.until("the worker hears of it", func() bool {
			h, err := r.RenewClaim(t.Context(), me, task.Token(c.Token))
			return err == nil && h.Stop == board.StopPause
		})
		if err := end(r, task.Token(c.Token)); err != nil {
			t.Fatal(err)
		}
		if got := r.wait(id); got.State != task.Failed || got.Error.Code != code || got.Error.Message != "no such image" {
			t.Errorf("it is %s, %+v, want code %s", got.State, got.Error, code)
		}
	}
}

func TestBoardFailAndTrash(t *testing.T) {
	r := boardRig(t, openStore(t, t.TempDir()), 0, "work")
	fail := func(id task.ID, f board.Failure) task.Task {
		t.Helper()
		c := r.one(board.Request{})
		if err := r.FailClaim(t.Context(), me, task.Token(c.Token), f); err != nil || c.Task != id {
			t.Fatalf("%v, %v", c, err)
		}
		return r.get(id)
	}
	id := r.submit(task.Spec{MaxAttempts: 2}).ID
	if got := fail(id, board.Failure{Message: "flaky", Details: map[string]string{"host": "a"}}); got.State != task.Pending || got.Failures != 1 || got.Error.Code != task.FailureScript {
		t.Errorf("got %s, %+v", got.State, got.Error)
	}
	if got := fail(id, board.Failure{Message: "flaky", Code: "no_bucket"}); got.State != task.Failed || got.Error.Code != "no_bucket" {
		t.Errorf("got %s, %+v", got.State, got.Error)
	}
	once := r.submit(task.Spec{}).ID
	if got := fail(once, board.Failure{Message: "never", Permanent: true}); got.State != task.Failed || got.Error.Code != task.FailurePermanent {
		t.Errorf("got %s, %+v", got.State, got.Error)
	}
	later := r.submit(task.Spec{}).ID
	if got := fail(later, board.Failure{Message: "busy", RetryAfter: time.Hour}); got.Waiting != task.WaitScheduled || time.Until(got.RunAt) < 50*time.Minute {
		t.Errorf("it waits for %s until %s", got.Waiting, got.RunAt)
	}

	trash := r.submit(task.Spec{}).ID
	c := r.one(board.Request{})
	if err := r.TrashClaim(t.Context(), me, task.Token(c.Token), "a picture of nothing"); err != nil {
		t.Fatal(err)
	}
	got := r.get(trash)
	if got.State != task.Failed || got.Error.Code != task.FailureTrashed || got.Error.Message != "a picture of nothing" || got.Failures != 0 {
		t.Errorf("got %s with %d failures, %+v", got.State, got.Failures, got.Error)
	}
	for _, f := range r.Status(t.Context(), me).Failed {
		if f.ID == trash {
			t.Error("what was thrown away is told among the failures")
		}
	}
}

// A member that was trashed is none of its group's failures: neither counted as one, nor retried
// as one.
func TestTrashedMemberIsNoFailureOfItsGroup(t *testing.T) {
	r := boardRig(t, openStore(t, t.TempDir()), 0, "work")
	g, _, err := r.SubmitGroup(t.Context(), me, group.Spec{}, []task.Spec{{Type: "work"}, {Type: "work"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	trashed := r.one(board.Request{})
	if err := r.TrashClaim(t.Context(), me, task.Token(trashed.Token), "a picture of nothing"); err != nil {
		t.Fatal(err)
	}
	failed := r.one(board.Request{})
	if err := r.FailClaim(t.Context(), me, task.Token(failed.Token), board.Failure{Message: "never", Permanent: true}); err != nil {
		t.Fatal(err)
	}
	if g, err = r.Group(t.Context(), me, g.ID); err != nil || g.State() != group.Finished {
		t.Fatalf("it is %s, %v", g.State(), err)
	}
	if s := group.Summarize(&g); s.Counts["failed"] != 1 || s.Counts["trashed"] != 1 || s.Total != 2 || s.Done != 2 {
		t.Errorf("it is summed up as %+v", s)
	}
	if g, err = r.RetryGroup(t.Context(), me, g.ID); err != nil || g.State() != group.Closed {
		t.Fatalf("it is %s, %v", g.State(), err)
	}
	if got := r.get(trashed.Task); !got.Trashed() {
		t.Errorf("what was trashed is %s", got.State)
	}
	if got := r.get(failed.Task); got.State.Final() {
		t.Errorf("what failed is %s", got.State)
	}
}

// A retry of all that failed passes by what was trashed, and a retry of that alone does not.
func TestRetryOfAllLeavesWhatWasTrashed(t *testing.T) {
	r := boardRig(t, openStore(t, t.TempDir()), 0, "work")
	failed, trashed := r.submit(task.Spec{}), r.submit(task.Spec{})
	for range 2 {
		c := r.one(board.Request{})
		end := func() error {
			return r.FailClaim(t.Context(), me, task.Token(c.Token), board.Failure{Message: "never", Permanent: true})
		}
		if c.Task == trashed.ID {
			end = func() error {
				return r.TrashClaim(t.Context(), me, task.Token(c.Token), "a picture of nothing")
			}
		}
		if err := end(); err != nil {
			t.Fatal(err)
		}
	}
	again := task.Action{Action: task.ActionRetry, Filter: task.Filter{States: []task.State{task.Failed}}}
	if n, err := r.CountAction(t.Context(), me, again); n != 1 || err != nil {
		t.Errorf("it matches %d, %v", n, err)
	}
	if done, failures := r.act(again); done != 1 || failures != 0 {
		t.Errorf("%d are done, %d are not", done, failures)
	}
	if got := r.get(failed.ID); got.State != task.Pending {
		t.Errorf("what failed is %s", got.State)
	}
	if got := r.get(trashed.ID); !got.Trashed() {
		t.Errorf("what was trashed is %s", got.State)
	}
	if got, err := r.Retry(t.Context(), me, trashed.ID); err != nil || got.State != task.Pending {
		t.Errorf("by its id it is %s, %v", got.State, err)
	}
}

// A claim outlives its host: who holds it goes on with the next, which gives a whole lease.
func TestBoardClaimOutlivesItsHost(t *testing.T) {
	dir := t.TempDir()
	store, err := sqlite.Open(t.Context(), dir, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := boardRig(t, store, 0, "work")
	r.submit(task.Spec{})
	canceled := r.submit(task.Spec{}).ID
	first, second := r.one(board.Request{Worker: "alice"}), r.one(board.Request{Worker: "bob"})
	if _, err := r.Cancel(t.Context(), me, canceled); err != nil {
		t.Fatal(err)
	}
	polled := make(chan error)
	go func() {
		_, err := r.tryClaim(context.Background(), board.Request{Wait: time.Hour})
		polled <- err
	}()
	r.until("somebody asks", func() bool { return r.Asking() == 1 })
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-polled; task.CodeOf(err) != task.CodeStoreUnavailable {
		t.Errorf("who waits when the host ends hears %v", err)
	}
	if _, err := r.RenewClaim(t.Context(), me, task.Token(first.Token)); task.CodeOf(err) != task.CodeStoreUnavailable {
		t.Errorf("who speaks while the host ends hears %v", err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}

	r = boardRig(t, openStore(t, dir), 0, "work")
	if held, _ := r.Claims(me, board.Cursor{}, 0); len(held) > 2 {
		t.Errorf("held: %+v", held)
	}
	if h, err := r.RenewClaim(t.Context(), me, task.Token(first.Token)); err != nil || h.Task != first.Task {
		t.Fatalf("after the restart: %v", err)
	}
	r.finish(first)
	if h, err := r.RenewClaim(t.Context(), me, task.Token(second.Token)); err != nil || h.Stop != board.StopCancel {
		t.Errorf("a cancel is not told after the restart: %q, %v", h.Stop, err)
	}
	if got := r.wait(canceled); got.State != task.Canceled { // bob is not heard again
		t.Errorf("got %s", got.State)
	}
	if got := r.get(first.Task); got.Attempt != 1 || got.Lost != 0 {
		t.Errorf("the restart cost something: %+v", got)
	}
}

// A worker has one task at a time that may be what ended another.
func TestBoardSuspectsOneAWorker(t *testing.T) {
	r := boardRig(t, openStore(t, t.TempDir()), 0, "work")
	for range 2 {
		r.submit(task.Spec{})
	}
	if got := r.claim(board.Request{Worker: "dead", Limit: 2, Lease: time.Second, Wait: 20 * time.Second}); len(got) != 2 {
		t.Fatalf("got %v", got)
	}
	c := r.one(board.Request{Limit: 2})
	r.until("the other waits, too", func() bool { return r.Executors()[0].Used == 1 })
	if got := r.claim(board.Request{Limit: 2}); len(got) != 0 {
		t.Errorf("a worker with a suspect got %v", got)
	}
	other := r.one(board.Request{Worker: "other"})
	r.finish(c)
	r.finish(other)
}

// Many workers do many tasks, each once.
func TestBoardManyWorkers(t *testing.T) {
	r := boardRig(t, openStore(t, t.TempDir()), 0, "work", "other")
	const tasks, workers = 1000, 50
	var mu sync.Mutex
	done := map[task.ID]int{}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var working sync.WaitGroup
	for w := range workers {
		working.Go(func() {
			q := board.Request{Worker: fmt.Sprint("w", w), Limit: 1 + w%3, Types: [][]string{{"work"}, {"other"}, {"work", "other"}}[w%3], Wait: time.Minute}
			for {
				claims, err := r.tryClaim(ctx, q)
				if err != nil {
					return
				}
				for _, c := range claims {
					r.finish(c)
					mu.Lock()
					if done[c.Task]++; len(done) == tasks {
						stop()
					}
					mu.Unlock()
				}
			}
		})
	}
	for i := range tasks {
		r.submit(task.Spec{Type: []string{"work", "other"}[i%2]})
	}
	working.Wait()
	for id, n := range done {
		if got := r.get(id); n != 1 || got.State != task.Succeeded || got.Attempt != 1 {
			t.Errorf("%s was done %d times and is %s after %d attempts", id, n, got.State, got.Attempt)
		}
	}
	if len(done) != tasks {
		t.Errorf("%d were done", len(done))
	}
}

// lateJoin is a board that joins claims of an earlier host only when it is let.
type lateJoin struct {
	sdk.Executor
	let chan struct{}
}

func (x lateJoin) Execute(ctx context.Context, t sdk.Task, r sdk.Reporter) (sdk.Result, error) {
	if t.Rejoin {
		<-x.let
	}
	return x.Executor.Execute(ctx, t, r)
}

// Who speaks of a claim that the host has not joined yet, just after its start, is waited
// with, and not told that it lost it.
func TestBoardClaimIsJoinedBeforeItIsCalledStale(t *testing.T) {
	dir := t.TempDir()
	store, err := sqlite.Open(t.Context(), dir, sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	r := boardRig(t, store, 0, "work")
	r.submit(task.Spec{})
	c := r.one(board.Request{})
	if err := r.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := store.Close(); err != nil {
		t.Fatal(err)
	}
	b := board.New(board.Options{})
	t.Cleanup(b.Close)
	x, err := b.Plugin("test").New(sdk.NewConfig("board", []byte(`{"types":["work"]}`), nil))
	if err != nil {
		t.Fatal(err)
	}
	late := lateJoin{x, make(chan struct{})}
	r = start(t, openStore(t, dir), engine.Options{Board: b, Executors: []registry.Binding{{Name: "board", Plugin: "board", Executor: late, OnDemand: true}}})
	heard := make(chan error, 1)
	go func() {
		_, err := r.RenewClaim(t.Context(), me, task.Token(c.Token))
		heard <- err
	}()
	select {
	case err := <-heard:
		close(late.let)
		t.Fatalf("before the claim is joined its worker hears %v", err)
	case <-time.After(50 * time.Millisecond): // it waits; if it is only slow to ask, nothing is shown, and nothing fails
	}
	close(late.let)
	if err := <-heard; err != nil {
		t.Errorf("once it is joined: %v", err)
	}
}
