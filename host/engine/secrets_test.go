package engine_test

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/board"
	"github.com/taskhost/taskhost/host/engine"
	"github.com/taskhost/taskhost/host/group"
	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/schedule"
	"github.com/taskhost/taskhost/host/secret"
	"github.com/taskhost/taskhost/host/sqlite"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

func newRing(t *testing.T) *secret.Ring {
	t.Helper()
	r, err := secret.New(rand.Read)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// seen are the inputs that scripts were given.
type seen struct {
	mu     sync.Mutex
	inputs []string
}

func (s *seen) add(t sdk.Task) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inputs = append(s.inputs, fmt.Sprintf("%s %v", t.Input, t.Secret))
}

func (s *seen) last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.inputs[len(s.inputs)-1]
}

const loginSchema = `{"type":"object","properties":{"password":{"type":"string","maxLength":10,"writeOnly":true}}}`

const loginInput = `{"user":"u", "password":"hunter2"}`

// secretRig has a type login, whose script tells its secret wherever it can and fails once, and
// a type parent, which spawns one.
func secretRig(t *testing.T, store *sqlite.Store, ring *secret.Ring, saw *seen) *rig {
	t.Helper()
	login := func(_ context.Context, task sdk.Task, r sdk.Reporter) (sdk.Result, error) {
		saw.add(task)
		r.Log().Info("login with hunter2", "p", "hunter2")
		r.Progress(1, 2, "hunter2 sent")
		if task.Attempt == 1 {
			return sdk.Result{}, sdk.FailedWith(sdk.Outcome{Kind: sdk.OutcomeFailed, Permanent: true, Message: "hunter2 is wrong", Details: map[string]string{"sent": "p=hunter2"}})
		}
		return sdk.Result{}, nil
	}
	parent := func(ctx context.Context, task sdk.Task, r sdk.Reporter) (sdk.Result, error) {
		saw.add(task)
		_, err := r.Spawn(ctx, sdk.Child{Name: "c", Type: "login", Input: json.RawMessage(loginInput)})
		return sdk.Result{}, err
	}
	s := script("login", login)
	s.Input = json.RawMessage(loginSchema)
	x, err := sdk.NewScripts(s, script("parent", parent))
	if err != nil {
		t.Fatal(err)
	}
	return start(t, store, engine.Options{Secrets: ring, Executors: []registry.Binding{{Name: "x", Plugin: "scripts", Slots: 4, Executor: x}}})
}

// wantSealed has nothing that is stored of a task hold its secret.
func (r *rig) wantSealed(id task.ID) {
	r.t.Helper()
	got := r.get(id)
	lines, err := r.Logs(r.t.Context(), me, id, task.LogFilter{})
	events, err2 := r.History(r.t.Context(), me, id, 0)
	if err = errors.Join(err, err2); err != nil {
		r.t.Fatal(err)
	}
	all := fmt.Sprintf("%+v %s %+v %+v %+v", got, got.Input, got.Error, lines, events)
	if strings.Contains(all, "hunter2") || string(task.MaskInput(got.Input)) != `{"user":"u", "password":"***"}` {
		r.t.Errorf("on record: %s", all)
	}
}

