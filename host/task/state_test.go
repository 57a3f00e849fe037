package task_test

import (
	"os"
	"strings"
	"testing"

	"github.com/taskhost/taskhost/host/task"
)

// The table of the states is the diagram of docs/states.md, whose arrows are lines such as
// "    pending --> running: claim".
func TestTransitions(t *testing.T) {
	text, err := os.ReadFile("../../docs/states.md")
	if err != nil {
		t.Fatal(err)
	}
	want := map[[2]string]bool{}
	seen := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		from, to, ok := strings.Cut(strings.TrimSpace(line), " --> ")
		if !ok {
			continue
		}
		to, _, _ = strings.Cut(to, ":")
		if from == "[*]" {
			from = "none"
		}
		want[[2]string{from, to}] = true
		seen[from] = true
		seen[to] = true
	}
	name := func(s task.State) string {
		if s == task.None {
			return "none"
		}
		return s.String()
	}
	all := append([]task.State{task.None}, task.States()...)
	if len(seen) != len(all) {
		t.Fatalf("the diagram has %d states, there are %d", len(seen), len(all))
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
