package celery

import (
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/rabbitmq/amqp091-go"

	"github.com/taskhost/taskhost/plugins/remote-queue/amqp"
	"github.com/taskhost/taskhost/sdk"
)

const (
	// keepReplies is how long answers wait for a host that is away. After that the broker
	// removes the queue.
	keepReplies = 31 * 24 * time.Hour
	// maxUnacknowledged bounds the answers whose outcomes are not on record yet.
	maxUnacknowledged = 20_000
	// maxRevokes bounds what workers are to be told once the broker is back.
	maxRevokes = 10_000
	// maxPriority is the highest that a message of RabbitMQ may have, as Celery uses it.
	maxPriority = 9
)

// link is what the executor says to the broker and hears from it.
type link struct {
	executor   *executor
	connection *amqp.Connection

	mu        sync.Mutex
	publisher *amqp.Publisher  // of the connection as it is
	controls  *amqp091.Channel // of that connection, for what workers are told
	events    string           // the queue of that connection for what workers tell of themselves
	revokes   []string         // messages to discard of which workers were not told
	readers   sync.WaitGroup
}

func (l *link) init(e *executor) { l.executor = e }

// replyQueue is where workers answer: this host's own, whatever becomes of its connection.
func (l *link) replyQueue() string { return "taskhost.celery." + l.executor.host }

// setUp makes what is needed on a new connection: the queue for answers, which keeps also
// those that workers mark as not persistent, and one for events.
func (l *link) setUp(conn *amqp091.Connection) error {
	p, err := amqp.NewPublisher(conn)
	if err != nil {
		return err
	}
	ch, err := conn.Channel()
	if err != nil {
		return fmt.Errorf("open a channel: %w", err)
	}
	if _, err := ch.QueueDeclare(l.replyQueue(), true, false, false, false,
		amqp091.Table{"x-queue-type": "quorum", "x-expires": keepReplies.Milliseconds()}); err != nil {
		return fmt.Errorf("declare the queue %q for answers: %w", l.replyQueue(), err)
	}
	if err := ch.Qos(maxUnacknowledged, 0, false); err != nil {
		return err
	}
	replies, err := ch.Consume(l.replyQueue(), "", false, false, false, false, nil)
	if err != nil {
		return fmt.Errorf("consume the queue %q: %w", l.replyQueue(), err)
	}
	controls, events, name, err := l.consumeEvents(conn)
	if err != nil {
		return err
	}
	for _, needed := range []*amqp091.Channel{p.Channel(), ch, controls} {
		l.connection.Require(conn, needed)
	}
	l.mu.Lock()
	l.publisher = p
	l.controls = controls
	l.events = name
	revokes := l.revokes
	l.revokes = nil
	l.mu.Unlock()
	for _, id := range revokes {
		l.revoke(id)
	}
	l.readers.Go(func() { l.readReplies(replies) })
	l.readers.Go(func() { l.readEvents(events) })
	l.executor.reconnected()
	return nil
}

// consumeEvents binds a queue of this connection's own to what workers tell.
func (l *link) consumeEvents(conn *amqp091.Connection) (_ *amqp091.Channel, _ <-chan amqp091.Delivery, name string, err error) {
	ch, err := conn.Channel()
	if err != nil {
		return nil, nil, "", fmt.Errorf("open a channel: %w", err)
	}
	// All as Celery declares them: whoever comes first makes them.
	if err := errors.Join(ch.ExchangeDeclare(eventExchange, "topic", true, false, false, false, nil),
		ch.ExchangeDeclare(controlExchange, "fanout", false, false, false, false, nil),
		ch.ExchangeDeclare(controlReplies, "direct", false, false, false, false, nil)); err != nil {
		return nil, nil, "", fmt.Errorf("declare Celery's exchanges: %w", err)
	}
	q, err := ch.QueueDeclare("", false, true, true, false, amqp091.Table{"x-message-ttl": int64(10_000)})
	if err != nil {
		return nil, nil, "", fmt.Errorf("declare a queue for events: %w", err)
	}
	for _, key := range []string{"worker.#", "task.started", "task.multi"} {
		if err := ch.QueueBind(q.Name, key, eventExchange, false, nil); err != nil {
			return nil, nil, "", fmt.Errorf("bind the queue for events: %w", err)
		}
	}
	if err := ch.QueueBind(q.Name, q.Name, controlReplies, false, nil); err != nil {
		return nil, nil, "", fmt.Errorf("bind the queue for events: %w", err)
	}
	events, err := ch.Consume(q.Name, "", true, true, false, false, nil)
	return ch, events, q.Name, err
}

// readReplies takes answers until the connection ends.
func (l *link) readReplies(deliveries <-chan amqp091.Delivery) {
	for d := range deliveries {
		_, compressed := d.Headers["compression"]
		l.executor.handleReply(decodeReply(d.CorrelationId, d.ContentType, compressed, d.Body), func() { _ = d.Ack(false) })
	}
}

// readEvents takes what workers tell until the connection ends.
func (l *link) readEvents(deliveries <-chan amqp091.Delivery) {
	for d := range deliveries {
		if d.Exchange == controlReplies {
			ticket, _ := d.Headers["ticket"].(string)
			l.executor.handleAnswer(ticket, d.Body)
			continue
		}
		for _, ev := range decodeEvents(d.Body) {
			l.executor.handleEvent(ev)
		}
	}
}

// publish sends a message to the queue of the workers; done is called once if there is no
// error.
func (l *link) publish(m taskMessage, t *sdk.Task, done func(error)) error {
	if err := l.connection.Ready(); err != nil {
		return err
	}
	l.mu.Lock()
	p := l.publisher
	l.mu.Unlock()
	return p.Publish("", l.executor.queueConfig.Queue, amqp091.Publishing{
		// Once the attempt's time is up, the broker need not deliver it any more.
		Expiration: strconv.FormatInt(max(t.Timeout.Milliseconds(), 1), 10),
		Headers:    m.headers, ContentType: "application/json", ContentEncoding: "utf-8", DeliveryMode: amqp091.Persistent,
		CorrelationId: m.id, ReplyTo: l.replyQueue(), Priority: uint8(min(max(t.Priority, 0), maxPriority)), Body: m.body,
	}, done)
}

// revoke has all workers discard a message or end what runs it: now, or once the broker is
// back.
func (l *link) revoke(id string) {
	if err := l.broadcast(revokeCommand(id)); err == nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.revokes) < maxRevokes {
		l.revokes = append(l.revokes, id)
	}
}

// ask has one worker answer a question.
func (l *link) ask(worker, method string) {
	l.mu.Lock()
	queue := l.events
	l.mu.Unlock()
	if err := l.broadcast(askCommand(method, worker, queue)); err != nil {
		l.executor.log.Debug("ask a worker", "worker", worker, "error", err)
	}
}

func (l *link) broadcast(body []byte) error {
	l.mu.Lock()
	ch := l.controls
	l.mu.Unlock()
	if ch == nil {
		return amqp.ErrClosed
	}
	return ch.Publish(controlExchange, "", false, false, amqp091.Publishing{ContentType: "application/json", ContentEncoding: "utf-8", Headers: amqp091.Table{"clock": int64(0)}, Body: body})
}

func (l *link) close() {
	l.connection.Close()
	l.readers.Wait()
}
