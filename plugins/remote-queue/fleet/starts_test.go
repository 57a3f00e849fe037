package fleet

import (
	"maps"
	"net"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/rabbitmq/amqp091-go"

	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
	"github.com/taskhost/taskhost/plugins/remote-queue/worker"
	"github.com/taskhost/taskhost/sdk"
)

// What nobody has started can be taken back, and costs nothing.
func TestWithdraw(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0"})
	for _, cause := range []error{sdk.ErrCancel, sdk.ErrTimeout, sdk.ErrPause} {
		a := execute(t, f, newTask("gate", `"k"`))
		queuetest.Eventually(t, "published", func() bool { return pending(t, f) == 1 })
		a.cancel(cause)
		a.wait(t, sdk.OutcomeReleased)
		queuetest.Eventually(t, "taken out of the broker", func() bool { return pending(t, f) == 0 })
	}
	g := queuetest.NewGates()
	gateWorker(t, g, worker.Options{URL: brokerURL(t, f)})
	queuetest.Serves(t, f, "gate")
	execute(t, f, newTask("quick", `1`)).wait(t, sdk.OutcomeSucceeded)
	if n := g.Count("k"); n > 0 {
		t.Errorf("it ran %d times", n)
	}
}

func pending(t *testing.T, f *fleet) uint64 {
	t.Helper()
	if onRabbitMQ(f.queueConfig.URL) {
		return pendingOnRabbitMQ(t, f)
	}
	st, err := jetStream(t, f).Stream(t.Context(), subjectsOf(f).Stream())
	if err != nil {
		return 0
	}
	return st.CachedInfo().State.Msgs
}

func pendingOnRabbitMQ(t *testing.T, f *fleet) (n uint64) {
	t.Helper()
	conn, err := amqp091.Dial(f.queueConfig.URL)
	if err != nil {
		return 0
	}
	defer func() { _ = conn.Close() }()
	f.mu.Lock()
	lanes := slices.Collect(maps.Keys(f.starts.lanes))
	f.mu.Unlock()
	for _, l := range lanes {
		ch, err := conn.Channel()
		if err != nil {
			t.Fatal(err)
		}
		if q, err := ch.QueueDeclarePassive("taskhost."+f.queueConfig.Queue+".lane."+l.Name(), true, false, false, false, nil); err == nil {
			n += uint64(q.Messages)
		}
	}
	return n
}

// More than the slots are given back to the broker, not kept.
func TestFlowControl(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0"})
	url := brokerURL(t, f)
	g := queuetest.NewGates()
	one := []worker.Local{{Name: "local", Executor: g.Executor(t), Slots: 1}}
	gateWorker(t, g, worker.Options{URL: url, Local: one})
	queuetest.Serves(t, f, "gate")
	var all []*testAttempt
	for range 3 {
		all = append(all, execute(t, f, newTask("gate", `"k"`)))
	}
	<-g.Began
	queuetest.Eventually(t, "two wait in the broker", func() bool { return pending(t, f) == 2 })
	gateWorker(t, g, worker.Options{Name: "w2", URL: url})
	<-g.Began
	<-g.Began
	g.Release("k")
	for _, a := range all {
		a.wait(t, sdk.OutcomeSucceeded)
	}
}

// A broker that is full keeps nothing from being done: it waits.
func TestBrokerFull(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0", "max_bytes": 20 << 10, "lapse": "1m"})
	var all []*testAttempt
	pad := `"` + strings.Repeat("x", 4<<10) + `"`
	for range 10 {
		all = append(all, execute(t, f, newTask("quick", pad)))
	}
	queuetest.Eventually(t, "full", func() bool { n := pending(t, f); return n > 0 && n < 10 })
	gateWorker(t, queuetest.NewGates(), worker.Options{URL: brokerURL(t, f)})
	for _, a := range all {
		a.wait(t, sdk.OutcomeSucceeded)
	}
}

// brokerAt runs a broker that carries as much in a message.
func brokerAt(t *testing.T, address string, payload int32) *server.Server {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	n, err := strconv.Atoi(port)
	if err != nil {
		t.Fatal(err)
	}
	srv, err := server.NewServer(&server.Options{Host: host, Port: n, NoSigs: true, JetStream: true, StoreDir: t.TempDir(), MaxPayload: payload})
	if err != nil {
		t.Fatal(err)
	}
	srv.Start()
	t.Cleanup(func() { srv.Shutdown(); srv.WaitForShutdown() })
	return srv
}

