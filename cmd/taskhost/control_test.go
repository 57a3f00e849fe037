package main

import (
	"errors"
	"os/exec"
	"strings"
	"testing"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

// A control that would do nothing exits with 6 and names the verb that would do
// something; the log tells of those that did something alone.
func TestControlsThatDoNothing(t *testing.T) {
	s := newServer(t, "", ownProcess+localOnly+`executor "absent" { plugin = "no-such-thing" }`)
	s.start()
	state := func(name string) task.ExecutorState {
		var x api.Executor
		s.get("/v1/executors/"+name, &x)
		return x.State
	}
	s.until("all have come to rest", func() bool {
		return state("own") == task.ExecutorReady && state("absent") == task.ExecutorQuarantined
	})
	for _, c := range []struct {
		name, verb string
		code       int
		say        string
	}{
		{"own", "resume", 6, "is not paused"}, {"own", "pause", 0, "paused"}, {"own", "pause", 6, "resume"}, {"own", "resume", 0, "ready"},
		{"own", "drain", 0, "stopped"}, {"own", "resume", 6, "restart"}, {"own", "pause", 6, "restart"}, {"own", "drain", 6, "restart"},
		{"own", "restart", 0, "ready"},
		{"absent", "pause", 6, "restart"}, {"absent", "resume", 6, "restart"}, {"absent", "drain", 0, "stopped"}, {"absent", "pause", 6, "restart"},
		{"local", "resume", 6, "is not paused"}, {"local", "drain", 6, "pause"}, {"local", "restart", 6, "host"},
	} {
		out, err := exec.Command(s.bin, "executor", c.verb, c.name, "--addr", s.addr()).CombinedOutput()
		code := 0
		if e := (*exec.ExitError)(nil); errors.As(err, &e) {
			code = e.ExitCode()
		}
		if code != c.code || !strings.Contains(string(out), c.say) {
			t.Errorf("executor %s %s: exit code %d, want %d with a word of %q:\n%s", c.verb, c.name, code, c.code, c.say, out)
		}
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	for line, want := range map[string]int{
		"an operator paused an executor: executor=own": 1, "an operator resumed an executor: executor=own": 1,
		"an operator's drain of an executor is done: executor=own": 1, "an operator's restart of an executor is done: executor=own": 1,
		"[ERROR] taskhost.api": 0,
	} {
		if n := strings.Count(s.output.String(), line); n != want {
			t.Errorf("%d lines of %q, want %d:\n%s", n, line, want, s.output)
		}
	}
}
