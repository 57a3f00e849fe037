package fleet

import (
	"context"
	"encoding/json"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"

	natsbroker "github.com/taskhost/taskhost/plugins/remote-queue/broker/nats"
	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/plugins/remote-queue/worker"
	"github.com/taskhost/taskhost/sdk"
)

// growing is an executor whose offer the test changes.
type growing struct {
	sdk.Executor

	mu   sync.Mutex
	more []sdk.TypeInfo
}

func (g *growing) Describe(ctx context.Context) (sdk.Info, error) {
	info, err := g.Executor.Describe(ctx)
	g.mu.Lock()
	defer g.mu.Unlock()
	info.Types = append(info.Types, g.more...)
	return info, err
}

// What a worker comes to offer while the host is cut off is offered when the host is back.
func TestOfferChangesUnheard(t *testing.T) {
	s := queuetest.NewNATSServer(t)
	p := queuetest.NewProxy(t, s.Addr())
	f := openFleet(t, t.TempDir(), map[string]any{"url": s.URLAt(p.Addr()), "lapse": "1m"})
	e := &growing{Executor: queuetest.NewGates().Executor(t)}
	changed := make(chan struct{})
	gateWorker(t, nil, worker.Options{URL: s.URL(), Local: []worker.Local{{Name: "local", Executor: e, Changed: changed}}})
	queuetest.Serves(t, f, "gate")
	from := peers(f)[0]
	p.Cut()
	queuetest.Eventually(t, "noticed", func() bool { return !f.broker.Connected() })

	conn, err := nats.Connect(s.URL())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	heartbeats, err := conn.SubscribeSync(natsbroker.Subjects{Queue: s.Queue()}.Up(from, wire.ChannelHeartbeat))
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil { // it hears what comes from now on
		t.Fatal(err)
	}
	e.mu.Lock()
	e.more = []sdk.TypeInfo{{Name: "new"}}
	e.mu.Unlock()
	changed <- struct{}{}
	for told := false; ; {
		m, err := heartbeats.NextMsg(queuetest.Patience)
		if err != nil {
			t.Fatal(err)
		}
		var h wire.Heartbeat
		if err := json.Unmarshal(m.Data, &h); err != nil {
			t.Fatal(err)
		}
		if told && h.Info == nil { // and is not told again
			break
		}
		told = told || h.Info != nil && len(h.Info.Types) == 3
	}
	p.Heal()
	queuetest.Serves(t, f, "new")
}
