package fleet

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/broker"
	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
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
