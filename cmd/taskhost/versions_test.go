package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

// A task type that asks for a least version waits for a worker that is new enough, and says
// so; the workers and the type show which versions there are.
func TestWorkerVersions(t *testing.T) {
	t.Parallel()
	s := newServer(t, "", fleet(""))
	join := func(name, version string) {
		s.worker(name, "join = \""+s.data()+"\"", "version = \""+version+"\"").start()
	}
	s.start()
	join("w1", "1.9.0")
	s.known()
	cli := func(args ...string) string {
		t.Helper()
		out, err := exec.Command(s.bin, append(args, "--addr", s.addr())...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	has := func(out string, all ...string) {
		t.Helper()
		for _, want := range all {
			if !strings.Contains(out, want) {
				t.Errorf("%q is not in:\n%s", want, out)
			}
		}
	}
	submit := func() string { return s.submit(`{"type":"journal","input":{"seconds":0.01}}`) }
	get := func(id string) (d api.Task) { s.get("/v1/tasks/"+id, &d); return d }
	first := submit()
	s.until("the first ran", func() bool { return get(first).State == task.Succeeded })
	cli("type", "put", "journal", "--min-version", "1.10.0")
	has(cli("type", "get", "journal"), "Min version  1.10.0 (api)")
	second := submit()
	var waits api.Task
	s.until("the second waits for a worker", func() bool {
		waits = get(second)
		return waits.WaitReason != nil && *waits.Waiting == task.WaitExecutor.String()
	})
	has(*waits.WaitReason, `offers task type "journal"`, "is of version 1.10.0 or newer; the newest is 1.9.0")
	join("w2", "1.10.0")
	s.until("the second ran", func() bool { return get(second).State == task.Succeeded })
	has(cli("worker", "list"), "journal 1.9.0", "journal 1.10.0")
	has(cli("worker", "get", "w2"), "Version    1.10.0", "journal 1.10.0")
	cli("type", "put", "journal")
	if d := cli("type", "get", "journal"); strings.Contains(d, "Min version") {
		t.Errorf("what was put is replaced, and still shown:\n%s", d)
	}
}
