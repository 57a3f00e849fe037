package sdk

import (
	"runtime"
	"sync"
	"time"
)

// Bounds of the protocol. docs/protocol.md names them for authors in other languages.
const (
	frameMessages  = 64        // messages in a frame, at the most
	frameBytes     = 1 << 20   // a frame is closed when its payloads reach this
	inlineBytes    = 256 << 10 // larger payloads travel in chunks of this size
	maxMessage     = 16 << 20  // of one gRPC message, both ways
	maxPayload     = 64 << 20  // of one payload, however it travels
	maxAssembling  = 256 << 20 // of all payloads that are being put together
	maxParts       = 4         // payloads of one attempt that are being put together
	maxReports     = 4         // unanswered Started, Checkpoints and Spawns of one attempt
	maxHandle      = 64 << 10
	maxText        = 64 << 10  // of a message or a detail of an outcome
	maxName        = 256       // of a code, a content type, a name, a version
	maxDetails     = 64        // of one outcome
	maxDetailBytes = 256 << 10 // of all its details
	maxLogArgs     = 64        // keys and values of one line
	maxInfoBytes   = 4 << 20   // of a description
	maxInfoTypes   = 1_000
	maxInfoNodes   = 10_000
	maxUnknown     = 100_000 // tokens a plugin may name that its host does not know
	maxAnswers     = 100_000 // host messages that wait because a plugin does not read
	heartbeatEvery = time.Second
)

// outbox is what waits for a stream to be free. One goroutine takes from it all
// there is and sends it in frames, so that batching costs no delay: what comes
// while a frame is being sent goes with the next one. It has no bound of its own;
// the host's slots bound how many attempts can have something to say.
type outbox[M any] struct {
	mu     sync.Mutex
	items  []queuedMessage[M]
	queued uint64 // messages put so far
	sent   uint64 // messages handed to the stream so far
	closed bool
	wake   chan struct{}
}

type queuedMessage[M any] struct {
	msg   M
	bytes int
}

func newOutbox[M any]() *outbox[M] {
	return &outbox[M]{wake: make(chan struct{}, 1)}
}

// put queues m, whose payloads have this many bytes, and gives its number on the
// stream, counting from 1; 0 if the outbox is closed and m surely not sent.
func (b *outbox[M]) put(m M, bytes int) uint64 {
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return 0
	}
	b.items = append(b.items, queuedMessage[M]{m, bytes})
	b.queued++
	n, first := b.queued, len(b.items) == 1
	b.mu.Unlock()
	if first {
		select {
		case b.wake <- struct{}{}:
		default:
		}
	}
	return n
}

// waiting is how many messages have not gone out.
func (b *outbox[M]) waiting() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.queued - b.sent
}

// hasSent says whether the message of this number was handed to the stream.
func (b *outbox[M]) hasSent(number uint64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.sent >= number
}

// close refuses what comes from now on and says how many messages went out, or
// were about to.
func (b *outbox[M]) close() uint64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.closed = true
	b.items = nil
	return b.sent
}

// drain sends what is put, frame by frame, until done is closed or send fails.
func (b *outbox[M]) drain(done <-chan struct{}, send func([]M) error) error {
	var taken, spare []queuedMessage[M]
	for {
		b.mu.Lock()
		taken, b.items = b.items, spare[:0]
		b.mu.Unlock()
		if len(taken) == 0 {
			spare = taken
			select {
			case <-b.wake:
				// Whoever else has something to say now says it in the same frame.
				runtime.Gosched()
				continue
			case <-done:
				return nil
			}
		}
		for rest := taken; len(rest) > 0; {
			frame, n := nextFrame(rest)
			b.mu.Lock()
			closed := b.closed
			if !closed {
				b.sent += uint64(n)
			}
			b.mu.Unlock()
			if closed {
				return nil
			}
			if err := send(frame); err != nil {
				return err
			}
			rest = rest[n:]
		}
		clear(taken) // or the payloads would live as long as the slice
		spare = taken
		if cap(spare) > 1<<16 {
			spare = nil
		}
	}
}

// nextFrame takes from items what goes into one frame: one message at least.
func nextFrame[M any](items []queuedMessage[M]) (frame []M, n int) {
	bytes := 0
	for n < len(items) && n < frameMessages && (n == 0 || bytes+items[n].bytes <= frameBytes) {
		bytes += items[n].bytes
		n++
	}
	frame = make([]M, n)
	for i := range frame {
		frame[i] = items[i].msg
	}
	return frame, n
}
