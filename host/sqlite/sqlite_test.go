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
