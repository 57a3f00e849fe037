package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"

	"github.com/taskhost/taskhost/plugins/eventlet-style/scripts/scriptstest"
	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
)

var build struct {
	once sync.Once
	dir  string
	err  error
	out  []byte
}

// built builds the program with its plugins, and the journal as one of them,
// once for all tests, and gives their folder.
func built(t *testing.T) string {
	t.Helper()
	build.once.Do(func() {
		if build.dir, build.err = os.MkdirTemp("", "taskhost-test"); build.err != nil {
			return
		}
		for out, pkg := range map[string]string{
			"taskhost":        ".",
			"plugins/journal": "../../plugins/eventlet-style/scripts/scriptstest/journal-plugin",
			"plugins/import":  "../../plugins/import",
			"plugins/hello":   "../../examples/hello-plugin",
		} {
			if build.out, build.err = exec.Command("go", "build", "-o", filepath.Join(build.dir, out), pkg).CombinedOutput(); build.err != nil {
				return
			}
		}
	})
	if build.err != nil {
		t.Fatalf("build: %v\n%s", build.err, build.out)
	}
	return build.dir
}

// TestMain lets this binary be the program itself, with one more script, the journal: see newServer.
func TestMain(m *testing.M) {
	if os.Getenv("TASKHOST_TEST_JOURNAL") != "" && len(os.Args) > 1 && (os.Args[1] == "server" || os.Args[1] == "worker") {
		os.Exit(run(os.Args[1:], builtins(scriptstest.Journal()), os.Stdin, os.Stdout, os.Stderr))
	}
	code := m.Run()
	queuetest.StopServers()
	os.RemoveAll(build.dir)
	os.Exit(code)
}
