package task_test

import (
	"strings"
	"testing"

	"github.com/taskhost/taskhost/host/task"
)

// life is the table of the states as it is documented, written down apart from
// the code: one line a row of "from -> to ...".
const life = `
none          -> pending running
pending       -> pending running canceled failed skipped
running       -> succeeded failed pending canceling
canceling     -> canceled succeeded
succeeded     -> reverting
failed        -> reverting pending
canceled      -> pending
reverted      -> pending
reverting     -> reverted revert_failed
revert_failed -> reverting
skipped       ->
`

func TestTransitions(t *testing.T) {
	want := map[[2]string]bool{}
	rows := map[string]bool{}
	for _, line := range strings.Split(strings.TrimSpace(life), "\n") {
		from, to, _ := strings.Cut(line, "->")
		from = strings.TrimSpace(from)
		rows[from] = true
		for _, s := range strings.Fields(to) {
			want[[2]string{from, s}] = true
		}
	}
	name := func(s task.State) string {
		if s == task.None {
			return "none"
		}
		return s.String()
	}
	all := append([]task.State{task.None}, task.States()...)
	if len(rows) != len(all) {
		t.Fatalf("the table has %d rows, there are %d states", len(rows), len(all))
	}
	for _, from := range all {
		for _, to := range all {
			if got := task.Allowed(from, to); got != want[[2]string{name(from), name(to)}] {
				t.Errorf("Allowed(%s, %s) = %v", name(from), name(to), got)
			}
		}
	}
}

func TestStateKinds(t *testing.T) {
	final, active := "succeeded failed canceled skipped reverted revert_failed", "running canceling reverting"
	for _, s := range append([]task.State{task.None}, task.States()...) {
		in := func(set string) bool { return s != task.None && strings.Contains(" "+set+" ", " "+s.String()+" ") }
		if s.Final() != in(final) || s.Active() != in(active) {
			t.Errorf("%s: Final %v, Active %v", s, s.Final(), s.Active())
		}
	}
}

func TestStateText(t *testing.T) {
	for _, s := range task.States() {
		b, err := s.MarshalText()
		if err != nil {
			t.Fatal(err)
		}
		var back task.State
		if err := back.UnmarshalText(b); err != nil || back != s {
			t.Errorf("%s came back as %s, %v", s, back, err)
		}
	}
	var s task.State
	if err := s.UnmarshalText([]byte("done")); task.CodeOf(err) != task.CodeInvalidRequest {
		t.Errorf("an unknown state: %v", err)
	}
	if got := task.State(99).String(); got != "State(99)" {
		t.Errorf("a state that is none: %s", got)
	}
	if got := task.Waiting(99).String(); got != "Waiting(99)" {
		t.Errorf("a reason that is none: %s", got)
	}
	for w, want := range map[task.Waiting]string{task.WaitNone: "", task.WaitQueued: "queued", task.WaitScheduled: "scheduled",
		task.WaitDependency: "dependency", task.WaitResource: "resource", task.WaitPaused: "paused", task.WaitExecutor: "executor",
		task.WaitDispatched: "dispatched", task.WaitChildren: "children"} {
		if w.String() != want {
			t.Errorf("reason %d is %q, want %q", w, w, want)
		}
	}
}
