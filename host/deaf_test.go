package host_test

import (
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host"
	"github.com/taskhost/taskhost/host/task"
)

// plugin builds one of testdata and gives the directory that it lies in, under its name.
func plugin(t *testing.T, name string) string {
	t.Helper()
	dir := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", filepath.Join(dir, name), "./testdata/"+name+"-plugin").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return dir
}

// deafHost is a host with one plugin process whose attempts do not stop.
func deafHost(t *testing.T, dir string, o host.Options) *host.Host {
	t.Helper()
	o.DataDir, o.PluginDirs, o.Executors = t.TempDir(), []string{dir}, []task.ExecutorConfig{{Name: "x", Plugin: "deaf", Slots: 4}}
	h, err := host.Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() }) // a test that is about it looks for itself
	until(t, "its types are known", func() bool { return len(h.Tasks().Types(host.DefaultScope())) == 3 })
	return h
}

// until polls what has no event: another process's state.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); !ok(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within 30 s: %s", what)
		}
	}
}

// runs submits a task and returns it when its attempt has said that it runs.
func runs(t *testing.T, h *host.Host, spec task.Spec) task.Task {
	t.Helper()
	spec.Input = []byte("{}")
	tasks, _, err := h.Tasks().Submit(t.Context(), host.DefaultScope(), []task.Spec{spec}, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got task.Task
	until(t, "the attempt runs", func() bool {
		got, err = h.Tasks().Get(t.Context(), host.DefaultScope(), tasks[0].ID)
		return err == nil && got.Progress.Done > 0
	})
	return got
}

// A host ends within its bound whatever its plugin does, and so does the plugin.
func TestCloseIsBounded(t *testing.T) {
	dir := plugin(t, "deaf")
	for _, typ := range []string{"deaf", "busy", "frozen", "frozen while idle"} {
		t.Run(typ, func(t *testing.T) {
			t.Parallel()
			h := deafHost(t, dir, host.Options{DrainTimeout: 200 * time.Millisecond, CancelGrace: 200 * time.Millisecond})
			pid := h.Tasks().Executors()[0].Instances[0].Pid
			if typ != "frozen while idle" {
				runs(t, h, task.Spec{Type: typ})
			}
			if typ != "deaf" && typ != "busy" {
				if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
					t.Fatal(err)
				}
			}
			closed := make(chan error, 1)
			go func() { closed <- h.Close() }()
			select {
			case <-closed:
			case <-time.After(15 * time.Second): // 5 s are what it takes; 30 and more was what it took
				t.Error("the host has not ended within 15 s")
				<-closed
			}
			if err := syscall.Kill(pid, 0); err == nil {
				t.Error("the plugin process outlives its host")
			}
		})
	}
}

// A task whose script goes on after its timeout does not keep its slot: its process ends,
// and the next one serves.
func TestDeafAttemptFreesItsSlot(t *testing.T) {
	h := deafHost(t, plugin(t, "deaf"), host.Options{CancelGrace: 200 * time.Millisecond})
	pid := h.Tasks().Executors()[0].Instances[0].Pid
	for _, typ := range []string{"deaf", "busy"} {
		got := runs(t, h, task.Spec{Type: typ, Timeout: 300 * time.Millisecond, MaxAttempts: 1})
		done, err := h.Tasks().Wait(t.Context(), host.DefaultScope(), got.ID)
		if err != nil || done.State != task.Failed || done.Error.Code != task.FailureTimeout {
			t.Fatalf("%s, %+v, %v", done.State, done.Error, err)
		}
		until(t, "another process serves with all its slots", func() bool {
			x := h.Tasks().Executors()[0]
			ok := x.State == task.ExecutorReady && x.Used == 0 && len(x.Instances) == 1 && x.Instances[0].Pid != pid
			if ok {
				pid = x.Instances[0].Pid
			}
			return ok
		})
	}
}
