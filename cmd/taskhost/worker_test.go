package main

import (
	"os/exec"
	"strings"
	"testing"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

// An operator's drain of a worker outlasts the worker and the host, shows so, and says
// to a task why it waits; a resume ends it.
func TestWorkerDrainOutlastsRestarts(t *testing.T) {
	t.Parallel()
	s := newServer(t, "", fleet(""))
	w := s.worker("w1", "join = \""+s.data()+"\"")
	s.start()
	w.start()
	s.known()
	shown := func() (list []api.Worker) {
		var out api.WorkerList
		s.get("/v1/workers", &out)
		return out.Workers
	}
	in := func(state string) {
		t.Helper()
		s.until("the worker is "+state, func() bool { all := shown(); return len(all) == 1 && all[0].State == state })
	}
	in(api.WorkerReady)
	if status, body, err := s.call("POST", "/v1/workers/w1/drain", ""); err != nil || status != 200 {
		t.Fatal(status, string(body), err)
	}
	in(api.WorkerDrained)
	w.kill()
	in(api.WorkerGone)
	s.kill()
	s.start()
	w.start()
	in(api.WorkerDrained)
	id := s.submit(`{"type":"journal","input":{"seconds":0.01}}`)
	got := func() (d api.Task) { s.get("/v1/tasks/"+id, &d); return d }
	s.until("it waits for a worker that does not drain", func() bool {
		d := got()
		return d.State == task.Pending && d.WaitReason != nil && strings.Contains(*d.WaitReason, "draining: w1")
	})
	cli := func(args ...string) string {
		t.Helper()
		cmd := exec.Command(s.bin, append(args, "--addr", s.addr())...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	if out := cli("worker", "get", "w1"); !strings.Contains(out, "State      drained") || !strings.Contains(out, ", journal") {
		t.Errorf("worker get:\n%s", out)
	}
	cli("worker", "resume", "w1")
	s.until("it ran", func() bool { return got().State == task.Succeeded })
	in(api.WorkerReady)
}
