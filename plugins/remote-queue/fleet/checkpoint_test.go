package fleet

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/plugins/remote-queue/worker"
	"github.com/taskhost/taskhost/sdk"
)

// Checkpoints of one attempt that wait for the store are bounded, and all of them are
// written in the end.
func TestCheckpointFlood(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0", "rejoin": "1m", "lapse": "10s"})
	task := newTask("x", `1`)
	p := wire.Peer{Name: "w1", Instance: "AAAAAAAAAAAAAAAA"}
	task.Rejoin, task.Handle = true, encodeHandle(p)
	let := make(chan struct{})
	written := make(chan int, 100)
	r := sdk.NewReporter(sdk.ReporterFuncs{Checkpoint: func(data []byte) error { <-let; written <- len(data); return nil }})
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _, _ = f.Execute(ctx, task, r) }()
	defer func() { cancel(sdk.ErrDetach); <-done }()
	queuetest.Eventually(t, "joined", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.attempts[task.Token] != nil })
	const each, all = 1 << 20, 20
	flood := func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		for i := range all {
			f.handleWorkerItem(p, wire.Item{Kind: wire.KindCheckpoint, Token: task.Token, Seq: uint64(i + 1), Data: make([]byte, each)})
		}
	}
	flood()
	f.mu.Lock()
	if n := f.attempts[task.Token].savingBytes; n != maxSaving {
		t.Errorf("%d bytes of one attempt wait for the store", n)
	}
	f.mu.Unlock()
	close(let)
	for range maxSaving / each {
		<-written
	}
	queuetest.Eventually(t, "the rest is taken when it is repeated", func() bool {
		flood()
		f.mu.Lock()
		defer f.mu.Unlock()
		return f.attempts[task.Token].lastSavedSeq == all
	})
}

// joined has the host join an attempt that runs on p.
func joined(t *testing.T, f *fleet, p wire.Peer, r sdk.Reporter) sdk.Task {
	t.Helper()
	task := newTask("gate", `1`)
	task.Rejoin, task.Handle = true, encodeHandle(p)
	ctx, cancel := context.WithCancelCause(context.Background())
	done := make(chan struct{})
	go func() { _, _ = f.Execute(ctx, task, r); close(done) }()
	t.Cleanup(func() { cancel(sdk.ErrDetach); <-done })
	queuetest.Eventually(t, "joined", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.attempts[task.Token] != nil })
	return task
}

// say has the host hear a batch of items of one worker.
func say(t *testing.T, f *fleet, p wire.Peer, items ...wire.Item) {
	t.Helper()
	data := []byte{wire.FormatVersion}
	for i := range items {
		data = wire.AppendItem(data, &items[i])
	}
	if err := brokerConn(f).Publish(subjectsOf(f).Up(p, wire.ChannelItems), data); err != nil {
		t.Fatal(err)
	}
}

// A checkpoint is acked under its own number, whatever follows it in its batch.
func TestCheckpointInABatch(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0"})
	p := wire.Peer{Name: "w1", Instance: "AAAAAAAAAAAAAAAA"}
	wrote := make(chan []byte, 1)
	hold := make(chan struct{})
	task := joined(t, f, p, sdk.NewReporter(sdk.ReporterFuncs{Checkpoint: func(data []byte) error { <-hold; wrote <- data; return nil }}))
	say(t, f, p, wire.Item{Kind: wire.KindCheckpoint, Token: task.Token, Seq: 7, Data: []byte("c")}, wire.Item{Kind: wire.KindProgress, Token: task.Token, Done: 1})
	queuetest.Eventually(t, "heard", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return len(f.attempts[task.Token].savingSeqs) == 1 })
	close(hold)
	if data := <-wrote; string(data) != "c" {
		t.Errorf("%q was written", data)
	}
	queuetest.Eventually(t, "acked as number 7", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.attempts[task.Token].lastSavedSeq == 7 })
}

