package rabbitbroker

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/rabbitmq/amqp091-go"

	"github.com/taskhost/taskhost/plugins/remote-queue/amqp"
	"github.com/taskhost/taskhost/plugins/remote-queue/broker"
)

const (
	// claimSegment and maxClaims bound the stream of a claim in bytes: an entry is some 400
	// bytes, so that the stream keeps at the least the last thousand.
	claimSegment = 512 << 10
	maxClaims    = 1 << 20
)

// WriteClaim replaces the claim of that revision, 0 being none, and returns the new
// revision. ErrClaimChanged means that it is of another revision.
func (h *Host) WriteClaim(ctx context.Context, claim []byte, revision uint64) (uint64, error) {
	e := claimEntry{Previous: revision, Revision: max(revision+1, uint64(time.Now().UnixMicro())), Claim: claim}
	if err := h.claims.append(ctx, e); err != nil {
		return 0, fmt.Errorf("claim the queue: %w", err)
	}
	if h.claims.history.current.Revision != e.Revision {
		return 0, broker.ErrClaimChanged
	}
	return e.Revision, nil
}

// ReadClaim is the claim as it stands; revision 0 means that there is none.
func (h *Host) ReadClaim(ctx context.Context) (claim []byte, revision uint64, err error) {
	if err := h.claims.append(ctx, claimEntry{}); err != nil {
		return nil, 0, fmt.Errorf("read who serves the queue: %w", err)
	}
	c := h.claims.history.current
	return c.Claim, c.Revision, nil
}

// claimLog is the stream in which the claim of a queue is written. RabbitMQ has no record
// that can be compared and replaced in one step, but a stream has one order for all who read
// it: whoever writes an entry reads on until it comes back, and knows by then whether it was
// the first after the one that it replaces. One goroutine uses it.
type claimLog struct {
	name     string
	replicas int
	conn     *amqp.Connection

	channel *amqp091.Channel // nil while it is not open
	entries <-chan amqp091.Delivery
	history claimHistory
}

// append writes an entry, and reads all up to it. One without a revision changes nothing.
func (l *claimLog) append(ctx context.Context, e claimEntry) error {
	err := l.tryAppend(ctx, e)
	if err != nil && l.channel != nil {
		ch := l.channel
		l.channel = nil
		go func() { _ = ch.Close() }() // it may not answer
	}
	return err
}

func (l *claimLog) tryAppend(ctx context.Context, e claimEntry) error {
	if err := l.conn.Ready(); err != nil {
		return err
	}
	if l.channel == nil || l.channel.IsClosed() {
		if err := l.open(ctx); err != nil {
			return fmt.Errorf("stream %s: %w", l.name, err)
		}
	}
	e.ID = rand.Text()
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if err := l.channel.Publish("", l.name, false, false, amqp091.Publishing{Body: data, DeliveryMode: amqp091.Persistent}); err != nil {
		return err
	}
	for {
		select {
		case d, ok := <-l.entries:
			if !ok {
				return errors.New("the stream is gone")
			}
			_ = d.Ack(false) // only so that more is delivered
			var there claimEntry
			if json.Unmarshal(d.Body, &there) != nil {
				continue // another's, who has no business here
			}
			offset, _ := d.Headers["x-stream-offset"].(int64)
			l.history.add(offset, there)
			if there.ID == e.ID {
				return nil
			}
		case <-ctx.Done():
			// Made less than a second before its broker was killed, it can come back without a
			// leader, and stays so. That is for an operator to decide: another may see its owner.
			return fmt.Errorf("stream %s does not answer (if that lasts, and all of RabbitMQ's nodes are there, delete it): %w", l.name, context.Cause(ctx))
		}
	}
}

// open makes the stream where it is not there, and reads it from its beginning.
func (l *claimLog) open(ctx context.Context) error {
	args := amqp091.Table{"x-queue-type": "stream", "x-max-length-bytes": maxClaims, "x-stream-max-segment-size-bytes": claimSegment,
		"x-initial-cluster-size": l.replicas}
	err := l.conn.Do(ctx, func(ch *amqp091.Channel) error {
		_, err := ch.QueueDeclare(l.name, true, false, false, false, args)
		return err
	})
	if err != nil && !amqp.Refused(err) { // it may be there with other settings
		return err
	}
	opened := make(chan *claimLog, 1)
	failed := make(chan error, 1)
	go func() {
		o, err := l.consume()
		if err != nil {
			failed <- err
			return
		}
		opened <- o
	}()
	select {
	case o := <-opened:
		*l = *o
		return nil
	case err := <-failed:
		return err
	case <-ctx.Done():
		return fmt.Errorf("the broker does not answer: %w", context.Cause(ctx))
	}
}

// consume is the log on a channel of its own.
func (l *claimLog) consume() (*claimLog, error) {
	o := &claimLog{name: l.name, replicas: l.replicas, conn: l.conn}
	var err error
	if o.channel, err = l.conn.Channel(); err != nil {
		return nil, err
	}
	if err := o.channel.Qos(1000, 0, false); err != nil {
		return nil, err
	}
	o.entries, err = o.channel.Consume(l.name, "", false, false, false, false, amqp091.Table{"x-stream-offset": "first"})
	return o, err
}
