package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// dev is a server without a config file, on a store of its own: it obeys the environment
// as the service does, but never takes the service's store, and leaves nothing behind.
func TestDev(t *testing.T) {
	dir := t.TempDir()
	service := filepath.Join(dir, "service")
	temp := filepath.Join(dir, "tmp")
	if err := os.Mkdir(temp, 0o700); err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, bin: filepath.Join(built(t), "taskhost"), dir: dir, output: &output{}, exited: make(chan struct{})}
	s.cmd = exec.Command(s.bin, "dev", "--import-root", "../../examples/images")
	s.cmd.Env = append(os.Environ(), "TMPDIR="+temp, "TASKHOST_LISTEN=127.0.0.1:0", "TASKHOST_DATA_DIR="+service, "TASKHOST_LOG_FORMAT=json")
	s.cmd.Stdout, s.cmd.Stderr = s.output, s.output
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func(cmd *exec.Cmd, exited chan struct{}) { cmd.Wait(); close(exited) }(s.cmd, s.exited)
	t.Cleanup(func() {
		if s.cmd != nil {
			s.kill()
		}
	})
	var addr []byte
	s.until("it serves", func() bool {
		for _, file := range glob(t, filepath.Join(temp, "taskhost-dev-*", "address")) {
			addr, _ = os.ReadFile(file)
		}
		return len(addr) > 0
	})
	out, err := exec.Command(s.bin, "--addr", strings.TrimSpace(string(addr)), "task", "submit", "import", "--input", `{"import_from":"small.qcow2"}`, "--wait").CombinedOutput()
	if err != nil || !strings.Contains(string(out), `"disk_format":"qcow2"`) {
		t.Errorf("import of a file: %v\n%s", err, out)
	}
	if advice := `task submit sum --input '[1, 2]' --wait --addr "$(cat ` + filepath.Join(temp, "taskhost-dev-"); !strings.Contains(s.output.String(), advice) {
		t.Errorf("it does not say %q:\n%s", advice, s.output)
	}
	if !strings.Contains(s.output.String(), `{"`) {
		t.Errorf("the log is not JSON, as the environment says:\n%s", s.output)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if left := append(glob(t, filepath.Join(temp, "taskhost-dev-*")), glob(t, service)...); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// What dev cannot do as it is asked it says at once.
func TestDevRefuses(t *testing.T) {
	out, err := exec.Command(filepath.Join(built(t), "taskhost"), "dev", "--listen", "127.0.0.1:0", "--import-root", "no-such-folder").CombinedOutput()
	if err == nil || !strings.Contains(string(out), "no-such-folder") {
		t.Errorf("%v\n%s", err, out)
	}
}
