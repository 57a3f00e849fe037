// Package rabbitbroker fulfils fleet.Broker and worker.Broker on RabbitMQ. Starts wait in a
// quorum queue a lane and are confirmed by the broker; everything else goes through a topic
// exchange into queues that live as long as a connection; the claim of a queue is written to
// a stream, whose order decides who was first.
package rabbitbroker

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rabbitmq/amqp091-go"

	"github.com/taskhost/taskhost/plugins/remote-queue/amqp"
	"github.com/taskhost/taskhost/plugins/remote-queue/broker"
	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
)

const (
	// maxPayload is what one message may hold: enough for a checkpoint of full size with all
	// around it, and less than any broker's own bound.
	maxPayload = 4 << 20
	// maxUnread is how many bytes of workers' messages the broker keeps for a host. Beyond
	// that the oldest are lost, and repeated by whoever needs an answer.
	maxUnread = 128 << 20
	// prefetch is how many of them are on their way to the host at once.
	prefetch = 2048
	// requestTimeout bounds what is asked of the broker without a context.
	requestTimeout = 5 * time.Second
)

// Host is a host's connection to RabbitMQ. Its methods may be called by several goroutines at
// once, except for those of the claim.
type Host struct {
	connection broker.HostConnection
	events     broker.HostEvents
	names      names
	conn       *amqp.Connection
	claims     claimLog
	// inbox is what was said to this host and is not handled yet; closed says that nobody
	// handles it any more.
	inbox  chan amqp091.Delivery
	closed chan struct{}
	loop   sync.WaitGroup

	seen atomic.Bool // the broker was there

	mu        sync.Mutex
	hears     string // the queue of this connection in which workers are heard
	talk      *amqp091.Channel
	publisher *amqp.Publisher
	// created tells one life of the store of starts from the next; zero if it may be gone.
	created time.Time
	// lanes are those that this process has made and, when it did, emptied.
	lanes map[string]*laneState
}

// laneState is what is known of the queue of a lane.
type laneState struct {
	// confirmed is how many starts the broker has taken for it: the position of the latest.
	confirmed uint64
}

// ConnectHost connects a host's half. The broker need not be there yet, and is tried until
// Close.
func ConnectHost(c broker.HostConnection, events broker.HostEvents) (*Host, error) {
	h := &Host{connection: c, events: events, names: names{c.Config.Queue}, lanes: make(map[string]*laneState),
		inbox: make(chan amqp091.Delivery, prefetch), closed: make(chan struct{})}
	h.claims = claimLog{name: h.names.claims(), replicas: c.Config.Replicas}
	var err error
	h.conn, err = amqp.New(amqp.Options{URLs: c.Config.URL, Name: "taskhost " + c.Executor, Credentials: c.Config.Credentials, Log: c.Log,
		Setup: h.setUpConnection, Up: events.Connected, Down: events.Disconnected})
	if err != nil {
		return nil, err
	}
	h.claims.conn = h.conn
	h.loop.Go(h.handleInbox)
	h.conn.Start()
	return h, nil
}

// setUpConnection makes what lives as long as a connection: where workers are heard, and
// the channels to speak on.
func (h *Host) setUpConnection(conn *amqp091.Connection) error {
	in, err := conn.Channel()
	if err != nil {
		return fmt.Errorf("open a channel: %w", err)
	}
	if err := in.ExchangeDeclare(h.names.talk(), "topic", true, false, false, false, nil); err != nil {
		return fmt.Errorf("exchange %s: %w", h.names.talk(), err)
	}
	queue := h.names.host() + h.connection.Process + "." + rand.Text()
	if err := hearOn(in, queue); err != nil {
		return err
	}
	if err := h.bind(in, queue); err != nil {
		return err
	}
	deliveries, err := in.Consume(queue, "", false, true, false, false, nil)
	if err != nil {
		return fmt.Errorf("consume %s: %w", queue, err)
	}
	talk, err := conn.Channel()
	if err != nil {
		return fmt.Errorf("open a channel: %w", err)
	}
	publisher, err := amqp.NewPublisher(conn)
	if err != nil {
		return err
	}
	h.conn.Require(conn, in)
	h.conn.Require(conn, talk)
	go func() {
		for d := range deliveries {
			select {
			case h.inbox <- d:
			case <-h.closed:
			}
		}
	}()
	h.seen.Store(true)
	h.mu.Lock()
	defer h.mu.Unlock()
	h.hears = queue
	h.talk = talk
	h.publisher = publisher
	return nil
}

