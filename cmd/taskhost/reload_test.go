package main

import (
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
)

// rewrite puts text into the server's config file, after what newServer wrote, and sends
// SIGHUP.
func (s *server) rewrite(text string) {
	s.t.Helper()
	path := filepath.Join(s.dir, "taskhost.hcl")
	if s.config == nil {
		var err error
		if s.config, err = os.ReadFile(path); err != nil {
			s.t.Fatal(err)
		}
	}
	if err := os.WriteFile(path, append(s.config[:len(s.config):len(s.config)], text...), 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		s.t.Fatal(err)
	}
}

// says waits until the process has said text n times.
func (s *server) says(text string, n int) {
	s.t.Helper()
	s.until("it says "+text, func() bool { return strings.Count(s.output.String(), text) >= n })
}

// SIGHUP puts in force what can be, names what needs a restart, key by key, and changes
// nothing where the file has a mistake.
func TestReload(t *testing.T) {
	s := newServer(t, "", ownProcess+localOnly)
	s.start()
	attempts := func() (n int) {
		var typ struct {
			Limits struct {
				MaxAttempts int `json:"max_attempts"`
			}
		}
		s.get("/v1/types/sleep", &typ)
		return typ.Limits.MaxAttempts
	}
	s.rewrite("log_level = \"debug\"\ndrain_timeout = \"7s\"\ntask_type \"sleep\" {\n  max_attempts = 7\n}\nexecutor \"more\" {\n  plugin = \"missing\"\n}\n")
	s.says("config reloaded: changed=3 need_a_restart=1", 1)
	if n := attempts(); n != 7 {
		t.Errorf("max_attempts is %d, the config in force says 7", n)
	}
	for _, line := range []string{"key=log_level was=info is=debug", "key=drain_timeout was=5s is=7s", `key=task_type.sleep.max_attempts was="" is=7`,
		`needs a restart: key=executor.more.plugin in_force="" in_file=missing`, `Unknown plugin \"missing\"`} {
		s.says(line, 1)
	}
	s.says("[DEBUG] taskhost.api: request: method=GET path=/v1/types/sleep status=200", 1)
	s.rewrite("log_level = \"error\"\ntask_type \"sleep\" {\n  max_attempts = 8\n}\n")
	s.says("config reloaded: changed=3 need_a_restart=0", 1) // told though the new level would not
	if n := attempts(); n != 8 {
		t.Errorf("max_attempts is %d, the config in force says 8", n)
	}
	s.rewrite("task_type \"sleep\" {\n  max_atempts = 9\n}\n")
	s.says("max_atempts", 1)
	if n := attempts(); n != 8 {
		t.Errorf("max_attempts is %d, the config in force says 8", n)
	}
	s.rewrite("drain_timeout = \"9s\"\n")
	s.says("config reloaded: changed=3 need_a_restart=0", 2)
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	s.says("stopping: attempts may finish for a while: attempts=0 drain_timeout=9s", 1)
}

// A SIGHUP that comes before the server is open does not end it.
func TestReloadBeforeTheServerIsOpen(t *testing.T) {
	s := newServer(t, "", localOnly)
	file := filepath.Join(s.dir, "taskhost.hcl")
	config, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(file, 0o600); err != nil {
		t.Fatal(err)
	}
	s.run()
	pipe, err := os.OpenFile(file, os.O_WRONLY, 0) // opens when the server has come to read its config
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if _, err := pipe.Write(config); err != nil {
		t.Fatal(err)
	}
	if err := pipe.Close(); err != nil {
		t.Fatal(err)
	}
	s.ready()
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// A SIGHUP while the server drains does not end it before what runs has finished.
func TestReloadWhileDraining(t *testing.T) {
	s := newServer(t, "", ownProcess+"drain_timeout = \"20s\"\n")
	s.start()
	s.until("the type is known", func() bool { st, _, err := s.call("GET", "/v1/types/journal", ""); return err == nil && st == 200 })
	id := s.submit(`{"type":"journal","input":{"seconds":1}}`)
	s.until("it runs", func() bool {
		var got apiTask
		s.get("/v1/tasks/"+id, &got)
		return got.State == "running"
	})
	for _, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGHUP} {
		if err := s.cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		s.until("it stops", func() bool { return strings.Contains(s.output.String(), "stopping") })
	}
	<-s.exited
	if code := s.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("the draining server ended as %s", s.cmd.ProcessState)
	}
	s.cmd = nil
}