// A task that turns out to be too large for its broker fails, by name, and holds up
// nothing behind it; one that the host's REST can carry goes that way.
func TestStartTooLargeForItsBroker(t *testing.T) {
	s := newRest()
	web := httptest.NewServer(s)
	defer web.Close()
	for name, url := range map[string]string{"no REST": "", "REST": web.URL} {
		t.Run(name, func(t *testing.T) {
			address := queuetest.FreeAddress(t)
			f := openFleet(t, t.TempDir(), map[string]any{"url": "nats://" + address, "rest": url, "lapse": "1m"})
			task := newTask("quick", `"`+strings.Repeat("y", 100<<10)+`"`)
			s.mu.Lock()
			s.inputs[task.Token.String()] = task.Input
			s.mu.Unlock()
			big := execute(t, f, task) // while nobody knows what the broker carries
			queuetest.Eventually(t, "admitted", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.attempts[task.Token] != nil })
			small := execute(t, f, newTask("quick", `"small"`))
			brokerAt(t, address, 64<<10)
			gateWorker(t, queuetest.NewGates(), worker.Options{URL: "nats://" + address})
			small.wait(t, sdk.OutcomeSucceeded)
			if url != "" {
				big.wait(t, sdk.OutcomeSucceeded)
				return
			}
			if out := big.wait(t, sdk.OutcomeFailed); !out.Permanent || !strings.Contains(out.Message, "too large") {
				t.Errorf("the outcome is %+v", out)
			}
		})
	}
}

// A route whose consumer the broker refuses holds up no other, and what waits for it
// is given back with the broker's word.
func TestLaneRefused(t *testing.T) {
	address := queuetest.FreeAddress(t)
	broker := brokerAt(t, address, 1<<20)
	f := openFleet(t, t.TempDir(), map[string]any{"url": "nats://" + address})
	gateWorker(t, queuetest.NewGates(), worker.Options{URL: "nats://" + address, Labels: map[string]string{"zone": "a"}})
	queuetest.Serves(t, f, "gate")
	execute(t, f, newTask("quick", `1`)).wait(t, sdk.OutcomeSucceeded)
	queuetest.Eventually(t, "both types have their lanes", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return len(f.starts.lanes) == 2 })
	err := broker.GlobalAccount().UpdateJetStreamLimits(map[string]server.JetStreamAccountLimits{
		"": {MaxMemory: -1, MaxStore: -1, MaxStreams: -1, MaxConsumers: 2}})
	if err != nil {
		t.Fatal(err)
	}
	task := newTask("quick", `1`)
	task.Route = map[string]string{"zone": "a"}
	refused := execute(t, f, task)
	queuetest.Eventually(t, "refused once", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return len(f.starts.refusedLanes) == 1 })
	execute(t, f, newTask("quick", `1`)).wait(t, sdk.OutcomeSucceeded)
	select {
	case <-refused.done:
		t.Error("the other had to wait until the refused one was given back")
	default:
	}
	if out := refused.wait(t, sdk.OutcomeReleased); !strings.Contains(out.Message, "maximum consumers") {
		t.Errorf("the outcome is %+v", out)
	}
}

// A start that the stream refuses for its size fails.
func TestStartTooLargeForItsStream(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0"})
	gateWorker(t, queuetest.NewGates(), worker.Options{URL: brokerURL(t, f)})
	queuetest.Serves(t, f, "quick")
	execute(t, f, newTask("quick", `1`)).wait(t, sdk.OutcomeSucceeded) // the stream is there
	st, err := jetStream(t, f).Stream(t.Context(), subjectsOf(f).Stream())
	if err != nil {
		t.Fatal(err)
	}
	c := st.CachedInfo().Config
	c.MaxMsgSize = 8 << 10
	if _, err := jetStream(t, f).UpdateStream(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	big := execute(t, f, newTask("quick", `"`+strings.Repeat("y", 10<<10)+`"`))
	execute(t, f, newTask("quick", `1`)).wait(t, sdk.OutcomeSucceeded)
	if out := big.wait(t, sdk.OutcomeFailed); !out.Permanent || !strings.Contains(out.Message, "too large") {
		t.Errorf("the outcome is %+v", out)
	}
}

// What workers report at once goes in messages that the broker carries.
func TestManyResultsOverASmallBroker(t *testing.T) {
	address := queuetest.FreeAddress(t)
	brokerAt(t, address, 64<<10)
	f := openFleet(t, t.TempDir(), map[string]any{"url": "nats://" + address, "lapse": "1m"})
	g := queuetest.NewGates()
	const n = 300
	gateWorker(t, g, worker.Options{URL: "nats://" + address, Local: []worker.Local{{Name: "local", Executor: g.Executor(t), Slots: n}}})
	queuetest.Serves(t, f, "gate")
	key := strings.Repeat("k", 1<<10)
	all := make([]*testAttempt, n)
	for i := range all {
		all[i] = execute(t, f, newTask("gate", `"`+key+`"`))
	}
	for range all {
		<-g.Began
	}
	g.Release(key) // all end at once
	for _, a := range all {
		a.wait(t, sdk.OutcomeSucceeded)
	}
}
