package remotequeue

import (
	"context"
	"testing"

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
	task := joined(t, f, p, sdk.NewReporter(sdk.Reports{Checkpoint: func(data []byte) error { <-hold; wrote <- data; return nil }}))
	say(t, f, p, item{kind: kindCheckpoint, token: task.Token, seq: 7, data: []byte("c")}, item{kind: kindProgress, token: task.Token, done: 1})
	eventually(t, "heard", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.attempts[task.Token].saving == 7 })
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
		a.wait(t, sdk.Succeeded)
	}
}

// The details of a failure are the script's own, which may have given the same ones
// to several attempts.
func TestDetailsAreNotChanged(t *testing.T) {
	long := string(make([]byte, 2*maxLine))
	details := map[string]string{"stack": long}
	w := &Worker{}
	w.payload.Store(1 << 20)
	o := w.fit(sdk.Outcome{Kind: sdk.Failed, Details: details})
	if len(o.Details["stack"]) != maxLine || len(details["stack"]) != len(long) {
		t.Errorf("%d bytes travel; the script's have become %d", len(o.Details["stack"]), len(details["stack"]))
	}
}
