package worker

import (
	"context"
	"errors"
	"slices"
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
	start     []byte
	err       error
	accepted  int
	givenBack int
}

func (d *silentDelivery) Data() []byte           { return d.start }
func (d *silentDelivery) Accept() error          { d.accepted++; return d.err }
func (d *silentDelivery) GiveBack(time.Duration) { d.givenBack++ }
func (d *silentDelivery) Discard()               {}

// A worker asks for a start at once and once, however often it is delivered and whether or
// not the broker hears that it was accepted. One of which the broker was not told is given up.
func TestAsksWithoutTheBrokersWord(t *testing.T) {
	w, said := silentWorker(t)
	l := &localExecutor{slots: 4, pullers: map[string]*puller{}}
	p := &puller{executor: l, laneName: "any_quick", taskType: "quick"}
	token := queuetest.BenchToken(1)
	start, _, _ := wire.AppendStart(nil, wire.ActionExecute, &sdk.Task{ID: "t", Type: "quick", Token: token}, 1<<20)
	d := &silentDelivery{start: start}
	w.handleDelivery(p, d)
	w.handleDelivery(p, d)
	if d.accepted != 2 || len(w.runs) != 1 || l.used != 1 {
		t.Errorf("it was accepted %d times and is %d attempts in %d slots", d.accepted, len(w.runs), l.used)
	}
	other, _, _ := wire.AppendStart(nil, wire.ActionExecute, &sdk.Task{ID: "u", Type: "quick", Token: queuetest.BenchToken(2)}, 1<<20)
	w.handleDelivery(p, &silentDelivery{start: other, err: errors.New("the broker is away")})
	if len(w.runs) != 1 || l.used != 1 {
		t.Errorf("with one that the broker was not told of there are %d attempts in %d slots", len(w.runs), l.used)
	}
	if asked := said()[wire.KindAsk]; len(asked) != 2 || asked[0] != token {
		t.Errorf("the host was asked for %v", asked)
	}
}

// silentWorker is a worker without a broker. Said is what it told the host, by kind.
func silentWorker(t *testing.T) (w *Worker, said func() map[wire.ItemKind][]sdk.Token) {
	t.Helper()
	all := make(map[wire.ItemKind][]sdk.Token)
	w = &Worker{log: hclog.NewNullLogger(), runs: map[sdk.Token]*run{}, pullWanted: make(chan struct{}, 1), runRemoved: make(chan struct{}, 1),
		outbox: wire.NewOutbox(func(_ wire.Peer, data []byte) {
			if _, err := wire.DecodeBatch(data, func(it wire.Item) { all[it.Kind] = append(all[it.Kind], it.Token) }); err != nil {
				t.Error(err)
			}
		}, func() int { return 1 << 20 })}
	return w, func() map[wire.ItemKind][]sdk.Token {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		w.outbox.Run(ctx) // sends what waits, and ends
		return all
	}
}

// Of a message that has more starts than there are slots those that find one are asked for, and
// the others given back to the host; a message of which none does goes back to the broker.
func TestMessageOfMoreThanTheSlots(t *testing.T) {
	w, said := silentWorker(t)
	l := &localExecutor{slots: 2, pullers: map[string]*puller{}}
	p := &puller{executor: l, laneName: "any_quick", taskType: "quick", requested: 3}
	var starts [][]byte
	for i := range 6 {
		start, _, _ := wire.AppendStart(nil, wire.ActionExecute, &sdk.Task{ID: "t", Type: "quick", Token: queuetest.BenchToken(uint64(i))}, 1<<20)
		starts = append(starts, start)
	}
	other, _, _ := wire.AppendStart(nil, wire.ActionExecute, &sdk.Task{ID: "t", Type: "other", Token: queuetest.BenchToken(9)}, 1<<20)
	starts[0] = other // which makes no sense here
	first := &silentDelivery{start: wire.JoinStarts(starts[:4])}
	w.handleDelivery(p, first)
	second := &silentDelivery{start: wire.JoinStarts(starts[4:])}
	w.handleDelivery(p, second)
	if first.accepted != 1 || first.givenBack != 0 || second.accepted != 0 || second.givenBack != 1 || l.used != 2 || p.requested != 1 {
		t.Errorf("%+v and %+v, with %d slots used and %d asked for", first, second, l.used, p.requested)
	}
	got := said()
	if !slices.Equal(got[wire.KindAsk], []sdk.Token{queuetest.BenchToken(1), queuetest.BenchToken(2)}) || !slices.Equal(got[wire.KindHandback], []sdk.Token{queuetest.BenchToken(3)}) {
		t.Errorf("the host was told %v", got)
	}
}

// A worker asks for as many messages as fill its slots, by what they had of late.
func TestPullsByWhatMessagesHold(t *testing.T) {
	l := &localExecutor{slots: 800, pullers: map[string]*puller{}}
	p := &puller{executor: l, laneName: "any_quick"}
	l.pullers[p.laneName] = p
	if n := l.pullCount(p); n != 800/wire.MaxStarts {
		t.Errorf("%d messages are asked for before any came", n)
	}
	for range 50 {
		p.noteMessage(1)
	}
	if n := l.pullCount(p); n < 400 {
		t.Errorf("%d messages are asked for where each has one start", n)
	}
}
