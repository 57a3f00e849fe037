package natsbroker

import (
	"context"
	"encoding/json"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/taskhost/taskhost/plugins/remote-queue/broker"
	"github.com/taskhost/taskhost/plugins/remote-queue/config"
	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/sdk"
)

// rawSlots is how many starts are out at once, as many as the executor has by default.
const rawSlots = 1000

// BenchmarkRawLoop is what a loop without any of our rules does on the same broker:
// publish to the stream, pull in hundreds, acknowledge, work, reply over core NATS.
func BenchmarkRawLoop(b *testing.B) {
	h, err := ConnectHost(broker.HostConnection{Executor: "bench", Process: "BENCH", DataDir: b.TempDir(), Config: &config.Executor{Queue: "default"}, Log: hclog.NewNullLogger()},
		broker.HostEvents{Connected: func() {}, Disconnected: func(error) {}, Received: func(wire.Peer, string, []byte) {}, HoldsQueue: func() bool { return false },
			Published: func(sdk.Token, uint64) {}, PublishFailed: func(_ sdk.Token, err error) { b.Error(err) }})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(h.Close)
	ctx, cancel := context.WithTimeout(b.Context(), 10*time.Minute)
	defer cancel()
	js := h.js
	if _, err := js.CreateStream(ctx, jetstream.StreamConfig{Name: "raw", Subjects: []string{"raw.start"},
		Retention: jetstream.WorkQueuePolicy}); err != nil {
		b.Fatal(err)
	}
	if _, err := js.CreateConsumer(ctx, "raw", jetstream.ConsumerConfig{Durable: "raw", AckPolicy: jetstream.AckExplicitPolicy,
		MaxAckPending: 20_000}); err != nil {
		b.Fatal(err)
	}
	far, err := nats.Connect(h.embedded.server.ClientURL(), nats.UserInfo(hostUser, h.embedded.secret))
	if err != nil {
		b.Fatal(err)
	}
	defer far.Close()
	rawWorker(b, ctx, far)
	slots := make(chan struct{}, rawSlots)
	var left atomic.Int64
	left.Store(int64(b.N))
	done := make(chan struct{})
	if _, err := h.conn.Subscribe("raw.reply", func(*nats.Msg) {
		<-slots
		if left.Add(-1) == 0 {
			close(done)
		}
	}); err != nil {
		b.Fatal(err)
	}
	before := queuetest.CPUTime()
	b.ResetTimer()
	for n := range b.N {
		slots <- struct{}{}
		m := nats.NewMsg("raw.start")
		m.Data = []byte(queuetest.BenchInput)
		m.Header.Set(nats.MsgIdHdr, queuetest.BenchToken(uint64(n)).String())
		if _, err := js.PublishMsgAsync(m); err != nil {
			b.Fatal(err)
		}
	}
	<-done
	queuetest.ReportBench(b, before)
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
