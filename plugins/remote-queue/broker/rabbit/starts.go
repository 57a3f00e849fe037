package rabbitbroker

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/rabbitmq/amqp091-go"

	"github.com/taskhost/taskhost/plugins/remote-queue/amqp"
	"github.com/taskhost/taskhost/plugins/remote-queue/broker"
	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
)

// laneExpiry is after what time the broker removes a lane from which nobody takes anything:
// it may be one of an earlier host's that this one does not know.
const laneExpiry = 24 * time.Hour

// meaningError is an error of the broker's with what it means to the halves. Its text is the
// broker's.
type meaningError struct {
	error
	is error
}

func (m meaningError) Is(target error) bool { return target == m.is }

func (m meaningError) Unwrap() error { return m.error }

// withMeaning says what an error of the broker means to the halves.
func withMeaning(err error) error {
	switch {
	case err == nil:
		return nil
	case amqp.NotFound(err), errors.Is(err, amqp.ErrUnroutable), errors.Is(err, amqp.ErrNoConfirm):
		return meaningError{err, broker.ErrStoreMissing}
	case amqp.Refused(err), errors.Is(err, amqp.ErrNotTaken):
		return meaningError{err, broker.ErrRefused}
	}
	return err
}

// ask runs f on a channel of its own, if the broker is there.
func (h *Host) ask(ctx context.Context, f func(*amqp091.Channel) error) error {
	if err := h.conn.Ready(); err != nil {
		return err
	}
	return withMeaning(h.conn.Do(ctx, f))
}

// SetUp makes the exchange of starts, or finds it; purge empties the lanes. Created tells one
// life of it from the next, as far as this process knows: whatever may have been lost makes a
// new one, and what is published again comes twice at the worst.
func (h *Host) SetUp(ctx context.Context, purge bool) (created time.Time, err error) {
	err = h.ask(ctx, func(ch *amqp091.Channel) error {
		return ch.ExchangeDeclare(h.names.starts(), "direct", true, false, false, false, nil)
	})
	if err != nil {
		return time.Time{}, fmt.Errorf("exchange %s: %w", h.names.starts(), err)
	}
	h.mu.Lock()
	if h.created.IsZero() {
		h.created = time.Now()
	}
	created = h.created
	known := slices.Collect(maps.Keys(h.lanes))
	h.mu.Unlock()
	if !purge {
		return created, nil
	}
	for _, lane := range known { // any other is emptied when it is made
		if err := h.ask(ctx, func(ch *amqp091.Channel) error { return purgeLane(ch, h.names.lane(lane)) }); err != nil {
			return time.Time{}, err
		}
	}
	return created, nil
}

// purgeLane empties a lane, which may be gone.
func purgeLane(ch *amqp091.Channel, queue string) error {
	if _, err := ch.QueuePurge(queue, false); err != nil && !amqp.NotFound(err) {
		return fmt.Errorf("purge %s: %w", queue, err)
	}
	return nil
}

