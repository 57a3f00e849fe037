package fleet

import (
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
	"github.com/taskhost/taskhost/plugins/remote-queue/worker"
	"github.com/taskhost/taskhost/sdk"
)

func benchFleet(b *testing.B, settings string) *fleet {
	b.Helper()
	cfg := sdk.NewConfig("bench", []byte(settings), nil)
	cfg.DataDir = b.TempDir()
	f, err := openWith(cfg)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = f.Close() })
	return f
}

// BenchmarkFleet is the same through the executor: a worker beside it over TCP, with
// double acks, the host's go-ahead and settled outcomes.
func BenchmarkFleet(b *testing.B) { throughFleet(b, embedded, defaultSlots) }

// BenchmarkFleetRabbitMQ is the same through RabbitMQ.
func BenchmarkFleetRabbitMQ(b *testing.B) {
	throughFleet(b, `{"queue":"bench","url":"`+queuetest.SharedRabbitMQ(b).URL()+`"}`, defaultSlots)
}

// embedded is the config of a fleet that runs its own broker.
const embedded = `{"listen":"127.0.0.1:0"}`

// BenchmarkFleetOne has one attempt out at a time: its time is the latency.
func BenchmarkFleetOne(b *testing.B) { throughFleet(b, embedded, 1) }

func throughFleet(b *testing.B, settings string, out int) {
	f := benchFleet(b, settings)
	work := sdk.Script{TypeInfo: sdk.TypeInfo{Name: "work"}, Run: func(_ context.Context, t sdk.Task, _ sdk.Reporter) (sdk.Result, error) {
		var v any
		if err := json.Unmarshal(t.Input, &v); err != nil {
			return sdk.Result{}, err
		}
		return sdk.Result{ContentType: sdk.ContentJSON, Data: t.Input}, nil
	}}
	benchWorker(b, f, work)
	var all sync.WaitGroup
	var left atomic.Int64
	left.Store(int64(b.N))
	before := queuetest.CPUTime()
	b.ResetTimer()
	for range out {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				t := sdk.Task{ID: "01990f4e-0000-7000-8000-000000000000", Type: "work", Attempt: 1, Token: queuetest.BenchToken(benchNext.Add(1)),
					Input: json.RawMessage(queuetest.BenchInput), Timeout: time.Hour}
				if _, err := f.Execute(context.Background(), t, benchReporter); err != nil {
					b.Error(err)
				}
				f.Settled(t.Token)
			}
		})
	}
	all.Wait()
	queuetest.ReportBench(b, before)
}

var (
	benchNext     atomic.Uint64
	benchReporter = sdk.NewReporter(sdk.ReporterFuncs{})
)

func benchWorker(b *testing.B, f *fleet, scripts ...sdk.Script) {
	b.Helper()
	e, err := sdk.NewScripts(scripts...)
	if err != nil {
		b.Fatal(err)
	}
	url := f.queueConfig.URL
	if url == "" {
		url = brokerURL(b, f)
	}
	w, err := openWorker(worker.Options{Name: "w1", URL: url, Queue: f.queueConfig.Queue, Local: []worker.Local{{Name: "local", Executor: e, Slots: 1000}}})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = w.Run(ctx)
	}()
	b.Cleanup(func() { cancel(); <-done })
	for {
		info, err := f.Describe(ctx)
		if err != nil {
			b.Fatal(err)
		}
		if len(info.Types) > 0 && !info.Types[0].Unavailable {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
}
