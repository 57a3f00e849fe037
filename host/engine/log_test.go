package engine_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/host/engine"
	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/sqlite"
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
// and what runs when the host is told to stop, and what was left.
func TestLogTellsAnOperatorsDay(t *testing.T) {
	var log lines
	g, deaf := newGate(), newGate()
	deaf.deaf = true
	defer close(deaf.let)
	x, _ := sdk.NewScripts(script("work", g.run), script("deaf", deaf.run), script("bad", func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) {
		return sdk.Result{}, sdk.Permanent(errors.New("no such file:\n2026-11-26 [INFO] forged"))
	}))
	r := start(t, openStore(t, t.TempDir()), engine.Options{Log: sdk.ReadableLog(hclog.New(&hclog.LoggerOptions{Output: &log, Level: hclog.Debug})),
		CancelGrace: 50 * time.Millisecond, Executors: []registry.Binding{{Name: "x", Executor: x}}})
	failed := r.wait(r.submit(task.Spec{Type: "bad"}).ID)
	if err := r.Delete(t.Context(), me, failed.ID); err != nil {
		t.Fatal(err)
	}
	running := r.submit(task.Spec{}).ID
	r.submit(task.Spec{Type: "deaf"})
	<-g.began
	<-deaf.began
	if _, err := r.ControlExecutor(t.Context(), "x", "pause"); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(context.Background()); err == nil {
		t.Error("the end says nothing of what was left")
	}
	for what, parts := range map[string][]string{
		"the failure":               {"[INFO]", failed.ID.String(), "executor=x", "code=permanent", `message="no such file:\n2026-11-26 [INFO] forged"`},
		"the pause":                 {"[INFO]", "an operator paused an executor", "executor=x attempts=2"},
		"what ran at the end":       {"[INFO]", "stopping", "attempts=2", "drain_timeout=10ms"},
		"what was told to stop":     {"[INFO]", "stopping", "attempts=2", "cancel_grace=50ms"},
		"what became of that":       {"[INFO]", "finished=0 told_to_stop=2 left=1"},
		"at debug, each transition": {"[DEBUG]", running.String(), "to=running executor=x attempt=1 by=me"},
		"at debug, what is deleted": {"[DEBUG]", "deleted", failed.ID.String(), "by=me"},
	} {
		if n := log.with(parts...); n != 1 {
			t.Errorf("%s: %d lines with %q in\n%s", what, n, parts, log.b.String())
		}
	}
}

// The stack of a script that panicked is in the error's details and among the task's own
// lines; the host's log has one line.
func TestStackOfAPanic(t *testing.T) {
	var log lines
	x, _ := sdk.NewScripts(script("work", func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) { panic("not today") }))
	r := start(t, openStore(t, t.TempDir()), engine.Options{Log: hclog.New(&hclog.LoggerOptions{Output: &log}), Executors: []registry.Binding{{Name: "x", Executor: x}}})
	failed := r.wait(r.submit(task.Spec{MaxAttempts: 1}).ID)
	if stack, _ := failed.Error.Details["stack"].(string); !strings.Contains(stack, "log_test.go") {
		t.Errorf("details: %v", failed.Error.Details)
	}
	own, err := r.Logs(t.Context(), me, failed.ID, task.LogFilter{Limit: 10})
	if err != nil || len(own) != 1 || own[0].Level != "error" || !strings.Contains(own[0].Message, "not today") || !strings.Contains(own[0].Fields["stack"], "log_test.go") {
		t.Errorf("%v, %+v", err, own)
	}
	if err := r.Close(context.Background()); err != nil { // a watcher hears of an end before the log does
		t.Error(err)
	}
	if n := log.with("not today"); n != 1 || log.with("goroutine") != 0 {
		t.Errorf("%d lines: %s", n, log.b.String())
	}
}

// ghosts is a store that first tells of an overdue task which somebody canceled and
// deleted in the meantime.
type ghosts struct {
	*sqlite.Store
	asked chan struct{}
	told  atomic.Bool
}

func (g *ghosts) Overdue(ctx context.Context, now time.Time, limit int) ([]task.Task, error) {
	select {
	case g.asked <- struct{}{}:
	default:
	}
	if g.told.Swap(true) {
		return g.Store.Overdue(ctx, now, limit)
	}
	return []task.Task{{ID: task.ID{1}, State: task.Pending}}, nil
}

// Who comes second, with a cancel, an end or a deadline, has lost a race. That is no
// error, and no warning.
func TestLostRacesAreNoErrors(t *testing.T) {
	var log lines
	x, _ := sdk.NewScripts(script("work", func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) { return sdk.Result{}, nil }))
	store := &ghosts{Store: openStore(t, t.TempDir()), asked: make(chan struct{})}
	e := engine.New(engine.Options{Store: store, Log: hclog.New(&hclog.LoggerOptions{Output: &log, Level: hclog.Debug}), Executors: []registry.Binding{{Name: "x", Executor: x}}})
	if err := e.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for range 25 {
				ts, _, err := e.Submit(t.Context(), me, []task.Spec{{Type: "work"}}, nil)
				if err != nil {
					t.Error(err)
					return
				}
				if _, err := e.Cancel(t.Context(), me, ts[0].ID); err != nil && task.CodeOf(err) != task.CodeAlreadyFinal {
					t.Error(err)
				}
			}
		})
	}
	clients.Wait()
	<-store.asked
	<-store.asked // the first is through
	if err := e.Close(context.Background()); err != nil {
		t.Error(err)
	}
	if log.with("[ERROR]")+log.with("[WARN]") > 0 {
		t.Error(log.b.String())
	}
}
