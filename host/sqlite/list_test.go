package sqlite

import (
	"bytes"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/group"
	"github.com/taskhost/taskhost/host/task"
)

// TestSpansOfAGroup: a list of a group is read in spans of its members, whatever lies
// between them.
func TestSpansOfAGroup(t *testing.T) {
	s := openStore(t, t.TempDir())
	g, err := group.New(newID(), "default", group.Spec{Open: true}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.CreateGroup(t.Context(), &g, task.Submission{}); err != nil {
		t.Fatal(err)
	}
	var batch []*task.Task
	for i := range 12 {
		n := newTask(t, task.Spec{})
		n.ID[0] = byte(i)
		if i%3 == 0 {
			n.Group = g.ID
		}
		batch = append(batch, n)
	}
	if _, err := s.Insert(t.Context(), task.Submission{Tasks: batch}); err != nil {
		t.Fatal(err)
	}
	w := newListWalk(&task.Filter{Group: g.ID, Ascending: true})
	for _, want := range []task.ID{batch[3].ID, batch[9].ID} {
		_, to, err := w.next(t.Context(), s, 2)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(to, want[:]) || w.done {
			t.Fatalf("a span of two members ends at %x, done %v, want %s", to, w.done, want)
		}
	}
	if _, _, err := w.next(t.Context(), s, 2); err != nil || !w.done {
		t.Fatalf("after the last member: done %v, %v", w.done, err)
	}
}
