package worker

import (
	"bytes"
	"context"
	"errors"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/sdk"
)

// A start can come for a lane that was just taken away: nothing more is asked for there.
func TestLaneTakenAway(t *testing.T) {
	l := &localExecutor{slots: 4, pullers: map[string]*puller{}}
	p := &puller{executor: l, laneName: "any_quick"}
	if n := l.pullCount(p); n != 0 {
		t.Errorf("%d are asked for", n)
	}
	l.pullers[p.laneName] = p
	if n := l.pullCount(p); n != 4 {
		t.Errorf("%d are asked for with the lane there", n)
	}
}

// silentDelivery is a start of a broker that never answers.
type silentDelivery struct {
	start    []byte
	err      error
	accepted int
}

func (d *silentDelivery) Data() []byte           { return d.start }
func (d *silentDelivery) Accept() error          { d.accepted++; return d.err }
func (d *silentDelivery) GiveBack(time.Duration) {}
func (d *silentDelivery) Discard()               {}

// A worker asks for a start at once and once, however often it is delivered and whether or
// not the broker hears that it was accepted. One of which the broker was not told is given up.
func TestAsksWithoutTheBrokersWord(t *testing.T) {
	sent := make(chan []byte, 10)
	ctx, cancel := context.WithCancel(t.Context())
	w := &Worker{log: hclog.NewNullLogger(), runs: map[sdk.Token]*run{}, pullWanted: make(chan struct{}, 1), runRemoved: make(chan struct{}, 1),
		outbox: wire.NewOutbox(func(_ wire.Peer, data []byte) { sent <- bytes.Clone(data) })}
	l := &localExecutor{slots: 4, pullers: map[string]*puller{}}
	p := &puller{executor: l, laneName: "any_quick", taskType: "quick"}
	token := queuetest.BenchToken(1)
	start, _, _ := wire.EncodeStart(wire.ActionExecute, sdk.Task{ID: "t", Type: "quick", Token: token}, 1<<20)
	d := &silentDelivery{start: start}
	w.handleDelivery(p, d)
	w.handleDelivery(p, d)
	if d.accepted != 2 || len(w.runs) != 1 || l.used != 1 {
		t.Errorf("it was accepted %d times and is %d attempts in %d slots", d.accepted, len(w.runs), l.used)
	}
	other, _, _ := wire.EncodeStart(wire.ActionExecute, sdk.Task{ID: "u", Type: "quick", Token: queuetest.BenchToken(2)}, 1<<20)
	w.handleDelivery(p, &silentDelivery{start: other, err: errors.New("the broker is away")})
	if len(w.runs) != 1 || l.used != 1 {
		t.Errorf("with one that the broker was not told of there are %d attempts in %d slots", len(w.runs), l.used)
	}
	cancel()
	w.outbox.Run(ctx) // sends what waits, and ends
	close(sent)
	asks := 0
	for data := range sent {
		if _, err := wire.DecodeBatch(data, func(it wire.Item) {
			if it.Kind == wire.KindAsk && it.Token == token {
				asks++
			}
		}); err != nil {
			t.Error(err)
		}
	}
	if asks != 1 {
		t.Errorf("the host was asked %d times", asks)
	}
}
