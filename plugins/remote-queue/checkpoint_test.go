package remotequeue

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/taskhost/taskhost/sdk"
)

// What a decoder hands out is the receiver's: the next item of the batch does not
// write over it.
func TestItemsOutliveTheirBatch(t *testing.T) {
	data := []byte{formatVersion}
	for seq := range uint64(3) {
		data = appendItem(data, &item{kind: kindCheckpoint, seq: seq, data: []byte{byte(seq)}})
	}
	var later []func() item
	if _, err := decodeBatch(data, func(it item) { later = append(later, func() item { return it }) }); err != nil {
		t.Fatal(err)
	}
	for seq, it := range later {
		if got := it(); got.seq != uint64(seq) || got.data[0] != byte(seq) {
			t.Errorf("item %d became number %d with %v", seq, got.seq, got.data)
		}
	}
}

// joined has the host join an attempt that runs on p.
func joined(t *testing.T, f *fleet, p peer, r sdk.Reporter) sdk.Task {
	t.Helper()
	task := newTask("gate", `1`)
	task.Rejoin, task.Handle = true, handle(p)
	ctx, cancel := context.WithCancelCause(context.Background())
	done := make(chan struct{})
	go func() { _, _ = f.Execute(ctx, task, r); close(done) }()
	t.Cleanup(func() { cancel(sdk.ErrDetach); <-done })
	eventually(t, "joined", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.attempts[task.Token] != nil })
	return task
}

// say has the host hear a batch of items of one worker.
func say(t *testing.T, f *fleet, p peer, items ...item) {
	t.Helper()
	data := []byte{formatVersion}
	for i := range items {
		data = appendItem(data, &items[i])
	}
	if err := f.nc.Publish(f.names.up(p, upItems), data); err != nil {
		t.Fatal(err)
	}
}

// A checkpoint is acked under its own number, whatever follows it in its batch.
func TestCheckpointInABatch(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0"})
	p := peer{"w1", "AAAAAAAAAAAAAAAA"}
	wrote := make(chan []byte, 1)
	hold := make(chan struct{})
	task := joined(t, f, p, sdk.NewReporter(sdk.ReporterFuncs{Checkpoint: func(data []byte) error { <-hold; wrote <- data; return nil }}))
	say(t, f, p, item{kind: kindCheckpoint, token: task.Token, seq: 7, data: []byte("c")}, item{kind: kindProgress, token: task.Token, done: 1})
	eventually(t, "heard", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return len(f.attempts[task.Token].saving) == 1 })
	close(hold)
	if data := <-wrote; string(data) != "c" {
		t.Errorf("%q was written", data)
	}
	eventually(t, "acked as number 7", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.attempts[task.Token].saved == 7 })
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
	newGates().worker(t, WorkerOptions{URL: f.broker.srv.ClientURL(), Local: []Local{{Name: "local", Executor: e, Slots: 50}}})
	serves(t, f, "saves")
	var all []*try
	for range 200 {
		all = append(all, execute(t, f, newTask("saves", `1`)))
	}
	for _, a := range all {
		a.wait(t, sdk.OutcomeSucceeded)
	}
}

// ear hears what the host tells a worker.
type ear struct{ sub *nats.Subscription }

func listen(t *testing.T, f *fleet, p peer) ear {
	t.Helper()
	nc, err := nats.Connect(f.broker.srv.ClientURL(), nats.UserInfo(p.name, ""))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	sub, err := nc.SubscribeSync(f.names.down(p))
	if err != nil {
		t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	return ear{sub}
}

// until waits for an item.
func (e ear) until(t *testing.T, what string, want func(item) bool) {
	t.Helper()
	for found := false; !found; {
		m, err := e.sub.NextMsg(patience)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		_, _ = decodeBatch(m.Data, func(it item) { found = found || want(it) }) // an offer is none
	}
}

// Whoever repeats a checkpoint did not hear what became of it, and is told again:
// also when it was denied, and when the attempt is lost.
func TestRepeatedCheckpoint(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0", "rejoin": "2s"})
	p := peer{"w1", "AAAAAAAAAAAAAAAA"}
	e := listen(t, f, p)
	task := joined(t, f, p, sdk.NewReporter(sdk.ReporterFuncs{Checkpoint: func([]byte) error { return errors.New("no room") }}))
	save := item{kind: kindCheckpoint, token: task.Token, seq: 1, data: []byte("c")}
	for _, what := range []string{"denied", "denied again"} {
		say(t, f, p, save)
		e.until(t, what, func(it item) bool { return it.kind == kindDeny && it.seq == 1 && it.text == "no room" })
	}
	eventually(t, "lost", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.attempts[task.Token].phase == over })
	say(t, f, p, save)
	e.until(t, "refused", func(it item) bool { return it.kind == kindRefuse && it.token == task.Token })
}

// A script that is in Checkpoint when its attempt is not wanted any more comes back,
// and so does its slot.
func TestFencedInCheckpoint(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0", "rejoin": "100ms"})
	in, back := make(chan struct{}), make(chan error, 2)
	e, err := sdk.NewScripts(quick, sdk.Script{TypeInfo: sdk.TypeInfo{Name: "saves"}, Run: func(_ context.Context, _ sdk.Task, r sdk.Reporter) (sdk.Result, error) {
		close(in)
		back <- r.Checkpoint([]byte("c"))
		back <- r.Checkpoint([]byte("more"))
		return sdk.Result{}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	newGates().worker(t, WorkerOptions{URL: f.broker.srv.ClientURL(), Local: []Local{{Name: "local", Executor: e, Slots: 1}}})
	serves(t, f, "saves")
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
		case <-time.After(patience):
			t.Fatal("the script waits in Checkpoint")
		}
	}
	write()
	execute(t, f, newTask("quick", `1`)).wait(t, sdk.OutcomeSucceeded)
}

// The details of a failure are the script's own, which may have given the same ones
// to several attempts.
func TestDetailsAreNotChanged(t *testing.T) {
	long := string(make([]byte, 2*maxLine))
	details := map[string]string{"stack": long}
	w := &Worker{}
	w.payload.Store(1 << 20)
	o := w.fit(sdk.Outcome{Kind: sdk.OutcomeFailed, Details: details})
	if len(o.Details["stack"]) != maxLine || len(details["stack"]) != len(long) {
		t.Errorf("%d bytes travel; the script's have become %d", len(o.Details["stack"]), len(details["stack"]))
	}
}
