package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/taskhost/taskhost/bench/report"
)

// build makes the program.
func build(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "peers")
	if out, err := exec.Command("go", "build", "-o", path, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return path
}

// What the program started ends with it, whether it is interrupted or killed.
func TestServersEndWithTheProgram(t *testing.T) {
	if _, err := exec.LookPath("redis-server"); err != nil {
		t.Skip("redis-server is not installed")
	}
	program := build(t)
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGKILL} {
		t.Run(sig.String(), func(t *testing.T) {
			scratch := t.TempDir()
			cmd := exec.Command(program, "-peers", "asynq, fsync always", "-seconds", "300")
			cmd.Env = append(os.Environ(), "TMPDIR="+scratch)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer cmd.Process.Kill()
			eventually(t, "redis-server runs", func() bool { return len(redisIn(t, scratch)) == 1 })
			if err := cmd.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			if err := cmd.Wait(); err == nil {
				t.Error("it ended as if all were well")
			}
			eventually(t, "redis-server is gone", func() bool { return len(redisIn(t, scratch)) == 0 })
			if sig == syscall.SIGKILL {
				return // nobody was left to tidy up
			}
			if !strings.Contains(stderr.String(), "peers: ") {
				t.Errorf("it does not say why it ended: %s", stderr.String())
			}
			if left, err := os.ReadDir(scratch); len(left) > 0 || err != nil {
				t.Error("left behind:", left, err)
			}
		})
	}
}

// redisIn are the Redis servers that run below a directory.
func redisIn(t *testing.T, dir string) (pids []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range all {
		// One that is dead, but not waited for, has no command line.
		if line, err := os.ReadFile(path); err == nil && bytes.Contains(line, []byte("redis-server")) && redisDir(path, dir) {
			pids = append(pids, path)
		}
	}
	return pids
}

// redisDir says whether that process works below dir: Redis writes its command line anew.
func redisDir(cmdline, dir string) bool {
	cwd, err := os.Readlink(filepath.Join(filepath.Dir(cmdline), "cwd"))
	return err == nil && strings.HasPrefix(cwd, dir)
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("after a minute it is not so that", what)
		}
	}
}

// Bad options are said, and a page is written from figures alone.
func TestOptions(t *testing.T) {
	for args, want := range map[string]string{
		"more":                      `what is "more"`,
		"-rounds 0":                 "-rounds at least 1",
		"-seconds -1":               "-seconds must be more than 0",
		"-most 10":                  "-most at least 1000",
		"-peers nobody":             "none of that name",
		"-page-only -docs /nowhere": report.FiguresFile,
	} {
		if err := run(t.Context(), strings.Fields(args)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", args, err)
		}
	}
}

func TestPageOnly(t *testing.T) {
	docs := t.TempDir()
	figures := filepath.Join(docs, report.Folder, report.FiguresFile)
	if err := os.MkdirAll(filepath.Dir(figures), 0o755); err != nil {
		t.Fatal(err)
	}
	text := `{"date": "2026-01-02", "rounds": 1, "peers": [{"name": "ours", "singly": [2], "in_hundreds": [4], "idle_p50_ms": [1], "idle_p99_ms": [2], "backlogs": [{"waiting": 1000, "rates": [3]}]}]}`
	if err := os.WriteFile(figures, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), []string{"-page-only", "-docs", docs}); err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(docs, report.Page))
	if err != nil || !strings.Contains(string(page), "| ours | 2.00 |") {
		t.Error(fmt.Sprint(err), string(page))
	}
}
