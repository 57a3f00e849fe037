package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScripts drives the built program against a server, as a user's shell
// does. Each script has a server of its own: one pauses an executor.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			s := newServer(t, "", localOnly)
			s.start()
			e.Defer(func() {
				if err := s.stop(); err != nil {
					t.Error(err)
				}
			})
			e.Setenv("PATH", filepath.Dir(s.bin)+string(os.PathListSeparator)+e.Getenv("PATH"))
			e.Setenv("TASKHOST_ADDR", s.addr())
			e.Setenv("DATA", s.data())
			e.Setenv("PLUGINS", filepath.Join(filepath.Dir(s.bin), "plugins"))
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){"exits": exits, "keep": keep, "json": isJSONText},
	})
}

func (s *server) addr() string {
	s.t.Helper()
	addr, err := os.ReadFile(filepath.Join(s.data(), "address"))
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.TrimSpace(string(addr))
}

// exits CODE PROGRAM ARGS... runs a program, which is to end with that code.
func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARGS...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	if err := ts.Exec(args[1], args[2:]...); err != nil {
		ee := (*exec.ExitError)(nil)
		if !errors.As(err, &ee) {
			ts.Fatalf("%v", err)
		}
		got = ee.ExitCode()
	}
	if got != want {
		ts.Fatalf("exit code %d, want %d", got, want)
	}
}

// keep NAME sets a variable to the last command's stdout.
func keep(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: keep NAME")
	}
	ts.Setenv(args[0], strings.TrimSpace(ts.ReadFile("stdout")))
}

// json FIELD VALUE says that the last command's stdout is one JSON object with
// that value, as JSON, in a field; a dot goes one deeper.
func isJSONText(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: json FIELD VALUE")
	}
	raw := json.RawMessage(ts.ReadFile("stdout"))
	for name := range strings.SplitSeq(args[0], ".") {
		var m map[string]json.RawMessage
		ts.Check(json.Unmarshal(raw, &m))
		raw = m[name]
	}
	var v any
	ts.Check(json.Unmarshal(raw, &v))
	got, err := json.Marshal(v)
	ts.Check(err)
	if string(got) != args[1] {
		ts.Fatalf("%s is %s, want %s", args[0], got, args[1])
	}
}

// TestInterruptDetaches: Ctrl-C leaves the task running and says which it is.
func TestInterruptDetaches(t *testing.T) {
	s := newServer(t, "", localOnly)
	s.start()
	cmd := exec.Command(s.bin, "--addr", s.addr(), "task", "submit", "sleep", "--input", `{"seconds": 600}`, "--follow")
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	rd := bufio.NewScanner(stderr)
	if !rd.Scan() { // it follows
		t.Fatal("nothing on stderr")
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	last := ""
	for rd.Scan() {
		last = rd.Text()
	}
	ee := (*exec.ExitError)(nil)
	if err := cmd.Wait(); !errors.As(err, &ee) || ee.ExitCode() != exitInterrupted {
		t.Errorf("ended with %v", err)
	}
	var list struct{ Tasks []apiTask }
	s.get("/v1/tasks", &list)
	if len(list.Tasks) != 1 || list.Tasks[0].State != "running" || !strings.Contains(last, list.Tasks[0].ID) {
		t.Errorf("%+v after %q", list, last)
	}
	if err := exec.Command(s.bin, "--addr", s.addr(), "task", "cancel", list.Tasks[0].ID).Run(); err != nil {
		t.Error(err)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}
