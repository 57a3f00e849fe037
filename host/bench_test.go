package host_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host"
	"github.com/taskhost/taskhost/host/task"
	eventlet "github.com/taskhost/taskhost/plugins/eventlet-style"
	"github.com/taskhost/taskhost/plugins/eventlet-style/scripts"
	remotequeue "github.com/taskhost/taskhost/plugins/remote-queue"
	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
	"github.com/taskhost/taskhost/sdk"
)

// benchHost is a whole host on a fresh store, with one executor of 1,000 slots
// that runs noop: in this process, or in its own.
func benchHost(b *testing.B, process bool) *host.Host { return openBench(b, b.TempDir(), process) }

func openBench(b testing.TB, data string, process bool) *host.Host {
	b.Helper()
	all := append(scripts.All(), eventlet.FactoryOf(sdk.Func("typed", func(context.Context, typedInput, sdk.Reporter) (any, error) { return nil, nil })))
	o := host.Options{DataDir: data, Listen: "127.0.0.1:0", Builtins: []sdk.Plugin{eventlet.Plugin("bench", all...)},
		Executors: []task.ExecutorConfig{{Name: "x", Plugin: "eventlet-style", Slots: 1000}}}
	if process {
		dir := b.TempDir()
		if out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "noop"), "./testdata/noop-plugin").CombinedOutput(); err != nil {
			b.Fatalf("%v\n%s", err, out)
		}
		o.PluginDirs = []string{dir}
		o.Executors = []task.ExecutorConfig{{Name: "x", Plugin: "noop", Slots: 1000}}
	}
	h, err := host.Open(b.Context(), o)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { h.Close() })
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan struct{})
	go func() { h.Run(ctx); close(served) }()
	b.Cleanup(func() { stop(); <-served })
	usable := []task.ExecutorState{task.ExecutorReady, task.ExecutorPaused}
	for !slices.Contains(usable, h.Tasks().Executors()[0].State) || len(h.Tasks().Types(host.DefaultScope())) == 0 {
		time.Sleep(10 * time.Millisecond)
	}
	return h
}

// typedInput is the input of a script that does nothing: the schema derived of it is what
// a submit is checked against.
type typedInput struct {
	URL    string   `json:"url"`
	Format string   `json:"format"`
	Size   int64    `json:"size,omitempty"`
	Tags   []string `json:"tags,omitempty"`
}

var typedTask = task.Spec{Type: "typed", Input: []byte(`{"url":"https://images.example.org/a.qcow2","format":"qcow2","size":1073741824,"tags":["a","b"]}`)}

// fleetHost is a host whose tasks go through the embedded broker to one worker
// process.
func fleetHost(b *testing.B) *host.Host {
	b.Helper()
	dir := b.TempDir()
	if out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "taskhost"), "../cmd/taskhost").CombinedOutput(); err != nil {
		b.Fatalf("%v\n%s", err, out)
	}
	data := filepath.Join(dir, "data")
	h, err := host.Open(b.Context(), host.Options{DataDir: data, Builtins: []sdk.Plugin{remotequeue.Plugin("bench")},
		Executors: []task.ExecutorConfig{{Name: "fleet", Plugin: "remote-queue", Slots: 1000}}})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { h.Close() })
	config := filepath.Join(dir, "worker.hcl")
	text := fmt.Sprintf("name = \"w1\"\ndata_dir = %q\nqueue {\n  join = %q\n}\nexecutor \"local\" {\n  plugin = \"eventlet-style\"\n  slots = 1000\n}\n", filepath.Join(dir, "w1"), data)
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		b.Fatal(err)
	}
	worker := exec.Command(filepath.Join(dir, "taskhost"), "worker", "--config", config)
	if err := worker.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { worker.Process.Kill(); worker.Wait() })
	for len(h.Tasks().Types(host.DefaultScope())) == 0 {
		time.Sleep(10 * time.Millisecond)
	}
	return h
}

// drained waits until every submitted task is final.
func drained(b *testing.B, h *host.Host) {
	for {
		busy := int64(0)
		for _, t := range h.Tasks().Types(host.DefaultScope()) {
			busy += t.Counts.Active + t.Counts.Ready + t.Counts.Waiting
		}
		if busy == 0 {
			return
		}
		// Each look is one at all lanes, so there are few while much is left, which takes longer.
		time.Sleep(min(max(time.Duration(busy)*5*time.Microsecond, time.Millisecond), 100*time.Millisecond))
	}
}

