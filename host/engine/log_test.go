package engine_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/host/engine"
	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// lines is a log that may be read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) with(parts ...string) (n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, line := range strings.Split(l.b.String(), "\n") {
		ok := true
		for _, p := range parts {
			ok = ok && strings.Contains(line, p)
		}
		if ok {
			n++
		}
	}
	return n
}

// The log tells an operator's day: what failed, in one line each, what an operator did,
// and what runs when the host is told to stop.
func TestLogTellsAnOperatorsDay(t *testing.T) {
	var log lines
	g := newGate()
	x, _ := sdk.NewScripts(script("work", g.run), script("bad", func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) {
		return sdk.Result{}, sdk.Permanent(errors.New("no such file"))
	}))
	r := start(t, openStore(t, t.TempDir()), engine.Options{Log: hclog.New(&hclog.LoggerOptions{Output: &log, Level: hclog.Debug}),
		Executors: []registry.Binding{{Name: "x", Executor: x}}})
	failed := r.wait(r.submit(task.Spec{Type: "bad"}).ID)
	running := r.submit(task.Spec{}).ID
	<-g.began
	if _, err := r.ControlExecutor(t.Context(), "x", "pause"); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	for what, parts := range map[string][]string{
		"the failure":               {"[INFO]", failed.ID.String(), "code=permanent", "no such file"},
		"the pause":                 {"[INFO]", "executor=x", "action=pause"},
		"what ran at the end":       {"[INFO]", "stopping", "attempts=1", "drain_timeout"},
		"what was told to stop":     {"[INFO]", "stopping", "attempts=1", "cancel_grace"},
		"at debug, each transition": {"[DEBUG]", running.String(), "to=running"},
	} {
		if n := log.with(parts...); n != 1 {
			t.Errorf("%s: %d lines with %q in\n%s", what, n, parts, log.b.String())
		}
	}
}