// Scripts that report all they can, many at once, all come back from Checkpoint.
func TestCheckpointsOfMany(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0"})
	e, err := sdk.NewScripts(sdk.Script{TypeInfo: sdk.TypeInfo{Name: "saves"}, Run: func(_ context.Context, _ sdk.Task, r sdk.Reporter) (sdk.Result, error) {
		for i := range int64(3) {
			r.Log().Info("saving")
			r.Progress(i, 3, "saving")
			if err := r.Checkpoint([]byte("c")); err != nil {
				return sdk.Result{}, err
			}
		}
		return sdk.Result{}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	gateWorker(t, queuetest.NewGates(), worker.Options{URL: brokerURL(t, f), Local: []worker.Local{{Name: "local", Executor: e, Slots: 50}}})
	queuetest.Serves(t, f, "saves")
	var all []*testAttempt
	for range 200 {
		all = append(all, execute(t, f, newTask("saves", `1`)))
	}
	for _, a := range all {
		a.wait(t, sdk.OutcomeSucceeded)
	}
}

// listener hears what the host tells a worker.
type listener struct{ sub *nats.Subscription }

func listen(t *testing.T, f *fleet, p wire.Peer) listener {
	t.Helper()
	nc, err := nats.Connect(brokerURL(t, f), nats.UserInfo(p.Name, ""))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	sub, err := nc.SubscribeSync(subjectsOf(f).Down(p))
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return listener{sub}
}

// until waits for an item.
func (e listener) until(t *testing.T, what string, want func(wire.Item) bool) {
	t.Helper()
	for found := false; !found; {
		m, err := e.sub.NextMsg(queuetest.Patience)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		_, _ = wire.DecodeBatch(m.Data, func(it wire.Item) { found = found || want(it) }) // an offer is none
	}
}

// Whoever repeats a checkpoint did not hear what became of it, and is told again:
// also when it was denied, and when the attempt is lost.
func TestRepeatedCheckpoint(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0", "rejoin": "2s"})
	p := wire.Peer{Name: "w1", Instance: "AAAAAAAAAAAAAAAA"}
	e := listen(t, f, p)
	task := joined(t, f, p, sdk.NewReporter(sdk.ReporterFuncs{Checkpoint: func([]byte) error { return errors.New("no room") }}))
	save := wire.Item{Kind: wire.KindCheckpoint, Token: task.Token, Seq: 1, Data: []byte("c")}
	for _, what := range []string{"denied", "denied again"} {
		say(t, f, p, save)
		e.until(t, what, func(it wire.Item) bool { return it.Kind == wire.KindDeny && it.Seq == 1 && it.Text == "no room" })
	}
	queuetest.Eventually(t, "lost", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.attempts[task.Token].phase == ended })
	say(t, f, p, save)
	e.until(t, "refused", func(it wire.Item) bool { return it.Kind == wire.KindRefuse && it.Token == task.Token })
}

// A script that is in Checkpoint when its attempt is not wanted any more comes back,
// and so does its slot.
func TestFencedInCheckpoint(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0", "rejoin": "100ms"})
	in, back := make(chan struct{}), make(chan error, 2)
	e, err := sdk.NewScripts(queuetest.Quick, sdk.Script{TypeInfo: sdk.TypeInfo{Name: "saves"}, Run: func(_ context.Context, _ sdk.Task, r sdk.Reporter) (sdk.Result, error) {
		close(in)
		back <- r.Checkpoint([]byte("c"))
		back <- r.Checkpoint([]byte("more"))
		return sdk.Result{}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	gateWorker(t, queuetest.NewGates(), worker.Options{URL: brokerURL(t, f), Local: []worker.Local{{Name: "local", Executor: e, Slots: 1}}})
	queuetest.Serves(t, f, "saves")
	task := newTask("saves", `1`)
	writing, hold := make(chan struct{}), make(chan struct{})
	write := sync.OnceFunc(func() { close(hold) })
	t.Cleanup(write)
	store := sdk.NewReporter(sdk.ReporterFuncs{Checkpoint: func([]byte) error { close(writing); <-hold; return nil }})
	done := make(chan struct{})
	go func() { defer close(done); _, _ = f.Execute(t.Context(), task, store) }()
	<-in
	<-writing
	f.Settled(task.Token) // canceled, and not confirmed in time
	<-done
	for range 2 {
		select {
		case err := <-back:
			if err == nil {
				t.Error("a checkpoint that nobody wants was taken")
			}
		case <-time.After(queuetest.Patience):
			t.Fatal("the script waits in Checkpoint")
		}
	}
	write()
	execute(t, f, newTask("quick", `1`)).wait(t, sdk.OutcomeSucceeded)
}
