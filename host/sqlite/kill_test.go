package sqlite

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// childDir names the store for TestChild.
const childDir = "TASKHOST_TEST_STORE"

// TestChild is no test: it is the process that TestKill kills. It inserts and
// settles for ever and prints what was answered.
func TestChild(t *testing.T) {
	dir := os.Getenv(childDir)
	if dir == "" {
		return
	}
	s, err := Open(context.Background(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	say := func(what string, id task.ID) {
		mu.Lock()
		defer mu.Unlock()
		if _, err := fmt.Println(what, id); err != nil {
			os.Exit(1) // nobody listens any more
		}
	}
	for range 8 {
		go func() {
			for {
				n := newRunning(t)
				if _, err := s.Insert(context.Background(), task.Submission{Tasks: []*task.Task{n}}); err != nil {
					t.Error(err)
					return
				}
				say("accepted", n.ID)
				if errs := s.Apply(context.Background(), []task.Change{succeeded(t, n)}); errs[0] != nil {
					t.Error(errs[0])
					return
				}
				say("succeeded", n.ID)
			}
		}()
	}
	select {}
}

// TestKill: whatever was answered before a kill -9 is there after it.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	answered := map[string]string{}
	for round := range 4 {
		before := len(answered)
		kill(t, dir, 200*(round+1), answered)
		if len(answered) == before {
			t.Fatal("the child did nothing")
		}
		r, err := Check(t.Context(), dir, nil)
		if err != nil || !r.OK() {
			t.Fatalf("round %d: %+v, %v", round, r, err)
		}
		verify(t, dir, answered)
	}
}

// kill starts the child, reads so many lines of it and kills it.
func kill(t *testing.T, dir string, lines int, answered map[string]string) {
	t.Helper()
	cmd := exec.Command(os.Args[0], "-test.run=^TestChild$", "-test.v=false")
	cmd.Env = append(os.Environ(), childDir+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	// Should it hang before it has said enough, the test fails rather than waits.
	watchdog := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
	defer watchdog.Stop()
	in := bufio.NewScanner(out)
	for n := 0; in.Scan(); n++ {
		var what, id string
		// The last line may have been cut by the kill.
		if _, err := fmt.Sscanf(in.Text(), "%s %s", &what, &id); err != nil || len(id) != 36 {
			continue
		}
		answered[id] = what
		if n == lines {
			if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
		}
	}
	_ = cmd.Wait() // killed, as it should
}

func verify(t *testing.T, dir string, answered map[string]string) {
	t.Helper()
	s, err := Open(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	for text, what := range answered {
		id, err := task.ParseID(text)
		if err != nil {
			t.Fatal(err)
		}
		got, err := s.Get(t.Context(), task.Scope{All: true}, id)
		if err != nil {
			t.Fatalf("task %s was %s and is gone: %v", id, what, err)
		}
		if what == "succeeded" && got.State != task.Succeeded {
			t.Fatalf("task %s was %s and is %s", id, what, got.State)
		}
	}
}
