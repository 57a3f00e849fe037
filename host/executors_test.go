package host_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/taskhost/taskhost/host"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// Executors that cannot be made are shown with what is wrong, and tried again; the one that
// can serves. A strict host does not open.
func TestFaultyExecutorsLeaveTheRest(t *testing.T) {
	var free atomic.Bool
	scripts := func(name string) func(sdk.Config) (sdk.Executor, error) {
		return sdk.Scripts(sdk.Func(name, func(context.Context, struct{}, sdk.Reporter) (int, error) { return 1, nil }))
	}
	good := sdk.Plugin{Name: "good", Version: "1", New: scripts("fine")}
	taken := sdk.Plugin{Name: "taken", Version: "1", New: func(cfg sdk.Config) (sdk.Executor, error) {
		if !free.Load() {
			return nil, errors.New("the port is taken")
		}
		return scripts("late")(cfg)
	}}
	built := plugin(t, "noop")
	dir := t.TempDir()
	o := host.Options{DataDir: t.TempDir(), Builtins: []sdk.Plugin{good, taken}, PluginDirs: []string{dir}, Executors: []task.ExecutorConfig{
		{Name: "absent", Plugin: "noop"}, {Name: "taken", Plugin: "taken"}, {Name: "path", Plugin: "../noop"}, {Name: "good", Plugin: "good"}}}

	strict := o
	strict.Strict = true
	if h, err := host.Open(t.Context(), strict); err == nil {
		h.Close()
		t.Error("a strict host opens")
	} else if !strings.Contains(err.Error(), "noop") {
		t.Errorf("a strict host says %v", err)
	}

	h, err := host.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	executor := func(name string) task.ExecutorStatus {
		for _, x := range h.Tasks().Executors() {
			if x.Name == name {
				return x
			}
		}
		t.Fatalf("executor %q is not shown", name)
		return task.ExecutorStatus{}
	}
	for name, want := range map[string]struct {
		state task.ExecutorState
		say   string
	}{
		"absent": {task.ExecutorQuarantined, `unknown plugin "noop"`}, "taken": {task.ExecutorQuarantined, "the port is taken"},
		"path": {task.ExecutorStopped, "not a path"},
	} {
		until(t, name+" is shown", func() bool { return executor(name).State == want.state })
		if x := executor(name); !strings.Contains(x.Reason, want.say) || !strings.Contains(x.LastError, want.say) {
			t.Errorf("%s: reason %q, last error %q; want a word of %q", name, x.Reason, x.LastError, want.say)
		}
	}
	run := func(typ string) {
		t.Helper()
		var tasks []task.Task
		var err error
		until(t, typ+" is known", func() bool {
			tasks, _, err = h.Tasks().Submit(t.Context(), host.DefaultScope(), []task.Spec{{Type: typ, Input: []byte("{}")}}, nil)
			return task.CodeOf(err) != task.CodeExecutorUnavailable
		})
		if err != nil {
			t.Fatal(err)
		}
		if done, err := h.Tasks().Wait(t.Context(), host.DefaultScope(), tasks[0].ID); err != nil || done.State != task.Succeeded {
			t.Errorf("%s: %s, %v", typ, done.State, err)
		}
	}
	run("fine")

	free.Store(true)
	until(t, "the built-in is made", func() bool { return executor("taken").State == task.ExecutorReady && len(executor("taken").Types) == 1 })
	run("late")
	if err := os.Rename(filepath.Join(built, "noop"), filepath.Join(dir, "noop")); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Tasks().ControlExecutor(t.Context(), "absent", "restart"); err != nil {
		t.Error(err)
	}
	until(t, "the plugin is found", func() bool {
		return executor("absent").State == task.ExecutorReady && len(executor("absent").Types) == 1
	})
	run("noop")
}
