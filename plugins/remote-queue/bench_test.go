package remotequeue

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/taskhost/taskhost/sdk"
)

const benchInput = `{"import_from":"https://images.example.org/small.qcow2","n":1234567}`

func benchFleet(b *testing.B) *fleet {
	b.Helper()
	cfg := sdk.NewConfig("bench", []byte(`{"listen":"127.0.0.1:0"}`), nil)
	cfg.DataDir = b.TempDir()
	e, err := New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	f := e.(*fleet)
	b.Cleanup(func() { _ = f.Close() })
	return f
}

func benchToken(n uint64) (t token) {
	binary.BigEndian.PutUint64(t[:], n)
	return t
}

// BenchmarkRawLoop is what a loop without any of our rules does on the same broker:
// publish to the stream, pull in hundreds, acknowledge, work, reply over core NATS.
func BenchmarkRawLoop(b *testing.B) {
	f := benchFleet(b)
	ctx, cancel := context.WithTimeout(b.Context(), 10*time.Minute)
	defer cancel()
	js := f.js
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "raw", Subjects: []string{"raw.start"},
		Retention: jetstream.WorkQueuePolicy}); err != nil {
		b.Fatal(err)
	}
	if _, err := js.CreateConsumer(ctx, "raw", jetstream.ConsumerConfig{Durable: "raw", AckPolicy: jetstream.AckExplicitPolicy,
		MaxAckPending: 20_000}); err != nil {
		b.Fatal(err)
	}
	far, err := nats.Connect(f.broker.server.ClientURL(), nats.UserInfo(hostUser, f.broker.secret))
	if err != nil {
		b.Fatal(err)
	}
	defer far.Close()
	rawWorker(b, ctx, far)
	slots := make(chan struct{}, defaultSlots)
	var left atomic.Int64
	left.Store(int64(b.N))
	done := make(chan struct{})
	if _, err := f.nc.Subscribe("raw.reply", func(*nats.Msg) {
		<-slots
		if left.Add(-1) == 0 {
			close(done)
		}
	}); err != nil {
		b.Fatal(err)
	}
	before := cpuTime()
	b.ResetTimer()
	for n := range b.N {
		slots <- struct{}{}
		m := nats.NewMsg("raw.start")
		m.Data = []byte(benchInput)
		m.Header.Set(nats.MsgIdHdr, benchToken(uint64(n)).String())
		if _, err := js.PublishMsgAsync(m); err != nil {
			b.Fatal(err)
		}
	}
	<-done
	report(b, before)
}

// report gives the rate and, since that depends on what else the machine does, the
// processor time of a task.
func report(b *testing.B, before time.Duration) {
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "tasks/s")
	b.ReportMetric(float64((cpuTime()-before).Nanoseconds())/float64(b.N), "cpu-ns/task")
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func rawWorker(b *testing.B, ctx context.Context, far *nats.Conn) {
	b.Helper()
	js, err := jetstream.New(far)
	if err != nil {
		b.Fatal(err)
	}
	c, err := js.Consumer(ctx, "raw", "raw")
	if err != nil {
		b.Fatal(err)
	}
	consume, err := c.Consume(func(m jetstream.Msg) {
		var v any
		if err := json.Unmarshal(m.Data(), &v); err != nil {
			b.Error(err)
		}
		_ = m.Ack()
		_ = far.Publish("raw.reply", m.Data())
	}, jetstream.PullMaxMessages(500))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(consume.Stop)
}

// BenchmarkFleet is the same through the executor: a worker beside it over TCP, with
// double acks, the host's go-ahead and settled outcomes.
func BenchmarkFleet(b *testing.B) { throughFleet(b, defaultSlots) }

// BenchmarkFleetOne has one attempt out at a time: its time is the latency.
func BenchmarkFleetOne(b *testing.B) { throughFleet(b, 1) }

func throughFleet(b *testing.B, out int) {
	f := benchFleet(b)
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
	before := cpuTime()
	b.ResetTimer()
	for range out {
		all.Go(func() {
			for left.Add(-1) >= 0 {
				t := sdk.Task{ID: "01990f4e-0000-7000-8000-000000000000", Type: "work", Attempt: 1, Token: benchToken(benchNext.Add(1)),
					Input: json.RawMessage(benchInput), Timeout: time.Hour}
				if _, err := f.Execute(context.Background(), t, benchReporter); err != nil {
					b.Error(err)
				}
				f.Settled(t.Token)
			}
		})
	}
	all.Wait()
	report(b, before)
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
	w, err := NewWorker(WorkerOptions{Name: "w1", URL: f.broker.server.ClientURL(), Local: []Local{{Name: "local", Executor: e, Slots: 1000}}})
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
