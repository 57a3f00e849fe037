package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/plugins/remote-queue/worker"
	"github.com/taskhost/taskhost/sdk"
)

// hears gives what the host says to a worker of a test's own.
func hears(t *testing.T, f *fleet, p wire.Peer) <-chan wire.Item {
	t.Helper()
	heard := make(chan wire.Item, 100)
	sub, err := brokerConn(f).Subscribe(subjectsOf(f).Down(p), func(m *nats.Msg) {
		_, _ = wire.DecodeBatch(m.Data, func(it wire.Item) { heard <- it })
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = sub.Unsubscribe() })
	return heard
}

func spawnItem(task sdk.Task, seq uint64, name string) wire.Item {
	return wire.Item{Kind: wire.KindSpawn, Token: task.Token, Seq: seq, Child: &sdk.Child{Name: name, Type: "t"}, Data: []byte("7")}
}

// A child is answered for once it is on record, and again when it is asked for again; one
// that cannot be is denied, with what is to be done about it.
func TestSpawnIsAnswered(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0"})
	p := wire.Peer{Name: "w1", Instance: "AAAAAAAAAAAAAAAA"}
	record, asked := make(chan struct{}), make(chan sdk.Child, 10)
	task := joined(t, f, p, sdk.NewReporter(sdk.ReporterFuncs{Spawn: func(_ context.Context, c sdk.Child) (string, error) {
		asked <- c
		<-record
		switch c.Name {
		case "bad":
			return "", sdk.Permanent(errors.New("no such type"))
		case "full":
			return "", sdk.RetryAfter(errors.New("the queue is full"), 5e9)
		}
		return "id of " + c.Name, nil
	}}))
	heard := hears(t, f, p)
	say(t, f, p, spawnItem(task, 1, "a"), spawnItem(task, 1, "a")) // repeated while it is on its way
	if c := <-asked; c.Name != "a" || c.Type != "t" || string(c.Input.(json.RawMessage)) != "7" {
		t.Errorf("asked for %+v", c)
	}
	select {
	case it := <-heard:
		t.Fatalf("answered before it was on record: %+v", it)
	default:
	}
	close(record)
	if it := <-heard; it.Kind != wire.KindSpawned || it.Seq != 1 || it.Text != "id of a" || it.Token != task.Token {
		t.Errorf("answered with %+v", it)
	}
	say(t, f, p, spawnItem(task, 1, "a")) // the answer was not heard
	if it := <-heard; it.Kind != wire.KindSpawned || it.Text != "id of a" {
		t.Errorf("answered with %+v", it)
	}
	say(t, f, p, spawnItem(task, 2, "bad"))
	if it := <-heard; it.Kind != wire.KindDeny || it.Seq != 2 || !it.Outcome.Permanent || !strings.Contains(it.Text, "no such type") {
		t.Errorf("answered with %+v", it)
	}
	say(t, f, p, spawnItem(task, 3, "full"))
	if it := <-heard; it.Kind != wire.KindDeny || it.Outcome.Permanent || it.Outcome.RetryAfter != 5e9 {
		t.Errorf("answered with %+v", it)
	}
	stranger := wire.Peer{Name: "w2", Instance: "BBBBBBBBBBBBBBBB"}
	refused := hears(t, f, stranger)
	say(t, f, stranger, spawnItem(task, 4, "stolen"))
	if it := <-refused; it.Kind != wire.KindRefuse {
		t.Errorf("another worker is answered with %+v", it)
	}
	if n := len(asked); n != 3 { // a again, bad and full
		t.Errorf("%d more were asked for", n)
	}
}

// An attempt that asks for more than one worker can at a time waits for its turn.
func TestSpawnFlood(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0"})
	p := wire.Peer{Name: "w1", Instance: "AAAAAAAAAAAAAAAA"}
	let := make(chan struct{})
	task := joined(t, f, p, sdk.NewReporter(sdk.ReporterFuncs{Spawn: func(context.Context, sdk.Child) (string, error) { <-let; return "1", nil }}))
	defer close(let)
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range 2000 {
		f.handleWorkerItem(p, spawnItem(task, uint64(i+1), fmt.Sprint(i)))
	}
	if n := len(f.attempts[task.Token].savingSeqs); n != maxAsking {
		t.Errorf("%d children of one attempt wait for the store", n)
	}
}

// Children that no message carries are fetched from the host's REST.
func TestChildrenByReference(t *testing.T) {
	s := newRest()
	web := httptest.NewServer(s)
	defer web.Close()
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0", "rest": web.URL})
	e, err := sdk.NewScripts(sdk.Script{TypeInfo: sdk.TypeInfo{Name: "count"}, Run: func(_ context.Context, t sdk.Task, _ sdk.Reporter) (sdk.Result, error) {
		c, _ := t.Child("big")
		return sdk.Text(fmt.Sprint(len(t.Children), " ", len(c.Result.Data))), nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	gateWorker(t, queuetest.NewGates(), worker.Options{URL: brokerURL(t, f), Local: []worker.Local{{Name: "local", Executor: e}}})
	queuetest.Serves(t, f, "count")
	for _, size := range []int{10, 6 << 20} {
		task := newTask("count", `1`)
		task.Children = []sdk.ChildStatus{{Name: "small", State: "failed"}, {Name: "big", State: "succeeded", Result: &sdk.Result{ContentType: "x/y", Data: make([]byte, size)}}}
		s.mu.Lock()
		s.children[task.Token.String()] = sdk.EncodeChildren(task.Children)
		s.mu.Unlock()
		if out := execute(t, f, task).wait(t, sdk.OutcomeSucceeded); string(out.Result.Data) != fmt.Sprint("2 ", size) {
			t.Errorf("the script saw %q of %d bytes", out.Result.Data, size)
		}
	}
}

// What the broker does not carry is refused where it is asked for, and so is a child where the
// host would not answer.
func TestSpawnThatCannotTravel(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0"})
	e, err := sdk.NewScripts(sdk.Func("big", func(ctx context.Context, _ any, r sdk.Reporter) (string, error) {
		_, err := r.Spawn(ctx, sdk.Child{Name: "a", Type: "t", Input: strings.Repeat("x", 20<<20)})
		return "", err
	}))
	if err != nil {
		t.Fatal(err)
	}
	gateWorker(t, queuetest.NewGates(), worker.Options{URL: brokerURL(t, f), Local: []worker.Local{{Name: "local", Executor: e}}})
	queuetest.Serves(t, f, "big")
	if out := execute(t, f, newTask("big", `1`)).wait(t, sdk.OutcomeFailed); !out.Permanent || !strings.Contains(out.Message, "the broker carries") {
		t.Errorf("%+v", out)
	}
}
