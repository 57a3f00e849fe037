package natsbroker

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/broker"
	"github.com/taskhost/taskhost/plugins/remote-queue/config"
	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/sdk"
)

// openHost connects a host's half to an embedded broker of its own. Each confirmed start
// comes on the channel.
func openHost(t *testing.T) (*Host, chan broker.PlacedStart) {
	t.Helper()
	published := make(chan broker.PlacedStart, 10)
	h, err := ConnectHost(broker.HostConnection{Executor: "test", Process: "THIS", DataDir: t.TempDir(),
		Config: &config.Executor{Queue: "default", Replicas: 1}, Log: queuetest.Log("host")},
		broker.HostEvents{Connected: func() {}, Disconnected: func(error) {}, Received: func(wire.Peer, string, []byte) {},
			HoldsQueue:    func() bool { return true },
			Published:     func(t sdk.Token, position uint64) { published <- broker.PlacedStart{Token: t, Position: position} },
			PublishFailed: func(_ sdk.Token, err error) { t.Error(err) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(h.Close)
	return h, published
}

// The claim is written by whoever read it last, and by nobody else.
func TestClaim(t *testing.T) {
	h, _ := openHost(t)
	if _, rev, err := h.ReadClaim(t.Context()); err != nil || rev != 0 {
		t.Fatalf("a new queue has a claim of revision %d, %v", rev, err)
	}
	first, err := h.WriteClaim(t.Context(), []byte("one"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.WriteClaim(t.Context(), []byte("late"), 0); !errors.Is(err, broker.ErrClaimChanged) {
		t.Errorf("a claim of an older revision was replaced: %v", err)
	}
	if _, err := h.WriteClaim(t.Context(), []byte("two"), first); err != nil {
		t.Error(err)
	}
	if data, rev, err := h.ReadClaim(t.Context()); string(data) != "two" || rev <= first || err != nil {
		t.Errorf("the claim is %q of revision %d, %v", data, rev, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), queuetest.Patience)
	defer cancel()
	if err := h.AskAlive(ctx, "THIS"); err != nil {
		t.Errorf("a process that lives: %v", err)
	}
	if err := h.AskAlive(ctx, "ANOTHER"); !errors.Is(err, broker.ErrNobody) {
		t.Errorf("a process that is not there: %v", err)
	}
}

// What the broker lost of the starts is found, and what it has is not.
func TestMissingStarts(t *testing.T) {
	h, published := openHost(t)
	lane := wire.Lane{Route: wire.AnyRoute, Type: "quick"}
	if err := h.MakeLane(t.Context(), lane); !errors.Is(err, broker.ErrStoreMissing) {
		t.Errorf("a lane of a queue that is not set up: %v", err)
	}
	if _, err := h.SetUp(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Missing(t.Context(), lane, nil); !errors.Is(err, broker.ErrLaneMissing) {
		t.Errorf("a lane that was not made: %v", err)
	}
	if err := h.MakeLane(t.Context(), lane); err != nil {
		t.Fatal(err)
	}
	var all []broker.PlacedStart
	for n := range uint64(3) {
		task := sdk.Task{ID: "t", Type: "quick", Token: queuetest.BenchToken(n + 1)}
		body, _, _ := wire.EncodeStart(wire.ActionExecute, task, 1<<20)
		if err := h.Publish(lane, body); err != nil {
			t.Fatal(err)
		}
		select {
		case s := <-published:
			all = append(all, s)
		case <-time.After(queuetest.Patience):
			t.Fatal("the broker does not confirm a start")
		}
	}
	if err := h.Withdraw(all[0].Position); err != nil {
		t.Fatal(err)
	}
	queuetest.Eventually(t, "the withdrawn start is missing", func() bool {
		missing, err := h.Missing(t.Context(), lane, all)
		return err == nil && len(missing) == 1 && missing[0] == all[0]
	})
	if missing, err := h.Missing(t.Context(), lane, all[1:]); err != nil || len(missing) != 0 {
		t.Errorf("%d of those that wait are missing, %v", len(missing), err)
	}
	if _, err := h.SetUp(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if missing, err := h.Missing(t.Context(), lane, all); err != nil || len(missing) != len(all) {
		t.Errorf("%d are missing after a purge, %v", len(missing), err)
	}
}
