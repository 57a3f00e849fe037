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

	sending sync.Mutex // keeps batches in order

	mu             sync.Mutex
	boxes          map[peer]*box
	woken          bool // the kick for what is waiting was given
	spare          [][]byte
	kick           chan struct{}
	items, batches atomic.Int64
}

type box struct {
	open []byte   // the batch that is being filled
	full [][]byte // those before it
}

func newOutbox(publish func(to peer, data []byte)) *outbox {
	return &outbox{publish: publish, boxes: make(map[peer]*box), kick: make(chan struct{}, 1)}
}

// add queues an item. It never blocks.
func (o *outbox) add(to peer, it *item) {
	o.mu.Lock()
	b := o.boxes[to]
	if b == nil {
		b = &box{}
		o.boxes[to] = b
	}
	large := len(it.data) + len(it.outcome.Result.Data)
	if len(b.open) > 1 && len(b.open)+large > batchSize {
		b.full, b.open = append(b.full, b.open), nil
	}
	if len(b.open) == 0 {
		b.open = append(o.buffer(), formatVersion)
	}
	b.open = appendItem(b.open, it)
	first := !o.woken
	o.woken = true
	o.mu.Unlock()
	o.items.Add(1)
	if first {
		signal(o.kick)
	}
}

// buffer is one that was sent, or a new one. o.mu is held.
func (o *outbox) buffer() []byte {
	if n := len(o.spare); n > 0 {
		b := o.spare[n-1]
		o.spare = o.spare[:n-1]
		return b[:0]
	}
	return make([]byte, 0, 4<<10)
}

// backlog is how many bytes wait for one.
func (o *outbox) backlog(to peer) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	b := o.boxes[to]
	if b == nil {
		return 0
	}
	return len(b.full)*batchSize + len(b.open)
}

// flush sends what is waiting.
func (o *outbox) flush() {
	o.sending.Lock()
	defer o.sending.Unlock()
	o.mu.Lock()
	boxes := o.boxes
	o.boxes = make(map[peer]*box, len(boxes))
	o.woken = false
	o.mu.Unlock()
	for to, b := range boxes {
		for _, data := range b.full {
			o.publish(to, data)
		}
		o.publish(to, b.open)
		o.batches.Add(int64(len(b.full)) + 1)
		if cap(b.open) <= batchSize {
			o.mu.Lock()
			if len(o.spare) < 16 { // the connection copied it
				o.spare = append(o.spare, b.open)
			}
			o.mu.Unlock()
		}
	}
}

// run sends until ctx ends.
func (o *outbox) run(ctx context.Context) {
	for {
		select {
		case <-o.kick:
			o.flush()
		case <-ctx.Done():
			o.flush()
			return
		}
	}
}
