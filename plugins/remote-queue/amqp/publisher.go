package amqp

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rabbitmq/amqp091-go"
)

// What can become of a message that is published, other than that the broker has it.
var (
	// ErrUnroutable means that there is no queue for a message: it was dropped.
	ErrUnroutable = errors.New("the broker has no queue for the message")
	// ErrNotTaken means that the broker refused a message for now: its queue is full.
	ErrNotTaken = errors.New("the broker does not take the message: its queue is full")
	// ErrNoConfirm means that the broker did not say in time whether it has a message.
	ErrNoConfirm = errors.New("the broker does not confirm the message")
)

// confirmTimeout is how long the broker may take to confirm a message.
const confirmTimeout = 10 * time.Second

// Publisher publishes on a channel of its own, with the broker's confirmation. It lives as
// long as the connection that it was made on: make another in Options.Setup. Several
// goroutines may publish at once.
type Publisher struct {
	channel *amqp091.Channel
	last    atomic.Uint64
	// settled is received from between two messages that came back: whoever sends to it
	// knows that returned holds all of which the broker has told so far.
	settled chan struct{}
	// ended is closed when the channel is, and reason is why then.
	ended  chan struct{}
	reason error

	mu       sync.Mutex
	returned map[string]struct{} // by message id: those that no queue took
}

// NewPublisher opens a channel for publishing.
func NewPublisher(conn *amqp091.Connection) (*Publisher, error) {
	ch, err := conn.Channel()
	if err != nil {
		return nil, fmt.Errorf("open a channel: %w", err)
	}
	if err := ch.Confirm(false); err != nil {
		return nil, fmt.Errorf("have messages confirmed: %w", err)
	}
	p := &Publisher{channel: ch, settled: make(chan struct{}), ended: make(chan struct{}), returned: make(map[string]struct{})}
	go p.listen(ch.NotifyReturn(make(chan amqp091.Return)), ch.NotifyClose(make(chan *amqp091.Error, 1)))
	return p, nil
}

// Channel is what it publishes on, for Connection.Require.
func (p *Publisher) Channel() *amqp091.Channel { return p.channel }

// listen notes what comes back, until the channel ends.
func (p *Publisher) listen(returns <-chan amqp091.Return, closed <-chan *amqp091.Error) {
	for returns != nil {
		select {
		case r, ok := <-returns:
			if !ok {
				returns = nil
				continue
			}
			p.mu.Lock()
			p.returned[r.MessageId] = struct{}{}
			p.mu.Unlock()
		case <-p.settled:
		}
	}
	p.reason = ErrClosed
	if reason := <-closed; reason != nil {
		p.reason = reason
	}
	close(p.ended)
}

// Publish sends a message to an exchange, which must have a queue for it. Done is called
// once, unless Publish returns an error: with nil when the broker has the message as durably
// as its queue keeps it, else with what became of it, one of the errors of this package or
// why the channel was closed. It comes from a goroutine of its own. The message's id is the
// publisher's to use.
func (p *Publisher) Publish(exchange, key string, m amqp091.Publishing, done func(error)) error {
	m.MessageId = strconv.FormatUint(p.last.Add(1), 10)
	confirmation, err := p.channel.PublishWithDeferredConfirm(exchange, key, true, false, m)
	if err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	go p.await(m.MessageId, confirmation, done)
	return nil
}

// Closed says that nothing can be published any more: the connection is gone, or the broker
// refused something, like an exchange that is not there.
func (p *Publisher) Closed() bool { return p.channel.IsClosed() }

// await waits for what becomes of a message. The broker returns one before it confirms it.
func (p *Publisher) await(id string, confirmation *amqp091.DeferredConfirmation, done func(error)) {
	late := time.NewTimer(confirmTimeout)
	defer late.Stop()
	select {
	case <-confirmation.Done():
	case <-late.C:
		done(ErrNoConfirm)
		return
	}
	select {
	case p.settled <- struct{}{}:
	case <-p.ended:
	}
	p.mu.Lock()
	_, returned := p.returned[id]
	delete(p.returned, id)
	p.mu.Unlock()
	switch {
	case returned:
		done(ErrUnroutable)
	case confirmation.Acked():
		done(nil)
	case p.channel.IsClosed():
		<-p.ended
		done(fmt.Errorf("publish: %w", p.reason))
	default:
		done(ErrNotTaken)
	}
}
