package remotequeue

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/broker"
	"github.com/taskhost/taskhost/plugins/remote-queue/config"
	"github.com/taskhost/taskhost/plugins/remote-queue/fleet"
	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/sdk"
)

// What follows is the suite that every kind of broker passes, below the rules of the halves.

// openHost connects a process of a host. Each confirmed start comes on the channel.
func openHost(t *testing.T, s queuetest.Server, process string) (fleet.Broker, chan broker.PlacedStart) {
	t.Helper()
	published := make(chan broker.PlacedStart, 100)
	h, err := dialHost(broker.HostConnection{Executor: "test", Process: process, DataDir: t.TempDir(),
		Config: &config.Executor{URL: s.URL(), Queue: s.Queue(), Replicas: 1}, Log: queuetest.Log("host")},
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

// publishStarts publishes n starts of the type "quick", and waits until the broker has them.
func publishStarts(t *testing.T, h fleet.Broker, published chan broker.PlacedStart, n int) (all []broker.PlacedStart) {
	t.Helper()
	for i := range n {
		task := sdk.Task{ID: "t", Type: "quick", Token: queuetest.BenchToken(uint64(i + 1))}
		body, _, _ := wire.AppendStart(nil, wire.ActionExecute, &task, 1<<20)
		if err := h.Publish(quickLane, body); err != nil {
			t.Fatal(err)
		}
		select {
		case p := <-published:
			all = append(all, p)
		case <-time.After(queuetest.Patience):
			t.Fatal("the broker does not confirm a start")
		}
	}
	return all
}

var quickLane = wire.Lane{Route: wire.AnyRoute, Type: "quick"}

// The claim is written by whoever read it last, and by nobody else.
func TestClaim(t *testing.T) { queuetest.OnEachBroker(t, claim) }

func claim(t *testing.T, s queuetest.Server) {
	h, _ := openHost(t, s, "THIS")
	ctx, cancel := context.WithTimeout(t.Context(), queuetest.Patience)
	defer cancel()
	if _, rev, err := h.ReadClaim(ctx); err != nil || rev != 0 {
		t.Fatalf("a new queue has a claim of revision %d, %v", rev, err)
	}
	first, err := h.WriteClaim(ctx, []byte("one"), 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.WriteClaim(ctx, []byte("late"), 0); !errors.Is(err, broker.ErrClaimChanged) {
		t.Errorf("a claim of an older revision was replaced: %v", err)
	}
	if _, err := h.WriteClaim(ctx, []byte("two"), first); err != nil {
		t.Error(err)
	}
	other, _ := openHost(t, s, "ANOTHER")
	data, rev, err := other.ReadClaim(ctx)
	if string(data) != "two" || rev <= first || err != nil {
		t.Errorf("the claim is %q of revision %d, %v", data, rev, err)
	}
	if err := other.AskAlive(ctx, "THIS"); err != nil {
		t.Errorf("a process that lives: %v", err)
	}
	if err := other.AskAlive(ctx, "NOBODY"); !errors.Is(err, broker.ErrNobody) {
		t.Errorf("a process that is not there: %v", err)
	}
	if _, err := other.WriteClaim(ctx, []byte("three"), rev); err != nil {
		t.Error(err)
	}
	if _, err := h.WriteClaim(ctx, []byte("late"), rev); !errors.Is(err, broker.ErrClaimChanged) {
		t.Errorf("both replaced the same claim: %v", err)
	}
}

// Of those that replace the same claim at the same time, exactly one does.
func TestClaimRace(t *testing.T) { queuetest.OnEachBroker(t, claimRace) }

func claimRace(t *testing.T, s queuetest.Server) {
	ctx, cancel := context.WithTimeout(t.Context(), queuetest.Patience)
	defer cancel()
	var hosts [6]fleet.Broker
	for i := range hosts {
		hosts[i], _ = openHost(t, s, fmt.Sprintf("PROCESS%d", i))
	}
	for round := range 10 {
		_, rev, err := hosts[0].ReadClaim(ctx)
		if err != nil {
			t.Fatal(err)
		}
		var won [len(hosts)]bool
		var wg sync.WaitGroup
		for i, h := range hosts {
			wg.Go(func() {
				_, err := h.WriteClaim(ctx, fmt.Append(nil, i), rev)
				won[i] = err == nil
				if err != nil && !errors.Is(err, broker.ErrClaimChanged) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		winner := ""
		for i, w := range won {
			if w {
				winner += fmt.Sprint(i)
			}
		}
		for _, h := range hosts {
			if data, _, err := h.ReadClaim(ctx); err != nil || string(data) != winner {
				t.Fatalf("round %d: %q replaced the claim, and it is %q, %v", round, winner, data, err)
			}
		}
	}
}

// What the broker lost of the starts is found, and what it has is not.
func TestMissingStarts(t *testing.T) { queuetest.OnEachBroker(t, missingStarts) }

func missingStarts(t *testing.T, s queuetest.Server) {
	h, published := openHost(t, s, "THIS")
	if err := h.MakeLane(t.Context(), quickLane); !errors.Is(err, broker.ErrStoreMissing) {
		t.Errorf("a lane of a queue that is not set up: %v", err)
	}
	if _, err := h.SetUp(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	if _, err := h.Missing(t.Context(), quickLane, nil); !errors.Is(err, broker.ErrLaneMissing) {
		t.Errorf("a lane that was not made: %v", err)
	}
	if err := h.MakeLane(t.Context(), quickLane); err != nil {
		t.Fatal(err)
	}
	all := publishStarts(t, h, published, 3)
	queuetest.Eventually(t, "all are there", func() bool {
		missing, err := h.Missing(t.Context(), quickLane, all)
		return err == nil && len(missing) == 0
	})
	w := openLane(t, s, "w1")
	w.pull(t, 1)
	if err := (<-w.delivered).Accept(); err != nil {
		t.Fatal(err)
	}
	queuetest.Eventually(t, "the one that was taken is missing", func() bool {
		missing, err := h.Missing(t.Context(), quickLane, all)
		return err == nil && len(missing) == 1 && missing[0] == all[0]
	})
	if _, err := h.SetUp(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if missing, err := h.Missing(t.Context(), quickLane, all); err != nil || len(missing) != len(all) {
		t.Errorf("%d are missing after a purge, %v", len(missing), err)
	}
}

// lane is a worker that takes starts of the type "quick".
type lane struct {
	broker.LaneConsumer
	delivered chan broker.Delivery
}

func openLane(t *testing.T, s queuetest.Server, name string) *lane {
	t.Helper()
	up := make(chan struct{}, 1)
	w, err := dialWorker(broker.WorkerConnection{Peer: wire.Peer{Name: name, Instance: "ABCDEFGH"}, Queue: s.Queue(), URL: s.URL(), Log: queuetest.Log(name)},
		broker.WorkerEvents{Connected: func() { wire.Wake(up) }, Received: func([]byte) {}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.Close)
	select {
	case <-up:
	case <-time.After(queuetest.Patience):
		t.Fatal("the worker does not find the broker")
	}
	l := &lane{delivered: make(chan broker.Delivery, 100)}
	l.LaneConsumer, err = w.Consume(quickLane.Name(), broker.LaneEvents{
		Delivered: func(d broker.Delivery) { l.delivered <- d }, PullEnded: func(int, bool) {}})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func (l *lane) pull(t *testing.T, n int) {
	t.Helper()
	if err := l.Pull(n); err != nil {
		t.Fatal(err)
	}
}

func (l *lane) next(t *testing.T) broker.Delivery {
	t.Helper()
	select {
	case d := <-l.delivered:
		return d
	case <-time.After(queuetest.Patience):
		t.Fatal("no start comes")
		return nil
	}
}

// A worker gets what it pulls and no more, what it gives back goes to others, and what it
// accepts to nobody.
func TestPull(t *testing.T) { queuetest.OnEachBroker(t, pull) }

func pull(t *testing.T, s queuetest.Server) {
	h, published := openHost(t, s, "THIS")
	if _, err := h.SetUp(t.Context(), true); err != nil {
		t.Fatal(err)
	}
	if err := h.MakeLane(t.Context(), quickLane); err != nil {
		t.Fatal(err)
	}
	publishStarts(t, h, published, 10)
	one, other := openLane(t, s, "one"), openLane(t, s, "other")
	one.pull(t, 3)
	for range 3 {
		if err := one.next(t).Accept(); err != nil {
			t.Error(err)
		}
	}
	one.pull(t, 1)
	given := one.next(t)
	given.GiveBack(0)
	seen := make(map[string]bool)
	other.pull(t, 7)
	for range 7 {
		d := other.next(t)
		if seen[string(d.Data())] {
			t.Error("one start came twice")
		}
		seen[string(d.Data())] = true
		if err := d.Accept(); err != nil {
			t.Error(err)
		}
	}
	if !seen[string(given.Data())] {
		t.Error("what was given back came to nobody")
	}
	if len(one.delivered) > 0 || len(other.delivered) > 0 {
		t.Errorf("%d and %d more came than were pulled", len(one.delivered), len(other.delivered))
	}
	one.Close()
	other.pull(t, 5)
	for range 40 { // one at a time, as a worker with one slot does
		publishStarts(t, h, published, 1)
		if err := other.next(t).Accept(); err != nil {
			t.Error(err)
		}
		other.pull(t, 1)
	}
}
