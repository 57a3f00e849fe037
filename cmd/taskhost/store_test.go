package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestStoreRestore: after a host was killed, a backup that is put over its store by
// hand is refused with what to do; doing it gives the tasks of the backup, and
// what was there can be looked at.
func TestStoreRestore(t *testing.T) {
	s := newServer(t, os.Args[0], inProcess)
	s.start()
	var before []string
	for range 5 {
		before = append(before, s.submit(`{"type":"journal","input":{}}`))
	}
	s.settle()
	backup := filepath.Join(s.dir, "backup.db")
	s.store(0, "backup", backup)
	for range 5 {
		s.submit(`{"type":"journal","input":{}}`)
	}
	s.settle()
	if out := s.store(1, "restore", backup); !strings.Contains(out, "in use by process") {
		t.Fatalf("restore under a server: %s", out)
	}
	s.kill()

	data, err := os.ReadFile(backup)
	if err != nil {
		t.Fatal(err)
	}
	store := filepath.Join(s.data(), "taskhost.db")
	if err := os.WriteFile(store, data, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{s.store(1, "check"), s.refused("--accept-older-store")} {
		if !strings.Contains(what, "is not of the store") || !strings.Contains(what, "taskhost store restore") {
			t.Fatalf("a backup beside the log of the killed host: %s", what)
		}
	}
	if out := s.store(0, "restore", backup); !strings.Contains(out, "before-restore-") {
		t.Fatalf("restore: %s", out)
	}
	s.store(0, "check")
	s.start()
	s.wantTasks(before)

	s.kill()
	if err := os.Remove(store + "-wal"); err != nil {
		t.Fatal(err)
	}
	if out := s.refused(); !strings.Contains(out, "may be missing") || !strings.Contains(out, "--accept-older-store") {
		t.Fatalf("a store without its log: %s", out)
	}
}

// wantTasks says that the store has these tasks, and no other.
func (s *server) wantTasks(ids []string) {
	s.t.Helper()
	for _, id := range ids {
		if status, _, err := s.call("GET", "/v1/tasks/"+id, ""); err != nil || status != 200 {
			s.t.Errorf("task %s: %d, %v", id, status, err)
		}
	}
	var page struct{ Tasks []apiTask }
	s.get("/v1/tasks", &page)
	if len(page.Tasks) != len(ids) {
		s.t.Errorf("%d tasks, want %d", len(page.Tasks), len(ids))
	}
}

// store runs "taskhost store" on the server's directory, and wants that exit code.
func (s *server) store(code int, args ...string) string {
	s.t.Helper()
	cmd := exec.Command(filepath.Join(built(s.t), "taskhost"), append(append([]string{"store"}, args...), "--data-dir", s.data())...)
	out, _ := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != code {
		s.t.Fatalf("store %v exits %d: %s", args, cmd.ProcessState.ExitCode(), out)
	}
	return string(out)
}

// refused starts a server that must refuse, and gives what it says.
func (s *server) refused(flags ...string) string {
	s.t.Helper()
	args := append([]string{"server", "--data-dir", s.data(), "--listen", "127.0.0.1:0"}, flags...)
	cmd := exec.Command(filepath.Join(built(s.t), "taskhost"), args...)
	out, _ := cmd.CombinedOutput()
	if cmd.ProcessState.ExitCode() != 1 {
		s.t.Fatalf("the server exits %d: %s", cmd.ProcessState.ExitCode(), out)
	}
	return string(out)
}