// What is secret of an input is on record sealed, given to the script in clear, and hidden in
// what it tells; also after another host has begun, and for children.
func TestSecretsOfInputs(t *testing.T) {
	var saw seen
	ring := newRing(t)
	store := openStore(t, t.TempDir())
	r := secretRig(t, store, ring, &saw)
	first := r.submit(task.Spec{Type: "login", Input: json.RawMessage(loginInput)})
	if strings.Contains(string(first.Input), "hunter2") {
		t.Errorf("answered: %s", first.Input)
	}
	failed := r.wait(first.ID)
	if failed.Error == nil || failed.Error.Message != "*** is wrong" || failed.Error.Details["sent"] != "p=***" || failed.Progress.Message != "*** sent" {
		t.Errorf("told: %+v, %+v", failed.Error, failed.Progress)
	}
	if lines, err := r.Logs(t.Context(), me, first.ID, task.LogFilter{}); err != nil || len(lines) != 1 || lines[0].Message != "login with ***" || lines[0].Fields["p"] != "***" {
		t.Errorf("logged: %+v, %v", lines, err)
	}
	r.wantSealed(first.ID)
	parent := r.submit(task.Spec{Type: "parent"})
	r.wait(parent.ID)
	children, err := r.List(t.Context(), me, task.Filter{Parent: parent.ID})
	if err != nil || len(children.Tasks) != 1 {
		t.Fatalf("children: %+v, %v", children, err)
	}
	r.wait(children.Tasks[0].ID)
	r.wantSealed(children.Tasks[0].ID)
	if err := r.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	r = secretRig(t, store, ring, &saw)
	if _, err := r.Retry(t.Context(), me, first.ID); err != nil {
		t.Fatal(err)
	}
	if got := r.wait(first.ID); got.State != task.Succeeded || saw.last() != loginInput+" true" {
		t.Errorf("tried again: %+v, saw %s", got.Error, saw.last())
	}
	r.wantSealed(first.ID)

	refused := func(what string, spec task.Spec, want string) {
		t.Helper()
		_, _, err := r.Submit(t.Context(), me, []task.Spec{{Type: "parent"}, spec}, nil)
		var e *task.Error
		if !errors.As(err, &e) || e.Code != task.CodeInvalidInput || e.TaskNumber != 2 || e.Fields[0].Place() != want || strings.Contains(err.Error(), "hunter") {
			t.Errorf("%s: %v", what, err)
		}
	}
	sealed := r.get(first.ID).Input
	refused("what was sealed, from a client", task.Spec{Type: "login", Input: sealed}, "/input/password")
	refused("the same for a type without secrets", task.Spec{Type: "parent", Input: sealed}, "/input/password")
	refused("a mask instead of a secret", task.Spec{Type: "login", Input: json.RawMessage(`{"password":"***"}`)}, "/input/password")
	refused("a wrong secret", task.Spec{Type: "login", Input: json.RawMessage(`{"password":"hunter2hunter2"}`)}, "/input/password")

	// Who puts the type leaves the executor's marks, and may add some.
	if _, _, err := r.PutType(t.Context(), me, task.TypeSpec{Name: "login", Input: json.RawMessage(`{"properties":{"user":{"writeOnly":true}}}`)}); err != nil {
		t.Fatal(err)
	}
	both := r.submit(task.Spec{Type: "login", Input: json.RawMessage(loginInput)})
	if got := string(task.MaskInput(both.Input)); got != `{"user":"***", "password":"***"}` {
		t.Errorf("with two schemas: %s", got)
	}
	r.wait(both.ID)
}

// A request that is sent again is known by its Idempotency-Key, though its secrets are sealed
// otherwise each time, and though the key was changed meanwhile.
func TestSecretsSubmittedTwice(t *testing.T) {
	var saw seen
	ring := newRing(t)
	store := openStore(t, t.TempDir())
	r := secretRig(t, store, ring, &saw)
	idem := &task.Idempotency{Owner: "me", Key: "k", Hash: [32]byte{1}}
	submit := func(hash byte) ([]task.Task, bool, error) {
		again := *idem
		again.Hash[0] = hash
		return r.Submit(t.Context(), me, []task.Spec{{Type: "login", Input: json.RawMessage(loginInput)}}, &again)
	}
	first, _, err := submit(1)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := store.FindSubmission(t.Context(), *idem, time.Now()); task.CodeOf(err) != task.CodeIdempotencyMismatch {
		t.Errorf("a hash is on record by which a secret can be tried: %v", err)
	}
	check := func() {
		t.Helper()
		if again, replayed, err := submit(1); err != nil || !replayed || again[0].ID != first[0].ID {
			t.Errorf("sent again: %v, replayed %v", err, replayed)
		}
		if _, _, err := submit(2); task.CodeOf(err) != task.CodeIdempotencyMismatch {
			t.Errorf("another request under the key: %v", err)
		}
	}
	check()
	r.wait(first[0].ID)
	if err := r.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := ring.Add(); err != nil {
		t.Fatal(err)
	}
	ring.Retire()
	r = secretRig(t, store, ring, &saw)
	check()
}

