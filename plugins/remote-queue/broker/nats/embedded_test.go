package natsbroker

import (
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/taskhost/taskhost/plugins/remote-queue/broker"
	"github.com/taskhost/taskhost/plugins/remote-queue/config"
	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/sdk"
)

// embeddedHost is a host with a broker of its own, whose data is in that directory.
func embeddedHost(t *testing.T, dir string) *Host {
	t.Helper()
	h, err := ConnectHost(broker.HostConnection{Executor: "test", Process: "TEST", DataDir: dir, Config: &config.Executor{Queue: "default"}, Log: hclog.NewNullLogger()},
		broker.HostEvents{Connected: func() {}, Disconnected: func(error) {}, Received: func(wire.Peer, string, []byte) {}, HoldsQueue: func() bool { return true },
			Published: func(sdk.Token, uint64) {}, PublishFailed: func(sdk.Token, error) {}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h
}

// TestStartsInMemory: an embedded broker keeps starts in memory, also where an earlier version
// left them in files; and only who takes the queue empties it.
func TestStartsInMemory(t *testing.T) {
	dir := t.TempDir()
	old := embeddedHost(t, dir)
	start := wire.Lane{Route: wire.AnyRoute, Type: "quick"}
	if _, err := old.js.CreateStream(t.Context(), jetstream.StreamConfig{Name: old.subjects.Stream(), Subjects: []string{old.subjects.AllStarts()},
		Retention: jetstream.WorkQueuePolicy, Storage: jetstream.FileStorage}); err != nil {
		t.Fatal(err)
	}
	if _, err := old.js.Publish(t.Context(), old.subjects.Starts(start), []byte("old")); err != nil {
		t.Fatal(err)
	}
	old.Close()

	h := embeddedHost(t, dir)
	if _, err := h.SetUp(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if _, err := h.js.Publish(t.Context(), h.subjects.Starts(start), []byte("new")); err != nil {
		t.Fatal(err)
	}
	if _, err := h.SetUp(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	st, err := h.js.Stream(t.Context(), h.subjects.Stream())
	if err != nil {
		t.Fatal(err)
	}
	if i := st.CachedInfo(); i.Config.Storage != jetstream.MemoryStorage || i.State.Msgs != 1 {
		t.Errorf("the starts are in %s, and %d are there, want the one of this host in memory", i.Config.Storage, i.State.Msgs)
	}
}