// Created is when the store of starts was made. Since it is asked now and then, it also sees to
// it that workers are heard.
func (h *Host) Created(ctx context.Context) (time.Time, error) {
	if err := h.bindAnew(ctx); err != nil {
		return time.Time{}, err
	}
	err := h.ask(ctx, func(ch *amqp091.Channel) error {
		return ch.ExchangeDeclarePassive(h.names.starts(), "direct", true, false, false, false, nil)
	})
	if err != nil {
		return time.Time{}, h.noteLost(err)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.created, nil
}

// bindAnew binds the queue in which workers are heard.
func (h *Host) bindAnew(ctx context.Context) error {
	h.mu.Lock()
	queue := h.hears
	h.mu.Unlock()
	return bindAnew(ctx, h.conn, func(ch *amqp091.Channel) error { return h.bind(ch, queue) })
}

// noteLost notes that the store of starts may have lost something, if err says so, and
// returns err.
func (h *Host) noteLost(err error) error {
	if errors.Is(err, broker.ErrStoreMissing) {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.created = time.Time{}
	}
	return err
}

// MakeLane makes the queue of a lane, or finds it. One that this process did not make before
// may be an earlier host's, and is emptied.
func (h *Host) MakeLane(ctx context.Context, l wire.Lane) error {
	h.mu.Lock()
	_, known := h.lanes[l.Name()]
	h.mu.Unlock()
	queue := h.names.lane(l.Name())
	err := h.ask(ctx, func(ch *amqp091.Channel) error { return h.declareLane(ch, queue, l.Name(), !known) })
	if amqp.Refused(err) { // made with other settings: what it holds is published again
		h.connection.Log.Warn("a lane was made with other settings, and is made anew", "queue", queue, "error", err)
		err = h.ask(ctx, func(ch *amqp091.Channel) error {
			if _, err := ch.QueueDelete(queue, false, false, false); err != nil {
				return err
			}
			return h.declareLane(ch, queue, l.Name(), false)
		})
	}
	if err != nil {
		return h.noteLost(fmt.Errorf("queue %s: %w", queue, err))
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.lanes[l.Name()] == nil {
		h.lanes[l.Name()] = &laneState{}
	}
	return nil
}

func (h *Host) declareLane(ch *amqp091.Channel, queue, lane string, purge bool) error {
	c := h.connection.Config
	args := amqp091.Table{"x-queue-type": "quorum", "x-overflow": "reject-publish", "x-quorum-initial-group-size": c.Replicas,
		"x-expires": laneExpiry.Milliseconds()}
	if c.MaxBytes > 0 {
		args["x-max-length-bytes"] = c.MaxBytes
	}
	if err := ch.ExchangeDeclarePassive(h.names.starts(), "direct", true, false, false, false, nil); err != nil {
		return err
	}
	if _, err := ch.QueueDeclare(queue, true, false, false, false, args); err != nil {
		return err
	}
	if err := ch.QueueBind(queue, lane, h.names.starts(), false, nil); err != nil {
		return err
	}
	if purge {
		return purgeLane(ch, queue)
	}
	return nil
}

// DeleteLane takes away the queue of a lane; it may be gone already.
func (h *Host) DeleteLane(ctx context.Context, l wire.Lane) error {
	h.mu.Lock()
	delete(h.lanes, l.Name())
	h.mu.Unlock()
	return h.ask(ctx, func(ch *amqp091.Channel) error {
		_, err := ch.QueueDelete(h.names.lane(l.Name()), false, false, false)
		if amqp.NotFound(err) {
			return nil
		}
		return err
	})
}

// Publish hands out a start. Published or PublishFailed follows, unless it returns an error.
// A start that is published twice is delivered twice.
func (h *Host) Publish(l wire.Lane, start []byte) error {
	if err := h.conn.Ready(); err != nil {
		return err
	}
	p, err := h.openPublisher()
	if err != nil {
		return err
	}
	m := amqp091.Publishing{Body: start, DeliveryMode: amqp091.Persistent}
	return h.noteLost(withMeaning(p.Publish(h.names.starts(), l.Name(), m, func(err error) { h.published(l, start, err) })))
}

// openPublisher is the publisher of this connection: another one where the broker closed the
// last for what it did not find.
func (h *Host) openPublisher() (*amqp.Publisher, error) {
	h.mu.Lock()
	p := h.publisher
	h.mu.Unlock()
	if !p.Closed() {
		return p, nil
	}
	p, err := h.conn.Publisher()
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.publisher = p
	return p, nil
}

// published is told what became of a start.
func (h *Host) published(l wire.Lane, start []byte, err error) {
	token := wire.StartToken(start)
	if errors.Is(err, amqp.ErrNoConfirm) && h.conn.Ready() != nil {
		err = amqp.ErrClosed // an alarm was raised on the way: the queue is not at fault
	}
	if errors.Is(err, amqp.ErrNoConfirm) {
		h.dropStuckLane(l)
	}
	if err != nil {
		h.events.PublishFailed(token, h.noteLost(withMeaning(err)))
		return
	}
	h.mu.Lock()
	lane := h.lanes[l.Name()]
	if lane == nil {
		lane = &laneState{}
		h.lanes[l.Name()] = lane
	}
	lane.confirmed++
	position := lane.confirmed
	h.mu.Unlock()
	h.events.Published(token, position)
}

// dropStuckLane removes a queue that answers nothing: one that was made seconds before its
// broker was killed can come back without a leader, and stays so. What it holds is published
// again. A queue that merely has no majority cannot be removed.
func (h *Host) dropStuckLane(l wire.Lane) {
	h.mu.Lock()
	known := h.lanes[l.Name()] != nil
	delete(h.lanes, l.Name()) // once, however many starts it leaves unanswered
	h.mu.Unlock()
	if !known {
		return
	}
	h.connection.Log.Warn("a lane takes nothing: it is made anew", "queue", h.names.lane(l.Name()))
	ctx, cancel := context.WithTimeout(context.Background(), requestTimeout)
	defer cancel()
	if err := h.DeleteLane(ctx, l); err != nil {
		h.connection.Log.Warn("a lane cannot be removed", "queue", h.names.lane(l.Name()), "error", err)
	}
}

// Withdraw leaves a start where it is: a queue gives out its messages in their order only.
// The worker that gets it is refused when it asks.
func (h *Host) Withdraw(uint64) error { return nil }

// Missing are those of the starts of a lane that the broker does not have any more.
// ErrLaneMissing means that the lane itself is gone. What waits in the queue is the latest
// that was published to it: a start that was given back to the broker, and so stands before
// those, is taken for one that is gone, and comes twice.
func (h *Host) Missing(ctx context.Context, l wire.Lane, starts []broker.PlacedStart) (missing []broker.PlacedStart, err error) {
	var waiting int
	err = h.ask(ctx, func(ch *amqp091.Channel) error {
		q, err := ch.QueueDeclarePassive(h.names.lane(l.Name()), true, false, false, false, nil)
		waiting = q.Messages
		return err
	})
	if amqp.NotFound(err) {
		return nil, broker.ErrLaneMissing
	}
	if err != nil {
		return nil, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	lane := h.lanes[l.Name()]
	for _, s := range starts {
		if lane == nil || s.Position+uint64(waiting) <= lane.confirmed {
			missing = append(missing, s)
		}
	}
	return missing, nil
}
