package task_test

import (
	"testing"

	"github.com/taskhost/taskhost/host/task"
)

// TestEventFilter: what is given must all match, of values that repeat any, and only what the
// scope covers is seen.
func TestEventFilter(t *testing.T) {
	group := task.ID{1}
	tr := task.Transition{Event: task.Event{From: task.Running, To: task.Failed}, Task: task.Task{Type: "import", Owner: "ann", Group: group, State: task.Pending}}
	ann := task.Scope{Owner: "ann"}
	for name, c := range map[string]struct {
		scope task.Scope
		f     task.EventFilter
		want  bool
	}{
		"all":                 {ann, task.EventFilter{}, true},
		"an admin":            {task.Scope{Owner: "ops", All: true}, task.EventFilter{}, true},
		"somebody else":       {task.Scope{Owner: "bob"}, task.EventFilter{}, false},
		"else's, asked for":   {task.Scope{Owner: "bob"}, task.EventFilter{Owner: "ann"}, false},
		"an admin by owner":   {task.Scope{All: true}, task.EventFilter{Owner: "bob"}, false},
		"the state it led to": {ann, task.EventFilter{States: []task.State{task.Succeeded, task.Failed}}, true},
		"another state":       {ann, task.EventFilter{States: []task.State{task.Running, task.Pending}}, false},
		"its type":            {ann, task.EventFilter{Types: []string{"sum", "import"}}, true},
		"another type":        {ann, task.EventFilter{Types: []string{"sum"}}, false},
		"its group":           {ann, task.EventFilter{Group: group}, true},
		"another group":       {ann, task.EventFilter{Group: task.ID{2}}, false},
		"not all match":       {ann, task.EventFilter{Group: group, States: []task.State{task.Running}}, false},
	} {
		if got := c.f.Selects(c.scope, &tr); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}

// TestStub: what is kept of a task for a while is none of what may be large or is secret.
func TestStub(t *testing.T) {
	whole := task.Task{Type: "x", Input: []byte("1"), Result: []byte("2"), Checkpoint: []byte("3"), Handle: []byte("4"), Token: task.Token{5}, Spawner: task.Token{6},
		Error: &task.Failure{Code: "c", Message: "m", Attempt: 7, Details: map[string]any{"stack": "s"}}}
	s := whole.Stub()
	if s.Input != nil || s.Result != nil || s.Checkpoint != nil || s.Handle != nil || !s.Token.IsZero() || !s.Spawner.IsZero() || s.Error.Details != nil {
		t.Errorf("kept is %+v", s)
	}
	if s.Type != "x" || s.Error.Code != "c" || s.Error.Message != "m" || s.Error.Attempt != 7 || whole.Error.Details == nil {
		t.Errorf("kept is %+v of %+v", s, whole)
	}
}