// bind has what concerns this host come to a queue.
func (h *Host) bind(ch *amqp091.Channel, queue string) error {
	return bindQueue(ch, queue, h.names.talk(), h.names.allUp(), h.names.alive(h.connection.Process))
}

// bindQueue has what is said under keys come to a queue; it may be so already.
func bindQueue(ch *amqp091.Channel, queue, exchange string, keys ...string) error {
	for _, key := range keys {
		if err := ch.QueueBind(queue, key, exchange, false, nil); err != nil {
			return fmt.Errorf("bind %s to exchange %s: %w", queue, exchange, err)
		}
	}
	return nil
}

// bindAnew binds a queue again: an exchange that was deleted takes the bindings with it, and is made
// anew without them. A queue that is gone as well ends the connection, on which all is made anew.
func bindAnew(ctx context.Context, conn *amqp.Connection, bind func(*amqp091.Channel) error) error {
	err := conn.Do(ctx, bind)
	if amqp.NotFound(err) {
		conn.Reconnect(err)
	}
	return err
}

// hearOn makes a queue of this connection's own.
func hearOn(ch *amqp091.Channel, queue string) error {
	args := amqp091.Table{"x-max-length-bytes": maxUnread}
	if _, err := ch.QueueDeclare(queue, false, true, true, false, args); err != nil {
		return fmt.Errorf("queue %s: %w", queue, err)
	}
	if err := ch.Qos(prefetch, 0, false); err != nil {
		return fmt.Errorf("queue %s: %w", queue, err)
	}
	return nil
}

// handleInbox handles what was said to this host, one message after the other.
func (h *Host) handleInbox() {
	for unacked := 0; ; {
		select {
		case <-h.closed:
			return
		case d := <-h.inbox:
			h.received(d)
			if unacked++; unacked >= prefetch/8 || len(h.inbox) == 0 {
				unacked = 0
				_ = d.Ack(true) // on a connection that is gone there is nothing to acknowledge
			}
		}
	}
}

func (h *Host) received(d amqp091.Delivery) {
	if d.RoutingKey == h.names.alive(h.connection.Process) {
		if h.events.HoldsQueue() {
			_ = h.say("", d.ReplyTo, amqp091.Publishing{}) // unheard, it is asked again
		}
		return
	}
	from, channel, ok := h.names.peerOf(d.RoutingKey)
	if !ok {
		h.events.Received(wire.Peer{}, d.RoutingKey, d.Body)
		return
	}
	h.events.Received(from, channel, d.Body)
}

// Connected says whether the broker is there and takes messages.
func (h *Host) Connected() bool { return h.conn.Ready() == nil }

// MaxPayload is what one message may hold, in bytes; 0 before the broker was seen.
func (h *Host) MaxPayload() int64 {
	if !h.seen.Load() {
		return 0
	}
	return maxPayload
}

// Unread is how many messages of workers wait to be handed to Received, of those that the
// broker has delivered.
func (h *Host) Unread() (int, error) { return len(h.inbox), nil }

// Send tells a worker something. It may be lost without an error.
func (h *Host) Send(to wire.Peer, data []byte) error {
	return h.say(h.names.talk(), h.names.down(to), amqp091.Publishing{Body: data})
}

func (h *Host) say(exchange, key string, m amqp091.Publishing) error {
	if err := h.conn.Ready(); err != nil {
		return err
	}
	h.mu.Lock()
	ch := h.talk
	h.mu.Unlock()
	return ch.Publish(exchange, key, false, false, m)
}

// AskAlive asks a process of a host whether it lives and has the queue. ErrNobody means that
// no such process is connected; any other error says nothing.
func (h *Host) AskAlive(ctx context.Context, process string) error {
	const replies = "amq.rabbitmq.reply-to" // delivers to the channel that asked
	if err := h.conn.Ready(); err != nil {
		return err
	}
	return h.conn.Do(ctx, func(ch *amqp091.Channel) error {
		answers, err := ch.Consume(replies, "", true, false, false, false, nil)
		if err != nil {
			return err
		}
		returned := ch.NotifyReturn(make(chan amqp091.Return, 1))
		if err := ch.Publish(h.names.talk(), h.names.alive(process), true, false, amqp091.Publishing{ReplyTo: replies}); err != nil {
			return err
		}
		select {
		case _, ok := <-answers:
			if !ok {
				return amqp.ErrClosed
			}
			return nil
		case _, ok := <-returned:
			if !ok {
				return amqp.ErrClosed
			}
			return broker.ErrNobody
		case <-ctx.Done():
			return errors.New("no answer")
		}
	})
}

// Close ends the connection.
func (h *Host) Close() {
	h.conn.Close()
	close(h.closed)
	h.loop.Wait()
}
