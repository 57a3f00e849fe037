package celery

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/plugins/remote-queue/config"
	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
	"github.com/taskhost/taskhost/sdk"
)

func TestMain(m *testing.M) { queuetest.VerifyLeaks(m) }

// patience bounds each wait: two workers in Python start on a busy machine.
const patience = 90 * time.Second

var queues atomic.Int64

// tasks are those of the app that the tests use.
var tasks = []string{"add", "fail", "flaky", "context", "slow", "quiet", "append", "when", "die", "nan"}

// rig is an executor with a worker of the tests' app, on a queue of its own.
type rig struct {
	t      *testing.T
	broker *queuetest.RabbitMQ
	worker *queuetest.CeleryWorker
	queue  string
	dir    string
	exec   *executor
}

// newRig waits until the worker is there. track says that workers tell when they start a task.
func newRig(t *testing.T, track bool, args ...string) *rig {
	t.Helper()
	queuetest.NeedsCelery(t)
	r := &rig{t: t, broker: queuetest.SharedRabbitMQ(t), queue: fmt.Sprintf("celery%d", queues.Add(1)), dir: t.TempDir()}
	r.worker = queuetest.NewCeleryWorker(t, r.queue+"@test", "testdata/proj.py", r.env(track), args...)
	r.open()
	r.awaitServed()
	return r
}

func (r *rig) env(track bool) []string {
	env := []string{"BROKER=" + r.broker.URL() + "//", "QUEUE=" + r.queue}
	if track {
		env = append(env, "TRACK=1")
	}
	return env
}

// open makes an executor with the data directory of the one before.
func (r *rig) open() {
	r.t.Helper()
	names := map[string]string{}
	for _, name := range tasks {
		names[name] = "proj.tasks." + name
	}
	block, err := json.Marshal(map[string]any{"url": r.broker.URL(), "protocol": "celery", "queue": r.queue, "tasks": names, "lapse": "6s"})
	if err != nil {
		r.t.Fatal(err)
	}
	cfg := sdk.NewConfig("celery", block, func() {})
	cfg.DataDir = r.dir
	cfg.Log = queuetest.Log("host")
	c, err := config.Parse(cfg)
	if err != nil {
		r.t.Fatal(err)
	}
	e, err := Open(cfg, c)
	if err != nil {
		r.t.Fatal(err)
	}
	r.exec = e.(*executor)
	r.t.Cleanup(func() { _ = r.exec.Close() })
}

// eventually waits for what another process does.
func (r *rig) eventually(what string, ok func() bool) {
	r.t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(10 * time.Millisecond) {
		if ok() {
			return
		}
	}
	r.t.Fatalf("%s: not within %s; the worker's log: %s", what, patience, r.worker.Log())
}

func (r *rig) served() bool {
	info, err := r.exec.Describe(r.t.Context())
	return err == nil && info.Unavailable == "" && !info.Types[0].Unavailable
}

func (r *rig) awaitServed() { r.t.Helper(); r.eventually("a worker serves the types", r.served) }

// call is one Execute and what it reports.
type running struct {
	cancel context.CancelCauseFunc
	task   sdk.Task
	done   chan struct{}
	out    sdk.Outcome

	mu       sync.Mutex
	handle   []byte
	node     string
	starts   int
	progress []progress
	lines    []string
}

var tokens atomic.Uint64

// start begins an attempt with arguments that are text or numbers.
func (r *rig) start(typ string, args ...any) *running {
	r.t.Helper()
	return r.startFor(time.Minute, typ, args...)
}

// startFor is start with a timeout.
func (r *rig) startFor(timeout time.Duration, typ string, args ...any) *running {
	r.t.Helper()
	input, err := json.Marshal(map[string]any{"args": args})
	if err != nil {
		r.t.Fatal(err)
	}
	n := tokens.Add(1)
	t := sdk.Task{ID: fmt.Sprintf("01990f4e-0000-7000-8000-%012d", n), Type: typ, Attempt: 1, Input: input, Timeout: timeout, Priority: 7,
		Trace: map[string]string{"traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}
	copy(t.Token[:], fmt.Sprintf("%8d%8d", os.Getpid(), n))
	return r.execute(t)
}

func (r *rig) execute(t sdk.Task) *running {
	c := &running{task: t, done: make(chan struct{})}
	ctx, cancel := context.WithCancelCause(context.Background())
	c.cancel = cancel
	r.t.Cleanup(func() { cancel(sdk.ErrDetach); <-c.done })
	reporter := sdk.NewReporter(sdk.ReporterFuncs{
		Started: func(handle []byte, node string) error {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.handle, c.node = handle, node
			c.starts++
			// As a host does: the answer of one that has started may be lost with the broker.
			time.AfterFunc(t.Timeout, func() { cancel(sdk.ErrTimeout) })
			return nil
		},
		Progress: func(done, total int64, message string) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.progress = append(c.progress, progress{done, total, message})
		},
		Line: func(_ hclog.Level, text string, _ []string) {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.lines = append(c.lines, text)
		},
	})
	exec := r.exec
	go func() {
		defer close(c.done)
		res, err := sdk.Execute(ctx, exec, t, reporter)
		c.out = sdk.OutcomeOf(ctx, res, err)
	}()
	return c
}

// awaitPublished waits until the broker has the messages of attempts.
func (r *rig) awaitPublished(all ...*running) {
	r.t.Helper()
	for _, c := range all {
		r.eventually("the message is published", func() bool {
			_, ok := r.exec.published.at(messageID(c.task.Token))
			return ok
		})
	}
}

// began says that the attempt was reported to have started.
func (c *running) began() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.starts > 0
}

// wait waits for the outcome, of which the host would tell by Settled.
func (r *rig) wait(c *running) sdk.Outcome {
	r.t.Helper()
	select {
	case <-c.done:
	case <-time.After(patience):
		r.t.Fatalf("no outcome of %s within %s; the worker's log: %s", c.task.Type, patience, r.worker.Log())
	}
	return c.out
}

// want waits for an outcome of that kind and, if it fails, code.
func (r *rig) want(c *running, kind sdk.OutcomeKind, code string) sdk.Outcome {
	r.t.Helper()
	o := r.wait(c)
	if o.Kind != kind || kind == sdk.OutcomeFailed && o.Code != code {
		r.t.Fatalf("%s: %s %s %s, want %s %s; the worker's log: %s", c.task.Type, o.Kind, o.Code, o.Message, kind, code, r.worker.Log())
	}
	return o
}

// file makes a file, which lets slow and quiet end.
func (r *rig) file(path string) {
	r.t.Helper()
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) path() string { return filepath.Join(r.t.TempDir(), "go") }

// lines are those of a file that append wrote.
func (r *rig) lines(path string) []string {
	r.t.Helper()
	text, err := os.ReadFile(path)
	if err != nil && !os.IsNotExist(err) {
		r.t.Fatal(err)
	}
	return strings.Fields(string(text))
}
