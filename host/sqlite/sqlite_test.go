package sqlite

import (
	"context"
	"crypto/rand"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

func newToken() (t task.Token) { _, _ = rand.Read(t[:]); return t }

func newID() (id task.ID) {
	_, _ = rand.Read(id[:])
	now := time.Now().UnixMilli()
	for i := range 6 {
		id[i] = byte(now >> (40 - 8*i))
	}
	return id
}

func newTask(t testing.TB, spec task.Spec) *task.Task {
	t.Helper()
	if spec.Type == "" {
		spec.Type = "noop"
	}
	n, err := task.New(newID(), "default", spec, task.DefaultLimits(), time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return &n
}

func openStore(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(context.Background(), dir, Options{Fatal: func(err error) { t.Errorf("fatal: %v", err) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s
}

func TestSmoke(t *testing.T) {
	ctx := context.Background()
	s := openStore(t, t.TempDir())
	n := newTask(t, task.Spec{Input: []byte(`{"a":1}`)})
	if _, err := s.Insert(ctx, task.Submission{Tasks: []*task.Task{n}}); err != nil {
		t.Fatal(err)
	}
	got, err := s.Claim(ctx, task.Claim{Executor: "local", Lanes: []task.LaneID{1}, Max: 10, Now: time.Now(), NewToken: newToken})
	if err != nil || len(got) != 1 {
		t.Fatal(got, err)
	}
	c, err := task.Settle(got[0], task.Outcome{Kind: task.OutcomeSucceeded, Result: []byte("hi"), ResultType: "text/plain"}, task.Backoff{}, time.Now(), 0)
	if err != nil {
		t.Fatal(err)
	}
	if errs := s.Apply(ctx, []task.Change{c}); errs[0] != nil {
		t.Fatal(errs)
	}
	end, err := s.Get(ctx, task.Scope{All: true}, n.ID)
	t.Logf("%+v %v", end, err)
	h, err := s.History(ctx, task.Scope{All: true}, n.ID, 0)
	t.Logf("%+v %v", h, err)
	p, err := s.List(ctx, task.Scope{Owner: "default"}, task.Filter{})
	t.Logf("%+v %v", p, err)
}
