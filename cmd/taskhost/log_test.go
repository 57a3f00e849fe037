package main

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

// entries are the lines of a log in JSON. Anything else among them fails the test, and so
// does a list of numbers, which is an id that nobody can read.
func entries(t *testing.T, log string) (all []map[string]any) {
	t.Helper()
	for line := range strings.Lines(log) {
		var e map[string]any
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatalf("no entry of a log in JSON: %q", line)
		}
		if _, err := time.Parse(time.RFC3339, e["@timestamp"].(string)); err != nil {
			t.Errorf("%v in %s", err, line)
		}
		for k, v := range e {
			if _, list := v.([]any); list {
				t.Errorf("%s is %v in %s", k, v, line)
			}
		}
		all = append(all, e)
	}
	return all
}

// A log in JSON holds nothing but JSON, with times, durations, ids and numbers as what
// they are: also what plugin processes say, and the error that ends the server.
func TestLogInJSON(t *testing.T) {
	s := newServer(t, "", ownProcess+localOnly+"log_format = \"json\"\nlog_level = \"debug\"\n")
	s.start()
	s.until("the plugin is ready", func() bool {
		var x api.Executor
		s.get("/v1/executors/own", &x)
		return x.State == task.ExecutorReady
	})
	id := s.submit(`{"type":"sum","input":{"no":"numbers"}}`)
	s.settle()
	second, err := exec.Command(s.bin, "server", "--config", filepath.Join(s.dir, "taskhost.hcl")).CombinedOutput()
	if err == nil {
		t.Error("a second server came up")
	}
	if all := entries(t, string(second)); len(all) == 0 || all[len(all)-1]["@level"] != "error" || !strings.Contains(string(second), s.data()) {
		t.Errorf("the last word is %v", all)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	want := map[string]func(e map[string]any) bool{
		"task failed": func(e map[string]any) bool { return e["task"] == id && e["attempt"] == 1.0 && e["code"] == "permanent" },
		"request": func(e map[string]any) bool {
			_, err := time.ParseDuration(e["took"].(string))
			return err == nil && e["status"] == 202.0
		},
		"task changed":    func(e map[string]any) bool { return e["task"] == id && e["to"] == "running" },
		"plugin is ready": func(e map[string]any) bool { return e["pid"].(float64) > 1 },
		"stopping: attempts may finish for a while": func(e map[string]any) bool { return e["drain_timeout"] == "5s" && e["attempts"] == 0.0 },
	}
	for _, e := range entries(t, s.output.String()) {
		if ok := want[e["@message"].(string)]; ok != nil && ok(e) {
			delete(want, e["@message"].(string))
		}
	}
	for message := range want {
		t.Errorf("no entry %q as it should be in\n%s", message, s.output)
	}
}

// A server that is told twice to end does so at once, by the signal, and says what it left.
func TestSecondSignalEndsServer(t *testing.T) {
	s := newServer(t, "", localOnly+"drain_timeout = \"10m\"\n")
	s.start()
	s.submit(`{"type":"sleep","input":{"seconds":600}}`)
	for _, said := range []string{"stopping: attempts may finish for a while: attempts=1", "by a second signal: the next host settles what ran as lost: attempts=1"} {
		if err := s.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		s.says(said, 1)
	}
	<-s.exited
	if status := s.cmd.ProcessState.Sys().(syscall.WaitStatus); !status.Signaled() || status.Signal() != syscall.SIGTERM {
		t.Errorf("it ended as %s", s.cmd.ProcessState)
	}
	s.cmd = nil
}
