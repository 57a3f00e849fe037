package sqlite

import (
	"bytes"
	"testing"

	"github.com/taskhost/taskhost/host/task"
)

// TestSpansOfAGroup: a list of a group is read in spans of its members, whatever lies
// between them.
func TestSpansOfAGroup(t *testing.T) {
	s := openStore(t, t.TempDir())
	group := newID()
	var batch []*task.Task
	for i := range 12 {
		n := newTask(t, task.Spec{})
		n.ID[0] = byte(i)
		if i%3 == 0 {
			n.Group = group
		}
		batch = append(batch, n)
	}
	if _, err := s.Insert(t.Context(), task.Submission{Tasks: batch}); err != nil {
		t.Fatal(err)
	}
	w := newListWalk(&task.Filter{Group: group, Ascending: true})
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
