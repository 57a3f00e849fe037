package fleet

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/taskhost/taskhost/plugins/remote-queue/config"
	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
	"github.com/taskhost/taskhost/plugins/remote-queue/worker"
	"github.com/taskhost/taskhost/sdk"
)

// A worker on the host's machine needs only the host's data directory.
func TestJoinByFile(t *testing.T) {
	host := t.TempDir()
	dir := filepath.Join(host, "executors", "fleet")
	f := openFleet(t, dir, nil)
	st, err := os.Stat(filepath.Join(dir, config.JoinFile))
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Fatalf("join file: %v, %v", st, err)
	}
	g := queuetest.NewGates()
	gateWorker(t, g, worker.Options{Join: host})
	queuetest.Serves(t, f, "quick")
	a := execute(t, f, newTask("quick", `"x"`))
	if out := a.wait(t, sdk.OutcomeSucceeded); string(out.Result.Data) != `"x"` {
		t.Errorf("the result is %s", out.Result.Data)
	}
	if a.node != "w1" {
		t.Errorf("it ran on %q", a.node)
	}
}

func TestJoinNeedsOne(t *testing.T) {
	host := t.TempDir()
	o := worker.Options{Name: "w1", Join: host, Local: []worker.Local{{Name: "local", Executor: queuetest.NewGates().Executor(t)}}}
	if _, err := openWorker(o); err == nil || !strings.Contains(err.Error(), "no executor") {
		t.Errorf("none: %v", err)
	}
	for _, name := range []string{"a", "b"} {
		openFleet(t, filepath.Join(host, "executors", name), nil)
	}
	if _, err := openWorker(o); err == nil || !strings.Contains(err.Error(), "say which") {
		t.Errorf("two: %v", err)
	}
	o.JoinExecutor = "b"
	if _, err := openWorker(o); err != nil {
		t.Errorf("named: %v", err)
	}
}
