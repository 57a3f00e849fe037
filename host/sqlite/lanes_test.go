package sqlite

import (
	"fmt"
	"testing"

	"github.com/taskhost/taskhost/host/task"
)

// TestLanesLeaveNothing: of lanes that came and went nothing stays in memory, here
// or for the next process, and a group that is undone takes none of them along.
func TestLanesLeaveNothing(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	var changes []task.Change
	var tasks []*task.Task
	for i := range 2000 {
		n := newTask(t, task.Spec{Route: map[string]string{"to": fmt.Sprint(i)}})
		*n = task.Begin(n, "local", newToken(), false, n.CreatedAt).Task
		tasks = append(tasks, n)
	}
	if _, err := s.Insert(t.Context(), task.Submission{Tasks: tasks}); err != nil {
		t.Fatal(err)
	}
	for _, n := range tasks {
		changes = append(changes, succeeded(t, n))
	}
	for _, err := range s.Apply(t.Context(), changes) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if n, err := s.DropEmptyLanes(t.Context()); n != len(tasks) || err != nil {
		t.Fatalf("%d lanes went, %v", n, err)
	}
	left := func(s *Store, want int) {
		t.Helper()
		if n := len(s.Lanes(0)); n != want {
			t.Fatalf("%d lanes, want %d", n, want)
		}
	}
	left(s, 0)
	s.w.stop()
	twin, broken := newTask(t, task.Spec{Route: map[string]string{"to": "1"}}), newRunning(t)
	broken.Token = task.Token{}
	drop := &dropLanesOp{}
	group := []*ticket{insertion(t, twin), {op: drop, done: make(chan struct{})}, insertion(t, broken)}
	s.w.write(group)
	if group[0].err != nil || group[1].err != nil || group[2].err == nil || drop.n != 0 {
		t.Fatalf("%v, %v, %v; %d lanes went, want none: that of the refused task never came", group[0].err, group[1].err, group[2].err, drop.n)
	}
	left(s, 1)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	left(openStore(t, dir), 1)
}
