package fleet

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/taskhost/taskhost/plugins/remote-queue/broker"
	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/plugins/remote-queue/worker"
	"github.com/taskhost/taskhost/sdk"
)

// waitingAttempt is one whose start the broker has.
func waitingAttempt(f *fleet, l wire.Lane) *attempt {
	a := newAttempt(wire.ActionExecute, &sdk.Task{Type: l.Type, Token: sdk.Token{1}})
	a.message = &startMessage{token: a.token, attempts: []*attempt{a}, position: 1}
	f.attempts[a.token] = a
	return a
}

// A lane to whose making the broker does not answer is left alone for about as long as it held
// up the others, and for longer each time; what waits in it is given back after some tries. When
// the broker was away it is tried anew, and one that the broker refused is not.
func TestLaneUnanswered(t *testing.T) {
	f := bareFleet()
	f.starts.init(f)
	lane, denied := wire.Lane{Route: wire.AnyRoute, Type: "quick"}, wire.Lane{Route: wire.AnyRoute, Type: "denied"}
	a := waitingAttempt(f, lane)
	unanswered := fmt.Errorf("the broker does not answer: %w", context.DeadlineExceeded)
	last := time.Duration(0)
	for range maxRefusals {
		if a.phase != waiting {
			t.Fatal("given back after few tries")
		}
		f.starts.refuseLane(lane, unanswered)
		wait := time.Until(f.starts.refusedLanes[lane].retryAfter).Round(time.Second)
		if last == 0 && wait > laneTimeout || wait <= last {
			t.Errorf("left alone for %s, and for %s before", wait, last)
		}
		last = wait
	}
	if a.phase != ended || a.outcome.Kind != sdk.OutcomeReleased {
		t.Errorf("after %d tries it is %+v", maxRefusals, a.outcome)
	}
	f.starts.refuseLane(denied, broker.ErrRefused)
	f.starts.noteReconnected()
	if f.starts.refusedLanes[lane] != nil || f.starts.refusedLanes[denied] == nil {
		t.Errorf("refused once the broker is back: %v", f.starts.refusedLanes)
	}
}

// However often a start is handed back, it is published again once.
func TestHandedBackOften(t *testing.T) {
	f := bareFleet()
	f.starts.init(f)
	a := waitingAttempt(f, wire.Lane{Route: wire.AnyRoute, Type: "quick"})
	for range 1000 {
		f.handleWorkerItem(wire.Peer{Name: "w1", Instance: "AAAAAAAA"}, wire.Item{Kind: wire.KindHandback, Token: a.token})
	}
	if n := f.counters.republished.Load(); n != 1 || len(f.starts.toPublish) != 1 {
		t.Errorf("%d starts are published again, %d times", len(f.starts.toPublish), n)
	}
}

// The consumer of a lane is removed by the broker when nobody took anything for a day. What waits
// in it while all workers are busy comes to them nevertheless, and what is published there after
// such a time, at once.
func TestLaneExpired(t *testing.T) {
	lane := wire.Lane{Route: wire.AnyRoute, Type: "gate"}
	consumer := func(f *fleet) jetstream.Consumer {
		c, err := jetStream(t, f).Consumer(t.Context(), subjectsOf(f).Stream(), lane.Name())
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	expire := func(f *fleet) {
		if d := consumer(f).CachedInfo().Config.InactiveThreshold; d <= time.Hour {
			t.Errorf("the broker keeps a consumer for %s", d) // 0 is for ever
		}
		if err := jetStream(t, f).DeleteConsumer(t.Context(), subjectsOf(f).Stream(), lane.Name()); err != nil {
			t.Fatal(err)
		}
	}
	open := func(lapse string) (*fleet, *queuetest.Gates) {
		f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0", "lapse": lapse})
		g := queuetest.NewGates()
		gateWorker(t, g, worker.Options{URL: brokerURL(t, f), Local: []worker.Local{{Name: "local", Executor: g.Executor(t), Slots: 1}}})
		queuetest.Serves(t, f, "gate")
		return f, g
	}
	f, g := open("1s")
	runs := execute(t, f, newTask("gate", `"runs"`))
	<-g.Began
	waits := execute(t, f, newTask("gate", `"waits"`))
	queuetest.Eventually(t, "it waits", func() bool { return pending(t, f) == 1 })
	expire(f)
	g.Release("waits")
	g.Release("runs")
	runs.wait(t, sdk.OutcomeSucceeded)
	waits.wait(t, sdk.OutcomeSucceeded)

	f, g = open("1m") // in which nothing is looked after
	queuetest.Eventually(t, "the lane is there", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.starts.hasLane(lane) })
	expire(f)
	f.mu.Lock()
	f.starts.lanes[lane] -= laneIdle
	f.mu.Unlock()
	g.Release("late")
	execute(t, f, newTask("gate", `"late"`)).wait(t, sdk.OutcomeSucceeded)
}
