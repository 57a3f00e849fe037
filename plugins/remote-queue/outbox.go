package remotequeue

import (
	"context"
	"sync"
)

// batchSize is when a batch is full: far below what any broker carries, so that one
// large item still fits behind the small ones before it.
const batchSize = 128 << 10

// outbox sends items in batches of what is waiting: the more there is, the fewer
// messages carry it, and nothing waits for company.
type outbox struct {
	publish func(subject string, data []byte)

	sending sync.Mutex // keeps batches in order

	mu    sync.Mutex
	boxes map[string]*box
	kick  chan struct{}
}

type box struct {
	open []byte   // the batch that is being filled
	full [][]byte // those before it
}

func newOutbox(publish func(subject string, data []byte)) *outbox {
	return &outbox{publish: publish, boxes: make(map[string]*box), kick: make(chan struct{}, 1)}
}

// add queues an item. It never blocks.
func (o *outbox) add(subject string, it *item) {
	o.mu.Lock()
	b := o.boxes[subject]
	if b == nil {
		b = &box{}
		o.boxes[subject] = b
	}
	large := len(it.data) + len(it.outcome.Result.Data)
	if len(b.open) > 1 && len(b.open)+large > batchSize {
		b.full, b.open = append(b.full, b.open), nil
	}
	if len(b.open) == 0 {
		b.open = append(b.open, formatVersion)
	}
	b.open = appendItem(b.open, it)
	o.mu.Unlock()
	select {
	case o.kick <- struct{}{}:
	default:
	}
}

// backlog is how many bytes wait for a subject.
func (o *outbox) backlog(subject string) int {
	o.mu.Lock()
	defer o.mu.Unlock()
	b := o.boxes[subject]
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
	if len(boxes) == 0 {
		o.mu.Unlock()
		return
	}
	o.boxes = make(map[string]*box, len(boxes))
	o.mu.Unlock()
	for subject, b := range boxes {
		for _, data := range b.full {
			o.publish(subject, data)
		}
		o.publish(subject, b.open)
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