// warmUp is how many tasks a host runs, at the most, before it is measured: stacks, heap and the
// windows of its streams have grown by then, as in a host that has been up for a second.
const warmUp = 10_000

// clients is how many submit at a time.
const clients = 64

// perSecond has clients submit size tasks at a time, until b.N are final.
func perSecond(b *testing.B, h *host.Host, size int, submit func(n int)) {
	byClients(b, h, min(b.N/2, warmUp), size, submit)
	used := queuetest.CPUTime()
	children := queuetest.ChildrenCPUTime()
	b.ResetTimer()
	byClients(b, h, b.N, size, submit)
	if n := queuetest.ChildrenCPUTime() - children; n > 0 {
		b.ReportMetric(float64(n.Nanoseconds())/float64(b.N)/1000, "child-cpu-us/task")
	}
	report(b, used)
}

// byClients has clients submit size tasks at a time, until that many are final.
func byClients(b *testing.B, h *host.Host, tasks, size int, submit func(n int)) {
	var left atomic.Int64
	left.Store(int64(tasks))
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for {
				n := min(int64(size), left.Add(-int64(size))+int64(size)) // no more than the tasks in all
				if n <= 0 {
					return
				}
				submit(int(n))
			}
		})
	}
	wg.Wait()
	drained(b, h)
}

// report gives the rate; since that depends on what else the machine does, what a task cost
// of the processors' time since so much was used; and what the process holds of memory.
func report(b *testing.B, used time.Duration) {
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
	b.ReportMetric(float64((queuetest.CPUTime()-used).Nanoseconds())/float64(b.N)/1000, "cpu-us/task")
	debug.FreeOSMemory()
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		b.Fatal(err)
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(data), &size, &resident); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(resident*int64(os.Getpagesize()))/(1<<20), "rss-MiB")
}

var plainTask = task.Spec{Type: "noop"}

// submitted is the rate of tasks that are submitted so many at a time.
func submitted(b *testing.B, h *host.Host, spec task.Spec, size int) {
	perSecond(b, h, size, func(n int) {
		if _, _, err := h.Tasks().Submit(context.Background(), host.DefaultScope(), slices.Repeat([]task.Spec{spec}, n), nil); err != nil {
			b.Error(err)
		}
	})
}

func BenchmarkHostSingly(b *testing.B)      { submitted(b, benchHost(b, false), plainTask, 1) }
func BenchmarkHostHundreds(b *testing.B)    { submitted(b, benchHost(b, false), plainTask, 100) }
func BenchmarkTypedSingly(b *testing.B)     { submitted(b, benchHost(b, false), typedTask, 1) }
func BenchmarkTypedHundreds(b *testing.B)   { submitted(b, benchHost(b, false), typedTask, 100) }
func BenchmarkProcessSingly(b *testing.B)   { submitted(b, benchHost(b, true), plainTask, 1) }
func BenchmarkProcessHundreds(b *testing.B) { submitted(b, benchHost(b, true), plainTask, 100) }
func BenchmarkFleetSingly(b *testing.B)     { submitted(b, fleetHost(b), plainTask, 1) }
func BenchmarkFleetHundreds(b *testing.B)   { submitted(b, fleetHost(b), plainTask, 100) }

// idle is the latency of one task alone, from submit to stored result.
func idle(b *testing.B, h *host.Host) {
	took := make([]time.Duration, 0, b.N)
	b.ResetTimer()
	for range b.N {
		at := time.Now()
		ts, _, err := h.Tasks().Submit(b.Context(), host.DefaultScope(), []task.Spec{{Type: "noop"}}, nil)
		if err != nil {
			b.Fatal(err)
		}
		if t, err := h.Tasks().Wait(b.Context(), host.DefaultScope(), ts[0].ID); err != nil || t.State != task.Succeeded {
			b.Fatal(fmt.Sprint(t.State), err)
		}
		took = append(took, time.Since(at))
	}
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
}

func BenchmarkHostIdle(b *testing.B)    { idle(b, benchHost(b, false)) }
func BenchmarkFleetIdle(b *testing.B)   { idle(b, fleetHost(b)) }
func BenchmarkProcessIdle(b *testing.B) { idle(b, benchHost(b, true)) }
