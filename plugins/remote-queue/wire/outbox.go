package wire

import (
	"context"
	"runtime"
	"sync"
	"sync/atomic"
)

// batchSize is when a batch is full, unless the broker carries less.
const batchSize = 128 << 10

// Outbox sends items in batches of what is waiting: the more there is, the fewer
// messages carry it, and nothing waits for company.
type Outbox struct {
	publish func(to Peer, data []byte)
	limit   func() int

	sendMu sync.Mutex // keeps batches in order

	mu           sync.Mutex
	waiting      map[Peer]*peerBatches
	wakeUpSent   bool // Run was woken for what is waiting
	spareBuffers [][]byte
	wakeUp       chan struct{}
	// ItemCount is how many items were added.
	ItemCount atomic.Int64
}

type peerBatches struct {
	filling   []byte   // the batch that is being filled
	full      [][]byte // those before it
	fullBytes int
}

// NewOutbox makes an outbox that sends by publish, which must not keep the data. Limit is what a
// message of the broker holds; an item that takes more goes alone. Both are called by several
// goroutines at once. Nothing is sent before Run.
func NewOutbox(publish func(to Peer, data []byte), limit func() int) *Outbox {
	return &Outbox{publish: publish, limit: limit, waiting: make(map[Peer]*peerBatches), wakeUp: make(chan struct{}, 1)}
}

// Add queues an item. It never blocks.
func (o *Outbox) Add(to Peer, it *Item) {
	o.mu.Lock()
	b := o.waiting[to]
	if b == nil {
		b = &peerBatches{}
		o.waiting[to] = b
	}
	if len(b.filling) == 0 {
		b.filling = append(o.takeBuffer(), FormatVersion)
	}
	before := len(b.filling)
	b.filling = AppendItem(b.filling, it)
	if before > 1 && len(b.filling) > min(batchSize, o.limit()) { // the batch is full without it
		next := append(append(o.takeBuffer(), FormatVersion), b.filling[before:]...)
		b.full = append(b.full, b.filling[:before])
		b.fullBytes += before
		b.filling = next
	}
	first := !o.wakeUpSent
	o.wakeUpSent = true
	o.mu.Unlock()
	o.ItemCount.Add(1)
	if first {
		Wake(o.wakeUp)
	}
}

// takeBuffer is one that was sent, or a new one. o.mu is held.
func (o *Outbox) takeBuffer() []byte {
	if n := len(o.spareBuffers); n > 0 {
		b := o.spareBuffers[n-1]
		o.spareBuffers = o.spareBuffers[:n-1]
		return b[:0]
	}
	return make([]byte, 0, 4<<10)
}

// WaitingBytes is how many bytes wait for one.
func (o *Outbox) WaitingBytes(to Peer) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	b := o.waiting[to]
	if b == nil {
		return 0
	}
	return b.fullBytes + len(b.filling)
}

// flush sends what is waiting.
func (o *Outbox) flush() {
	o.sendMu.Lock()
	defer o.sendMu.Unlock()
	o.mu.Lock()
	boxes := o.waiting
	o.waiting = make(map[Peer]*peerBatches, len(boxes))
	o.wakeUpSent = false
	o.mu.Unlock()
	for to, b := range boxes {
		for _, data := range b.full {
			o.publish(to, data)
		}
		o.publish(to, b.filling)
		if cap(b.filling) <= batchSize {
			o.mu.Lock()
			if len(o.spareBuffers) < 16 { // the connection copied it
				o.spareBuffers = append(o.spareBuffers, b.filling)
			}
			o.mu.Unlock()
		}
	}
}

// Run sends until ctx ends.
func (o *Outbox) Run(ctx context.Context) {
	for {
		select {
		case <-o.wakeUp:
			// Whoever else has something to say now says it in the same batch.
			runtime.Gosched()
			o.flush()
		case <-ctx.Done():
			o.flush()
			return
		}
	}
}

// Wake signals a channel that holds one signal; more than one at a time is one.
func Wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
