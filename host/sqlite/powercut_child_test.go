package sqlite

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/taskhost/taskhost/host/task"
)

// For TestPowerCutChild: its store, what it does there, and the level of
// synchronous that its writer has instead of the store's own.
const (
	powerDir   = "TASKHOST_TEST_POWER_STORE"
	powerWork  = "TASKHOST_TEST_POWER_WORK"
	powerLevel = "TASKHOST_TEST_POWER_SYNCHRONOUS"
)

// noShim is what the child says if it runs on the disk as it is.
const noShim = "no-shim"

// TestPowerCutChild is no test: it is the process whose power is cut.
func TestPowerCutChild(t *testing.T) {
	dir := os.Getenv(powerDir)
	if dir == "" {
		return
	}
	if maps, err := os.ReadFile("/proc/self/maps"); err != nil || !bytes.Contains(maps, []byte("powercut.so")) {
		fmt.Println(noShim, err)
		return
	}
	s, err := Open(context.Background(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if level := os.Getenv(powerLevel); level != "" {
		// The store refuses to open with it, so it is set behind its back, before
		// the writer has anything to write.
		if _, err := s.w.conn.Exec("PRAGMA synchronous="+level, nil); err != nil {
			t.Fatal(err)
		}
	}
	if os.Getenv(powerWork) == "" {
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		return
	}
	say := sayer()
	for range 4 {
		go powerSingly(t, s, say)
	}
	for range 2 {
		go powerBatches(t, s, say)
	}
	select {}
}

// sayer prints a line for each task, all of a call together.
func sayer() func(what string, tasks ...*task.Task) {
	var mu sync.Mutex
	return func(what string, tasks ...*task.Task) {
		var lines strings.Builder
		for _, n := range tasks {
			fmt.Fprintln(&lines, what, n.ID)
		}
		mu.Lock()
		defer mu.Unlock()
		if _, err := os.Stdout.WriteString(lines.String()); err != nil {
			os.Exit(1) // nobody listens any more
		}
	}
}

// powerSingly inserts and settles one task after the other.
func powerSingly(t *testing.T, s *Store, say func(string, ...*task.Task)) {
	for {
		n := newRunning(t)
		n.Input = powerInput(n.ID)
		if _, err := s.Insert(context.Background(), task.Submission{Tasks: []*task.Task{n}}); err != nil {
			t.Error(err)
			return
		}
		say("running", n)
		if errs := s.Apply(context.Background(), []task.Change{succeeded(t, n)}); errs[0] != nil {
			t.Error(errs[0])
			return
		}
		say("succeeded", n)
	}
}

// powerBatches inserts many at once, half of them to wait, and settles the others at once.
func powerBatches(t *testing.T, s *Store, say func(string, ...*task.Task)) {
	for {
		var all, waiting, running []*task.Task
		for range 20 {
			w, r := newTask(t, task.Spec{}), newRunning(t)
			w.Input, r.Input = powerInput(w.ID), powerInput(r.ID)
			all, waiting, running = append(all, w, r), append(waiting, w), append(running, r)
		}
		if _, err := s.Insert(context.Background(), task.Submission{Tasks: all}); err != nil {
			t.Error(err)
			return
		}
		say("pending", waiting...)
		say("running", running...)
		var changes []task.Change
		for _, n := range running {
			changes = append(changes, succeeded(t, n))
		}
		if err := errors.Join(s.Apply(context.Background(), changes)...); err != nil {
			t.Error(err)
			return
		}
		say("succeeded", running...)
	}
}

// powerInput is a task's input, from one row's size to many pages', so that the log is
// carried over and begun anew every thousand tasks: known by the id, so that a
// byte that is not its own is seen.
func powerInput(id task.ID) []byte {
	return []byte(`"` + strings.Repeat(id.String(), 1+4*int(id[15])) + `"`)
}
