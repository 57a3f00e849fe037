package sqlite

import (
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// TestOneExclusive: the document that is written and read by hand is as an encoder writes it and a
// decoder reads it, and every other one is left to them.
func TestOneExclusive(t *testing.T) {
	plain := 0
	names := []string{"disk", "ä", "a b", "\u2028", `"`, `\`, `a"b`, `","`, `"]}`, `],"shared":["b`, "<&>", "<", "\n", "\x7f", "~", " ", "\xff"}
	for _, name := range names {
		for _, r := range []task.Resources{{Exclusive: []string{name}}, {Exclusive: []string{name, "b"}}, {Shared: []string{name}}, {Exclusive: []string{name}, Shared: []string{"b"}}} {
			document := resourcesDocument(&r)
			if b, err := json.Marshal(r); err != nil || document != string(b) {
				t.Errorf("%+v is written as %s, %v", r, document, err)
			}
			var want task.Resources
			if err := json.Unmarshal([]byte(document), &want); err != nil {
				t.Fatal(err)
			}
			got, ok := oneExclusive([]byte(document))
			if ok && !reflect.DeepEqual(want, task.Resources{Exclusive: []string{got}}) {
				t.Errorf("%s was read as %q", document, got)
			}
			if ok {
				plain++
			}
		}
	}
	if plain != 6 {
		t.Errorf("%d are plain", plain)
	}
	for _, damaged := range []string{"", "{", `{"exclusive":["`, `{"exclusive":["a`, `{"exclusive":["a"]`, `{"exclusive":["a"]}}`} {
		if name, ok := oneExclusive([]byte(damaged)); ok {
			t.Errorf("%s was read as %q", damaged, name)
		}
	}
}

// TestGrantsHaveTheirOwnTime: who gets a resource has it since then, whatever the clock showed at
// an earlier one, whether that was committed or not.
func TestGrantsHaveTheirOwnTime(t *testing.T) {
	s := stopped(t)
	insertTogether(t, s, newTasks(t, 4, task.Spec{Resources: task.Resources{Exclusive: []string{"a"}}}))
	base := time.UnixMicro(time.Now().UnixMicro())
	end := func(ended time.Time, undoneOnce bool) {
		t.Helper()
		got, err := claimed(t, s, 1)
		if err != nil || len(got) != 1 {
			t.Fatalf("claimed %d: %v", len(got), err)
		}
		for _, undone := range []bool{undoneOnce, false} {
			c, err := task.Settle(&got[0], &task.Outcome{Kind: task.OutcomeSucceeded}, task.Backoff{}, ended, 0)
			if err != nil {
				t.Fatal(err)
			}
			o := newApplyOp([]task.Change{c})
			failed := &ticket{op: &guardedOp{do: func(w *writer) (refused, err error) {
				return nil, errors.Join(w.grantResources(), errors.New("undo"))
			}}}
			if !undone {
				s.w.write([]*ticket{{op: o}})
				break
			}
			if s.w.write([]*ticket{{op: o}, failed}); failed.err == nil {
				t.Fatal("it was not undone")
			}
			ended = base
		}
		var since int64
		if err := s.rows(t.Context(), `SELECT since FROM resource_claim WHERE held = 1`, nil, 1, func(r row) bool { since = r.int(0); return true }); err != nil {
			t.Fatal(err)
		}
		if since != micros(ended) {
			t.Errorf("it is held since %s, want %s", fromMicros(since), ended)
		}
	}
	ahead := base.Add(time.Hour)
	end(ahead, false)
	end(base, false)
	end(ahead, true)
}

// byNames is how many claims are found by their names, and how many are not.
func byNames(t *testing.T, s *Store) (found, kept int64) {
	t.Helper()
	if err := s.rows(t.Context(), `SELECT count(*) FILTER (WHERE by_name = 1), count(*) FILTER (WHERE by_name = 0) FROM resource_claim`, nil, 2, func(r row) bool {
		found, kept = r.int(0), r.int(1)
		return false
	}); err != nil {
		t.Fatal(err)
	}
	return found, kept
}

// TestKeptClaims: claims of those that have a name for themselves are in no index for as long as
// the writer knows all of them, over commits and rollbacks; all others are, and all once the store
// is opened anew. The count of those that are not comes back to nothing.
func TestKeptClaims(t *testing.T) {
	s := stopped(t)
	alone := func(n int, name string) []*task.Task {
		return newTasks(t, n, task.Spec{Resources: task.Resources{Exclusive: []string{name}}})
	}
	want := func(found, kept int64) {
		t.Helper()
		if f, k := byNames(t, s); f != found || k != kept || int64(s.w.resources.kept) != kept {
			t.Fatalf("%d claims are found by their names and %d are not, %d are counted, want %d and %d", f, k, s.w.resources.kept, found, kept)
		}
	}
	insertTogether(t, s, alone(waitersKept+3, "deep"))
	want(2, waitersKept+1)
	insertTogether(t, s, newTasks(t, 2, task.Spec{Resources: task.Resources{Shared: []string{"shared"}}}))
	want(4, waitersKept+1)
	s.w.resources.kept += claimsKept
	insertTogether(t, s, alone(2, "late"))
	s.w.resources.kept -= claimsKept
	want(6, waitersKept+1)

	deep := alone(1, "deep")[0] // found by its name, behind a holder that is not
	insertTogether(t, s, []*task.Task{deep})
	want(7, waitersKept+1)
	page, err := s.Resources(t.Context(), task.Scope{All: true}, "", 0)
	if err != nil {
		t.Fatal(err)
	}
	seen := ""
	for _, r := range page.Resources {
		seen += fmt.Sprintf("%s %d %d %d, ", r.Name, r.Held, r.Waiting, len(r.Queue))
	}
	if seen != fmt.Sprintf("deep 1 %d %[1]d, late 1 1 1, shared 2 0 0, ", waitersKept+3) {
		t.Errorf("the list has %s", seen)
	}
	holder := page.Resources[0].Holders[0].Task
	is, err := s.Get(t.Context(), task.Scope{All: true}, deep.ID)
	if err != nil {
		t.Fatal(err)
	}
	if blockers, err := s.BlockedBy(t.Context(), is.Seq); err != nil || !reflect.DeepEqual(blockers, []task.ID{holder}) {
		t.Errorf("blocked by %v, %v, want by %v", blockers, err, holder)
	}

	failed := errors.New("undone")
	all := alone(3, "undone")
	broken := &ticket{op: &guardedOp{do: func(w *writer) (refused, err error) { return nil, errors.Join(w.writeClaims(), failed) }}}
	if s.w.write([]*ticket{insertion(t, all...), broken}); !errors.Is(broken.err, failed) {
		t.Fatal(broken.err)
	}
	want(7, waitersKept+1)

	dir := s.dir
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, dir)
	want(waitersKept+8, 0)
	s.w.stop()
	insertTogether(t, s, alone(2, "deep"))
	want(waitersKept+10, 0)
	insertTogether(t, s, alone(2, "new"))
	want(waitersKept+10, 2)
	for {
		got, err := claimed(t, s, 10)
		if err != nil {
			t.Fatal(err)
		}
		if len(got) == 0 {
			break
		}
		for i := range got {
			o := newApplyOp([]task.Change{succeeded(t, &got[i])})
			if s.w.write([]*ticket{{op: o}}); o.errs[0] != nil {
				t.Fatal(o.errs[0])
			}
		}
	}
	want(0, 0)
	if left := len(s.w.resources.shown.of); left > 0 {
		t.Errorf("%d names are shown to be had", left)
	}
}