// A reload that raises max_input has the API take bodies as large as that.
func TestReloadRaisesMaxInput(t *testing.T) {
	s := newServer(t, "", localOnly)
	s.start()
	submit := func() int {
		st, _, err := s.call("POST", "/v1/tasks", `{"type":"noop","input":"`+strings.Repeat("x", 8<<20)+`"}`)
		if err != nil {
			t.Fatal(err)
		}
		return st
	}
	if st := submit(); st != http.StatusRequestEntityTooLarge {
		t.Errorf("8 MiB before: %d", st)
	}
	s.rewrite("task_type \"noop\" {\n  max_input = \"16MiB\"\n}\n")
	s.says("config reloaded", 1)
	if st := submit(); st != http.StatusAccepted {
		t.Errorf("8 MiB under a max_input of 16 MiB: %d", st)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// systemd hears that a reload begins, since when, and that it has ended, also where the
// file has a mistake.
func TestSystemdHearsOfReloads(t *testing.T) {
	path := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.SetReadDeadline(time.Now().Add(2 * time.Minute)); err != nil {
		t.Fatal(err)
	}
	hears := func(want string) {
		t.Helper()
		buf := make([]byte, 4096)
		n, err := l.Read(buf)
		if err != nil || !regexp.MustCompile("^(?:"+want+")$").Match(buf[:n]) {
			t.Fatalf("systemd hears %q, %v; want %q", buf[:n], err, want)
		}
	}
	t.Setenv("NOTIFY_SOCKET", path)
	s := newServer(t, "", localOnly)
	s.start()
	hears(daemon.SdNotifyReady)
	for _, config := range []string{"log_level = \"debug\"\n", "log_level = \n"} {
		s.rewrite(config)
		hears(daemon.SdNotifyReloading + `\nMONOTONIC_USEC=[1-9][0-9]*\n`)
		hears(daemon.SdNotifyReady + `\nSTATUS=.*`)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	hears(daemon.SdNotifyStopping)
}

// SIGHUP ends no worker: it reads its config again, and puts the log's level in force.
func TestWorkerReloads(t *testing.T) {
	s := newServer(t, "", fleet(""))
	w := s.worker("w1", "join = \""+s.data()+"\"")
	s.start()
	w.start()
	s.known()
	file := filepath.Join(s.dir, "w1.hcl")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, append(text, "log_level = \"debug\"\nlabels = { zone = \"b\" }\n"...), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := w.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	s.until("it is reloaded", func() bool { return strings.Contains(w.output.String(), "config reloaded: changed=1 need_a_restart=1") })
	id := s.submit(`{"type":"journal","input":{"seconds":0.01}}`)
	s.until("its log tells of attempts", func() bool {
		return strings.Contains(w.output.String(), "attempt ends: task="+id)
	})
}

// A server on a throw-away store ends with its terminal, in good order.
func TestDevEndsWithItsTerminal(t *testing.T) {
	out := &output{}
	cmd := exec.Command(filepath.Join(built(t), "taskhost"), "dev", "--listen", "127.0.0.1:0")
	cmd.Stdout, cmd.Stderr = out, out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan error, 1)
	go func() { exited <- cmd.Wait() }()
	for end := time.Now().Add(time.Minute); !strings.Contains(out.String(), "taskhost is ready"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it is not ready:\n%s", out)
		}
	}
	if err := cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if err := <-exited; err != nil || !strings.Contains(out.String(), "in good order") {
		t.Errorf("%v:\n%s", err, out)
	}
}
