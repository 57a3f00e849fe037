package remotequeue

import (
	"context"
	"sync"
	"sync/atomic"
)

// batchSize is when a batch is full: far below what any broker carries, so that one
// large item still fits behind the small ones before it.
const batchSize = 128 << 10

// outbox sends items in batches of what is waiting: the more there is, the fewer
// messages carry it, and nothing waits for company.
type outbox struct {
	publish func(to peer, data []byte)

	sendMu sync.Mutex // keeps batches in order

	mu                    sync.Mutex
	waiting               map[peer]*peerBatches
	wakeUpSent            bool // the kick for what is waiting was given
	spareBuffers          [][]byte
	wakeUp                chan struct{}
	itemCount, batchCount atomic.Int64
}

type peerBatches struct {
	filling []byte   // the batch that is being filled
	full    [][]byte // those before it
}

func newOutbox(publish func(to peer, data []byte)) *outbox {
	return &outbox{publish: publish, waiting: make(map[peer]*peerBatches), wakeUp: make(chan struct{}, 1)}
}

// add queues an item. It never blocks.
func (o *outbox) add(to peer, it *item) {
	o.mu.Lock()
	b := o.waiting[to]
	if b == nil {
		b = &peerBatches{}
		o.waiting[to] = b
	}
	large := len(it.data) + len(it.outcome.Result.Data)
	if len(b.filling) > 1 && len(b.filling)+large > batchSize {
		b.full, b.filling = append(b.full, b.filling), nil
	}
	if len(b.filling) == 0 {
		b.filling = append(o.takeBuffer(), formatVersion)
	}
	b.filling = appendItem(b.filling, it)
	first := !o.wakeUpSent
	o.wakeUpSent = true
	o.mu.Unlock()
	o.itemCount.Add(1)
	if first {
		wake(o.wakeUp)
	}
}

// takeBuffer is one that was sent, or a new one. o.mu is held.
func (o *outbox) takeBuffer() []byte {
	if n := len(o.spareBuffers); n > 0 {
		b := o.spareBuffers[n-1]
		o.spareBuffers = o.spareBuffers[:n-1]
		return b[:0]
	}
	return make([]byte, 0, 4<<10)
}

// waitingBytes is how many bytes wait for one.
func (o *outbox) waitingBytes(to peer) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	b := o.waiting[to]
	if b == nil {
		return 0
	}
	return len(b.full)*batchSize + len(b.filling)
}

// flush sends what is waiting.
func (o *outbox) flush() {
	o.sendMu.Lock()
	defer o.sendMu.Unlock()
	o.mu.Lock()
	boxes := o.waiting
	o.waiting = make(map[peer]*peerBatches, len(boxes))
	o.wakeUpSent = false
	o.mu.Unlock()
	for to, b := range boxes {
		for _, data := range b.full {
			o.publish(to, data)
		}
		o.publish(to, b.filling)
		o.batchCount.Add(int64(len(b.full)) + 1)
		if cap(b.filling) <= batchSize {
			o.mu.Lock()
			if len(o.spareBuffers) < 16 { // the connection copied it
				o.spareBuffers = append(o.spareBuffers, b.filling)
			}
			o.mu.Unlock()
		}
	}
}

// run sends until ctx ends.
func (o *outbox) run(ctx context.Context) {
	for {
		select {
		case <-o.wakeUp:
			o.flush()
		case <-ctx.Done():
			o.flush()
			return
		}
	}
}

// wake signals a channel that holds one signal; more than one at a time is one.
func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
