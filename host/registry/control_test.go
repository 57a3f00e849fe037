package registry_test

import (
	"context"
	"strings"
	"testing"

	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/sqlite"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// inState is an executor's source and process in one state. It notes what was asked of it.
type inState struct {
	state task.ExecutorState
	asked string
}

func (s *inState) Status() task.ExecutorStatus {
	return task.ExecutorStatus{State: s.state, Reason: "as the test says"}
}
func (s *inState) State() task.ExecutorState     { return s.state }
func (s *inState) Changed() <-chan struct{}      { return nil }
func (s *inState) Drain(context.Context) error   { s.asked += "drain"; return nil }
func (s *inState) Restart(context.Context) error { s.asked += "restart"; return nil }

// Every verb in every state: what does something is done, and what would do nothing is
// refused with the verb that would.
func TestControlsByState(t *testing.T) {
	const done = ""
	type verbs struct{ pause, resume, drain, restart string } // what the refusal says; done if there is none
	process := map[task.ExecutorState]verbs{
		task.ExecutorReady:       {done, "is not paused: it is ready", done, done},
		task.ExecutorStarting:    {done, "is not paused: it is starting", done, done},
		task.ExecutorDegraded:    {done, "is not paused: it is degraded", done, done},
		task.ExecutorPaused:      {"paused already: resume", done, done, done},
		task.ExecutorQuarantined: {"quarantined and starts nothing that could be paused: restart", "not paused, but quarantined: restart", done, done},
		task.ExecutorDraining:    {"restart brings it back, once it is drained", "not paused, but draining: restart", done, done},
		task.ExecutorStopped:     {"stopped and starts nothing that could be paused: restart", "not paused, but stopped: restart", done, done},
	}
	builtIn := map[task.ExecutorState]verbs{
		task.ExecutorReady:       {done, "is not paused", "built in and has no process to drain: pause", "begins anew with the host"},
		task.ExecutorPaused:      {"paused already", done, "built in", "built in"},
		task.ExecutorQuarantined: {"as the test says", "not paused, but quarantined: as the test says", "built in", "built in"},
		task.ExecutorStopped:     {"put its block right", "put its block right", "no process to drain: as the test says; put its block right", "put its block right"},
	}
	for _, kind := range []struct {
		name   string
		states map[task.ExecutorState]verbs
	}{{"process", process}, {"built in", builtIn}} {
		for state, v := range kind.states {
			for verb, refusal := range map[string]string{"pause": v.pause, "resume": v.resume, "drain": v.drain, "restart": v.restart} {
				t.Run(kind.name+"/"+string(state)+"/"+verb, func(t *testing.T) { control(t, kind.name == "process", state, verb, refusal) })
			}
		}
	}
}

// control does verb to an executor in that state, and expects the refusal.
func control(t *testing.T, process bool, state task.ExecutorState, verb, refusal string) {
	store, err := sqlite.Open(t.Context(), t.TempDir(), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	x, _ := sdk.NewScripts()
	in := &inState{state: state}
	b := registry.Binding{Name: "x", Executor: x, Source: in}
	if process {
		b.Process = in
	}
	g := registry.New(registry.Options{Store: store, Executors: []registry.Binding{b}})
	if err := g.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if state == task.ExecutorPaused {
		in.state = task.ExecutorReady
		if _, err := g.ControlExecutor(t.Context(), "x", "pause"); err != nil {
			t.Fatal(err)
		}
	}
	s, err := g.ControlExecutor(t.Context(), "x", verb)
	switch {
	case refusal != "":
		if task.CodeOf(err) != task.CodeConflict || !strings.Contains(err.Error(), refusal) || in.asked != "" {
			t.Errorf("%v, and %q was asked of it; want a conflict that says %q", err, in.asked, refusal)
		}
	case err != nil:
		t.Error(err)
	case verb == "pause":
		if s.State != task.ExecutorPaused && !strings.Contains(s.Reason, "paused by an operator") {
			t.Errorf("paused, it is shown as %s: %s", s.State, s.Reason)
		}
	case verb == "resume":
		if s.State != task.ExecutorReady {
			t.Errorf("resumed, it is %s", s.State)
		}
	case in.asked != verb:
		t.Errorf("%q was asked of the process", in.asked)
	}
}

// A pause outlasts what the executor goes through: it can be taken back in any state, and
// is shown in each.
func TestPauseOfWhatStopsLater(t *testing.T) {
	store, err := sqlite.Open(t.Context(), t.TempDir(), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	x, _ := sdk.NewScripts()
	in := &inState{state: task.ExecutorReady}
	g := registry.New(registry.Options{Store: store, Executors: []registry.Binding{{Name: "x", Executor: x, Source: in, Process: in}}})
	if err := g.Load(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := g.ControlExecutor(t.Context(), "x", "pause"); err != nil {
		t.Fatal(err)
	}
	in.state = task.ExecutorQuarantined
	if s := g.Executors()[0].Status(); s.State != task.ExecutorQuarantined || s.Reason != "as the test says; and paused by an operator" {
		t.Errorf("%s: %s", s.State, s.Reason)
	}
	if s, err := g.ControlExecutor(t.Context(), "x", "resume"); err != nil || s.Reason != "as the test says" {
		t.Errorf("%v; %s: %s", err, s.State, s.Reason)
	}
}
