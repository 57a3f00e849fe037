package sqlite

import (
	"strings"
	"testing"

	"github.com/taskhost/taskhost/host/task"
)

// A store that was closed while the sums of what is there were made has them made anew; one
// whose sums are not what is there is found by a check.
func TestBytesAreCountedAnew(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	insert := func() {
		t.Helper()
		if _, err := s.Insert(t.Context(), task.Submission{Tasks: []*task.Task{newTask(t, task.Spec{Input: []byte(`12345`)})}}); err != nil {
			t.Fatal(err)
		}
	}
	insert()
	begun := func(w *writer) error {
		return w.execAll(append(sqlCount, `INSERT INTO owner_bytes VALUES ('default', 1000)`))
	}
	if err := s.alone(t.Context(), begun); err != nil {
		t.Fatal(err)
	}
	insert()
	reopen := func() {
		t.Helper()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		s = openStore(t, dir)
	}
	reopen()
	quotas := func(q task.Quota, want int64) {
		t.Helper()
		if err := s.SetQuotas(t.Context(), task.Quotas{Default: q}); err != nil {
			t.Fatal(err)
		}
		if u, err := s.OwnerUse(t.Context(), "default"); err != nil || u[0].Bytes != want {
			t.Errorf("counted %+v, %v, want %d", u, err, want)
		}
	}
	quotas(task.Quota{Bytes: 100}, 10)
	insert()
	reopen()
	insert() // before anybody sets a quota
	quotas(task.Quota{Bytes: 100}, 20)
	check := func(wrong bool) {
		t.Helper()
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
		r, err := Check(t.Context(), dir, nil)
		if err != nil || r.OK() == wrong || wrong && !strings.Contains(r.Problems[0], "bytes that are counted") {
			t.Errorf("the check says %+v, %v", r, err)
		}
		s = openStore(t, dir)
	}
	check(false)
	if err := s.alone(t.Context(), func(w *writer) error { return w.execAll([]string{`UPDATE owner_bytes SET bytes = bytes - 1`}) }); err != nil {
		t.Fatal(err)
	}
	check(true)
	quotas(task.Quota{}, 0)
	check(false)
}

// What an insert has of bytes counts for the next of its group.
func TestBytesOfAGroup(t *testing.T) {
	s := openStore(t, t.TempDir())
	if err := s.SetQuotas(t.Context(), task.Quotas{Default: task.Quota{Bytes: 15}}); err != nil {
		t.Fatal(err)
	}
	s.w.stop()
	var group []*ticket
	for range 2 {
		group = append(group, insertion(t, newTask(t, task.Spec{Input: []byte(`"12345678"`)})))
	}
	s.w.write(group)
	for i, want := range []task.Code{"", task.CodeQuotaExceeded} {
		if got := task.CodeOf(group[i].op.(*insertOp).refused); got != want {
			t.Errorf("insert %d: %v, want code %q", i, group[i].op.(*insertOp).refused, want)
		}
	}
}
