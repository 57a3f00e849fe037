package wire

import (
	"bytes"
	"context"
	"testing"

	"github.com/taskhost/taskhost/sdk"
)

// A batch holds no more than the broker carries, whatever its items are large by; an item that
// alone takes more goes alone.
func TestBatchesAreBounded(t *testing.T) {
	large := bytes.Repeat([]byte{'x'}, 1000)
	items := []Item{
		{Kind: KindFinished, Outcome: sdk.Outcome{Kind: sdk.OutcomeSucceeded, Result: sdk.Result{Data: large}}},
		{Kind: KindFinished, Outcome: sdk.Outcome{Kind: sdk.OutcomeYielded, Yield: &sdk.Yield{Checkpoint: large}}},
		{Kind: KindFinished, Outcome: sdk.Outcome{Kind: sdk.OutcomeFailed, Message: string(large)}},
		{Kind: KindLog, Text: "line", Args: []string{"key", string(large)}},
		{Kind: KindCheckpoint, Data: large},
		{Kind: KindAsk},
	}
	for _, limit := range []int{500, 3000, 1 << 20} {
		batches, got := 0, 0
		o := NewOutbox(func(_ Peer, data []byte) {
			batches++
			n := 0
			if bad, err := DecodeBatch(data, func(Item) { n++ }); bad > 0 || err != nil {
				t.Errorf("%d items cannot be read, %v", bad, err)
			}
			if got += n; len(data) > min(limit, batchSize) && n > 1 {
				t.Errorf("%d items took %d bytes, and the broker carries %d", n, len(data), limit)
			}
		}, func() int { return limit })
		const each = 200
		size := 0
		for i := range each * len(items) {
			it := items[i%len(items)]
			it.Token[0] = 1
			size += len(AppendItem(nil, &it))
			o.Add(Peer{}, &it)
		}
		if waiting := o.WaitingBytes(Peer{}); waiting < size || waiting > size+size/10 {
			t.Errorf("%d bytes wait, and %d are said to", size, waiting)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		o.Run(ctx)
		if most := 2*size/min(limit, batchSize) + 1; got != each*len(items) || limit > 1500 && batches > most {
			t.Errorf("%d items in %d batches", got, batches)
		}
	}
}