// An input that no key opens fails its task for good, and keeps nobody else waiting.
func TestSecretsWithoutTheirKey(t *testing.T) {
	var saw seen
	store := openStore(t, t.TempDir())
	r := secretRig(t, store, newRing(t), &saw)
	later := time.Now().Add(time.Hour)
	waits := r.submit(task.Spec{Type: "login", Input: json.RawMessage(loginInput), RunAt: later})
	s, err := r.CreateSchedule(t.Context(), me, schedule.Spec{Name: "s", Every: time.Hour, Task: task.Spec{Type: "login", Input: json.RawMessage(loginInput)}})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	r = start(t, store, engine.Options{Secrets: newRing(t), Now: func() time.Time { return time.Now().Add(2 * time.Hour) },
		Executors: []registry.Binding{{Name: "x", Slots: 4, Executor: must(sdk.NewScripts(script("login", newGate().run)))}}})
	got := r.wait(waits.ID)
	if got.Error == nil || got.Error.Code != task.FailureSealedInput || got.Attempt != 1 || !strings.Contains(got.Error.Message, "/password") {
		t.Errorf("without its key: %+v", got.Error)
	}
	r.until("the schedule says what is wrong", func() bool {
		s, err = r.Schedule(t.Context(), me, s.ID)
		return err != nil || s.Problem != ""
	})
	if err != nil || !strings.Contains(s.Problem, "cannot be opened") {
		t.Errorf("its schedule: %q, %v", s.Problem, err)
	}
	if _, err := r.RunSchedule(t.Context(), me, s.ID); task.CodeOf(err) != task.CodeConflict {
		t.Errorf("run of it: %v", err)
	}
	if _, err := r.ChangeSchedule(t.Context(), me, s.ID, func(s *schedule.Spec) error { s.Paused = true; return nil }); task.CodeOf(err) != task.CodeConflict {
		t.Errorf("a change of something else: %v", err)
	}
	if _, err := r.ChangeSchedule(t.Context(), me, s.ID, func(s *schedule.Spec) error { s.Task = task.Spec{Type: "login"}; return nil }); err != nil {
		t.Errorf("its task given anew: %v", err)
	}
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// A schedule keeps what is secret of its task sealed, over changes of anything else, and its
// runs have it.
func TestSecretsOfSchedules(t *testing.T) {
	var saw seen
	r := secretRig(t, openStore(t, t.TempDir()), newRing(t), &saw)
	s, err := r.CreateSchedule(t.Context(), me, schedule.Spec{Name: "s", Every: time.Hour, Paused: true, Task: task.Spec{Type: "login", Input: json.RawMessage(loginInput)}})
	if err != nil {
		t.Fatal(err)
	}
	for _, change := range []func(*schedule.Spec) error{nil, func(s *schedule.Spec) error { s.Name = "other"; return nil }} {
		if change != nil {
			if s, err = r.ChangeSchedule(t.Context(), me, s.ID, change); err != nil {
				t.Fatal(err)
			}
		}
		stored, err := r.Schedule(t.Context(), me, s.ID)
		for _, s := range []schedule.Schedule{s, stored} {
			if err != nil || strings.Contains(string(s.Task.Input), "hunter2") || string(task.MaskInput(s.Task.Input)) == string(s.Task.Input) {
				t.Errorf("schedule: %s, %v", s.Task.Input, err)
			}
		}
		run, err := r.RunSchedule(t.Context(), me, s.ID)
		if err != nil {
			t.Fatal(err)
		}
		if r.wait(run.ID); saw.last() != strings.ReplaceAll(loginInput, ", ", ",")+" true" {
			t.Errorf("a run saw %s", saw.last())
		}
		if got := r.get(run.ID); strings.Contains(string(got.Input), "hunter2") {
			t.Errorf("on record: %s", got.Input)
		}
	}
	copied := func(s *schedule.Spec) error {
		s.Task.Input = task.MaskInput(s.Task.Input)
		return nil
	}
	if _, err := r.ChangeSchedule(t.Context(), me, s.ID, copied); task.CodeOf(err) != task.CodeInvalidInput {
		t.Errorf("a mask where a secret was: %v", err)
	}
}

// The members of a group have their secrets sealed, too; its finisher may have some.
func TestSecretsOfGroups(t *testing.T) {
	var saw seen
	r := secretRig(t, openStore(t, t.TempDir()), newRing(t), &saw)
	if _, _, err := r.PutType(t.Context(), me, task.TypeSpec{Name: "parent", Input: json.RawMessage(`{"properties":{"group":{"writeOnly":true}}}`)}); err != nil {
		t.Fatal(err)
	}
	g, _, err := r.SubmitGroup(t.Context(), me, group.Spec{OnFinished: &task.Spec{Type: "parent"}}, []task.Spec{{Type: "login", Input: json.RawMessage(loginInput)}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.until("the finisher is there", func() bool {
		g, err = r.Group(t.Context(), me, g.ID)
		return err != nil || !g.Finisher.IsZero()
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.wait(g.Finisher); string(task.MaskInput(r.get(g.Finisher).Input)) != `{"group":"***"}` {
		t.Errorf("the finisher's input: %s", r.get(g.Finisher).Input)
	}
	page, err := r.List(t.Context(), me, task.Filter{Group: g.ID})
	if err != nil || len(page.Tasks) != 1 {
		t.Fatalf("members: %v", err)
	}
	r.wantSealed(page.Tasks[0].ID)
}

// A worker at the board gets the secrets of what it claims; a task whose secrets no key opens
// keeps it from none of the others.
func TestSecretsOfClaims(t *testing.T) {
	store := openStore(t, t.TempDir())
	var saw seen
	before := secretRig(t, store, newRing(t), &saw)
	lost := before.submit(task.Spec{Type: "login", Input: json.RawMessage(loginInput), RunAt: time.Now().Add(500 * time.Millisecond)})
	if err := before.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	r := boardRig(t, store, 4, "login")
	r.until("it is failed", func() bool {
		claims := r.claim(board.Request{Types: []string{"login"}})
		return len(claims) == 0 && r.get(lost.ID).State == task.Failed
	})
	if got := r.get(lost.ID); got.Error.Code != task.FailureSealedInput {
		t.Errorf("without its key: %+v", got.Error)
	}
}
