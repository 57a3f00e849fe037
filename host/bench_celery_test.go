package host_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host"
	"github.com/taskhost/taskhost/host/task"
	remotequeue "github.com/taskhost/taskhost/plugins/remote-queue"
	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
	"github.com/taskhost/taskhost/sdk"
)

// celeryApp is the app whose worker runs the tasks, that of the plugin's own tests.
const celeryApp = "../plugins/remote-queue/celery/testdata/proj.py"

// BenchmarkCelery has one Celery worker, of two processes, run tasks by turns for a host,
// from submit to stored result, and for Celery's own client, from apply_async to the result;
// and beside it our own worker, behind an executor alone, on the same broker.
func BenchmarkCelery(b *testing.B) {
	rabbit := queuetest.OwnRabbitMQ(b)
	env := []string{"BROKER=" + rabbit.URL() + "//", "QUEUE=bench"}
	queuetest.NewCeleryWorker(b, "bench@test", celeryApp, env, "--loglevel", "ERROR", "--without-gossip", "--without-mingle")
	client := startCeleryClient(b, env)
	h := celeryHost(b, rabbit.URL())
	own := openOwnFleet(b, rabbit.URL())
	b.Run("hundreds", func(b *testing.B) {
		const (
			turn   = 500 // tasks
			faster = 10  // than Celery's is our worker, about: its turns take as long
		)
		var host, celery, worker, used time.Duration
		for left := b.N; left > 0; left -= turn {
			n := min(left, turn)
			celery += client.run(b, n)
			before, began := queuetest.CPUTime(), time.Now()
			runOnCelery(b, h, n)
			host += time.Since(began)
			used += queuetest.CPUTime() - before
			began = time.Now()
			own.run(b, faster*n)
			worker += time.Since(began)
		}
		b.ReportMetric(float64(b.N)/host.Seconds(), "tasks/s")
		b.ReportMetric(float64(b.N)/celery.Seconds(), "peer-tasks/s")
		b.ReportMetric(float64(faster*b.N)/worker.Seconds(), "own-tasks/s")
		b.ReportMetric(float64(used.Nanoseconds())/float64(b.N)/1000, "cpu-us/task")
	})
}

// celeryHost is a host that has heard of the worker.
func celeryHost(b *testing.B, url string) *host.Host {
	b.Helper()
	config, err := json.Marshal(map[string]any{"url": url, "protocol": "celery", "queue": "bench", "tasks": map[string]string{"add": "proj.tasks.add"}})
	if err != nil {
		b.Fatal(err)
	}
	h, err := host.Open(b.Context(), host.Options{DataDir: b.TempDir(), Builtins: []sdk.Plugin{remotequeue.Plugin("bench")},
		Executors: []task.ExecutorConfig{{Name: "celery", Plugin: "remote-queue", Config: config}}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { h.Close() })
	for !slices.ContainsFunc(h.Tasks().Types(host.DefaultScope()), func(t task.TypeStatus) bool { return t.Available }) {
		time.Sleep(10 * time.Millisecond)
	}
	return h
}

// runOnCelery submits n tasks in hundreds, and waits until all have succeeded.
func runOnCelery(b *testing.B, h *host.Host, n int) {
	b.Helper()
	var last task.ID
	for left := n; left > 0; left -= 100 {
		specs := slices.Repeat([]task.Spec{{Type: "add", Input: []byte(`{"args":[1,2]}`)}}, min(left, 100))
		all, _, err := h.Tasks().Submit(b.Context(), host.DefaultScope(), specs, nil)
		if err != nil {
			b.Fatal(err)
		}
		last = all[len(all)-1].ID
	}
	if t, err := h.Tasks().Wait(b.Context(), host.DefaultScope(), last); err != nil || string(t.Result) != "3" {
		b.Fatalf("the last task %s with %s, %v", t.State, t.Result, err)
	}
	drained(b, h)
}

// ownFleet is an executor with a worker of ours.
type ownFleet struct {
	executor sdk.Executor
	tokens   atomic.Uint64
}

func openOwnFleet(b *testing.B, url string) *ownFleet {
	b.Helper()
	cfg := sdk.NewConfig("own", fmt.Appendf(nil, `{"url":%q,"queue":"own"}`, url), nil)
	cfg.DataDir = b.TempDir()
	x, err := remotequeue.New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = x.(io.Closer).Close() })
	script, err := sdk.NewScripts(queuetest.Quick)
	if err != nil {
		b.Fatal(err)
	}
	w, err := remotequeue.NewWorker(remotequeue.WorkerOptions{Name: "w1", URL: url, Queue: "own", Local: []remotequeue.Local{{Name: "local", Executor: script, Slots: 1000}}})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { _ = w.Run(ctx); close(done) }()
	b.Cleanup(func() { cancel(); <-done })
	for {
		if info, err := x.Describe(ctx); err == nil && len(info.Types) > 0 {
			return &ownFleet{executor: x}
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// run has n attempts made, a thousand at once.
func (f *ownFleet) run(b *testing.B, n int) {
	b.Helper()
	var left atomic.Int64
	left.Store(int64(n))
	var all sync.WaitGroup
	for range 1000 {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				t := sdk.Task{ID: "01990f4e-0000-7000-8000-000000000000", Type: "quick", Attempt: 1, Token: queuetest.BenchToken(f.tokens.Add(1)),
					Input: []byte(`{"args":[1,2]}`), Timeout: time.Hour}
				if _, err := f.executor.Execute(context.Background(), t, sdk.NewReporter(sdk.ReporterFuncs{})); err != nil {
					b.Error(err)
				}
				f.executor.(sdk.Settler).Settled(t.Token)
			}
		})
	}
	all.Wait()
}

// celeryClient is Celery's own client, as a process.
type celeryClient struct {
	in  io.Writer
	out *bufio.Scanner
}

func startCeleryClient(b *testing.B, env []string) *celeryClient {
	b.Helper()
	app, err := filepath.Abs(filepath.Dir(celeryApp))
	if err != nil {
		b.Fatal(err)
	}
	cmd := exec.Command("/usr/bin/python3", "testdata/celery_client.py")
	cmd.Env = append(append(os.Environ(), "PYTHONPATH="+app, "PYTHONDONTWRITEBYTECODE=1"), env...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		b.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	c := &celeryClient{in, bufio.NewScanner(out)}
	if c.line(b) != "ready" {
		b.Fatal("Celery's client is not ready")
	}
	return c
}

func (c *celeryClient) line(b *testing.B) string {
	b.Helper()
	if !c.out.Scan() {
		b.Fatalf("Celery's client ended: %v", c.out.Err())
	}
	return strings.TrimSpace(c.out.Text())
}

// run has n tasks run, and says how long that took.
func (c *celeryClient) run(b *testing.B, n int) time.Duration {
	b.Helper()
	if _, err := fmt.Fprintln(c.in, n); err != nil {
		b.Fatal(err)
	}
	seconds, err := strconv.ParseFloat(c.line(b), 64)
	if err != nil {
		b.Fatal(err)
	}
	return time.Duration(seconds * float64(time.Second))
}
