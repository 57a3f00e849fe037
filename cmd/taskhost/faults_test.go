package main

import (
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const localOnly = `
executor "local" {
  plugin = "eventlet-style"
}
`

// A second host on the same data directory is refused, with who holds it; the
// first does not notice.
func TestDataDirectoryIsLocked(t *testing.T) {
	s := newServer(t, "", localOnly)
	s.start()
	out, err := exec.Command(s.bin, "server", "--config", filepath.Join(s.dir, "taskhost.hcl")).CombinedOutput()
	if err == nil {
		t.Fatalf("a second host came up:\n%s", out)
	}
	if code := err.(*exec.ExitError).ExitCode(); code != 1 || !strings.Contains(string(out), s.data()) {
		t.Errorf("exit code %d: %s", code, out)
	}
	if id := s.submit(`{"type":"noop","input":null}`); id == "" {
		t.Error("the first host takes no more tasks")
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if addr, err := os.ReadFile(filepath.Join(s.data(), "address")); err == nil {
		t.Errorf("a host that ended is still said to be at %s", addr)
	}
}

// Plugins that end at once, or babble, leave the host and its other executors
// at work, and the operator is told why.
func TestBadPluginHarmsNobody(t *testing.T) {
	plugins := t.TempDir()
	for name, script := range map[string]string{
		"quits":   "#!/bin/sh\nexit 0\n",
		"fails":   "#!/bin/sh\necho 'no license found' >&2\nexit 3\n",
		"babbles": "#!/bin/sh\necho 'hello, operator'\nsleep 5\n",
		"poison":  "#!/bin/sh\necho '{\"@message\": 1}' >&2\nexit 1\n",
	} {
		if err := os.WriteFile(filepath.Join(plugins, name), []byte(script), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s := newServer(t, "", `
executor "quits" { plugin = "quits" }
executor "fails" { plugin = "fails" }
executor "babbles" { plugin = "babbles" }
executor "poison" { plugin = "poison" }
`+localOnly)
	config := filepath.Join(s.dir, "taskhost.hcl")
	text, err := os.ReadFile(config)
	if err != nil {
		t.Fatal(err)
	}
	fixed := strings.Replace(string(text), filepath.Join(built(t), "plugins"), plugins, 1)
	if err := os.WriteFile(config, []byte(fixed), 0o600); err != nil {
		t.Fatal(err)
	}
	s.start()
	for name, say := range map[string]string{"quits": "exit", "fails": "no license found", "babbles": "hello, operator", "poison": "@message"} {
		var x struct {
			State     string
			LastError string `json:"last_error"`
			Reason    string
		}
		s.until(name+" is known to be bad", func() bool {
			s.get("/v1/executors/"+name, &x)
			return x.State != "starting"
		})
		if x.State == "ready" || !strings.Contains(x.LastError+x.Reason, say) {
			t.Errorf("%s is %s: %s; %s; want a word of %q", name, x.State, x.Reason, x.LastError, say)
		}
	}
	id := s.submit(`{"type":"sum","input":[1,2]}`)
	var done apiTask
	s.get("/v1/tasks/"+id+"?wait=20s", &done)
	if done.State != "succeeded" {
		t.Errorf("the good executor's task is %s", done.State)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// A plugin that is not there is a mistake in the config: config validate says so, and a strict
// server does not start.
func TestUnknownPluginIsRefused(t *testing.T) {
	s := newServer(t, "", `executor "x" { plugin = "no-such-thing" }`)
	for _, cmd := range []string{"server --strict", "config validate"} {
		out, err := exec.Command(s.bin, append(strings.Fields(cmd), "--config", filepath.Join(s.dir, "taskhost.hcl"))...).CombinedOutput()
		if err == nil || !strings.Contains(string(out), "no-such-thing") || !strings.Contains(string(out), "eventlet-style") {
			t.Errorf("%s: %v\n%s", cmd, err, out)
		}
		if n := strings.Count(string(out), `executor "x"`); n != 1 {
			t.Errorf("%s names the executor %d times, want once:\n%s", cmd, n, out)
		}
	}
}

// A plugin that others may write is shown as refused with what to do, by each that looks at it.
func TestWritablePluginIsShown(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "open")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o777); err != nil {
		t.Fatal(err)
	}
	for allow, config := range map[bool]string{false: "", true: "allow_writable_plugins = true\n"} {
		file := filepath.Join(dir, "taskhost.hcl")
		if err := os.WriteFile(file, []byte(config+`executor "x" { plugin = "open" }`), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, cmd := range [][]string{{"plugin", "list", "--plugin-dir", dir, "--config", file}, {"config", "validate", "--plugin-dir", dir, "--config", file},
			{"plugin", "check", path}} {
			out, _ := exec.Command(filepath.Join(built(t), "taskhost"), cmd...).CombinedOutput()
			refused := strings.Contains(string(out), "chmod go-w "+path)
			if want := !allow || cmd[1] == "check"; refused != want {
				t.Errorf("%v, allowed %v:\n%s", cmd, allow, out)
			}
		}
	}
}

// SIGTERM to a plugin process from somebody else: its successor takes what is new, what runs
// there finishes, and no task goes back and forth between the two.
func TestPluginIsToldToStop(t *testing.T) {
	s := newServer(t, "", ownProcess)
	s.start()
	s.until("the plugin runs", func() bool { return len(s.instances("own")) > 0 })
	long := s.submit(`{"type":"journal","input":{"seconds":3}}`)
	s.until("the long task runs", func() bool { return len(s.starts()) == 1 })
	old := s.instances("own")[0]
	if err := syscall.Kill(old, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	ids := []string{long}
	for range 5 {
		ids = append(ids, s.submit(`{"type":"journal","input":{}}`))
	}
	s.settle()
	for _, id := range ids {
		var h struct{ Events []json.RawMessage }
		s.get("/v1/tasks/"+id+"/history", &h)
		var task apiTask
		s.get("/v1/tasks/"+id, &task)
		if task.State != "succeeded" || task.Lost > 0 || task.Attempt > 2 || len(h.Events) > 6 {
			t.Errorf("task %s is %s in attempt %d, lost %d times, after %d events", id, task.State, task.Attempt, task.Lost, len(h.Events))
		}
	}
	s.until("one other process is left", func() bool { pids := s.instances("own"); return len(pids) == 1 && pids[0] != old })
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// Requests that are malformed or too large are refused with what, where and
// what to do, and none of them is a task afterwards.
func TestBadRequestsAreRefused(t *testing.T) {
	s := newServer(t, "", localOnly)
	s.start()
	for _, c := range []struct {
		body, code string
		status     int
	}{
		{`{"type":"noop"`, "invalid_request", http.StatusBadRequest},
		{`{"type":"noop","inptu":1}`, "invalid_request", http.StatusBadRequest},
		{`{"type":7}`, "invalid_request", http.StatusBadRequest},
		{`{"input":1}`, "invalid_request", http.StatusBadRequest},
		{`[]`, "invalid_request", http.StatusBadRequest},
		{`{"type":"nope"}`, "unknown_type", http.StatusUnprocessableEntity},
		{`{"type":"sleep","input":{"seconds":"x"}}`, "invalid_input", http.StatusUnprocessableEntity},
		{`{"type":"noop","input":"` + strings.Repeat("x", 1<<20) + `"}`, "too_large", http.StatusRequestEntityTooLarge},
		{`{"type":"noop","input":"` + strings.Repeat("x", 8<<20) + `"}`, "too_large", http.StatusRequestEntityTooLarge},
	} {
		status, data, err := s.call("POST", "/v1/tasks", c.body)
		if err != nil {
			t.Errorf("%.40s: %v", c.body, err)
			continue
		}
		if status != c.status || !strings.Contains(string(data), `"code":"`+c.code+`"`) {
			t.Errorf("%.40s: %d %s, want %d %s", c.body, status, data, c.status, c.code)
		}
	}
	var page struct{ Tasks []apiTask }
	if s.get("/v1/tasks", &page); len(page.Tasks) != 0 {
		t.Errorf("%d refused requests became tasks", len(page.Tasks))
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// SIGTERM ends the host in good order even when its plugin is frozen, and leaves no process behind.
func TestStopWithFrozenPlugin(t *testing.T) {
	t.Parallel()
	s := newServer(t, "", ownProcess)
	s.start()
	id := s.submit(`{"type":"journal","input":{"seconds":600}}`)
	s.until("the task runs", func() bool {
		_, err := os.Stat(s.journal())
		return err == nil && len(s.starts()) == 1
	})
	pids := s.instances("own")
	if len(pids) != 1 {
		t.Fatalf("plugin processes: %v", pids)
	}
	if err := syscall.Kill(pids[0], syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	if err := s.stop(); err != nil {
		t.Log(err) // its attempt did not stop: an exit code may say so
	}
	if err := syscall.Kill(pids[0], 0); err == nil {
		t.Error("the plugin is still there")
	}
	s.start()
	var got apiTask
	s.until("the task runs again", func() bool {
		s.get("/v1/tasks/"+id, &got)
		return got.State == "running" && got.Attempt == 2
	})
	if status, _, _ := s.call("POST", "/v1/tasks/"+id+"/cancel", ""); status != http.StatusAccepted {
		t.Errorf("cancel: %d", status)
	}
	s.settle()
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}
