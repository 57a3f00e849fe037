package rabbitbroker

import (
	"context"
	"crypto/rand"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rabbitmq/amqp091-go"

	"github.com/taskhost/taskhost/plugins/remote-queue/amqp"
	"github.com/taskhost/taskhost/plugins/remote-queue/broker"
)

// Worker is a worker's connection to RabbitMQ.
type Worker struct {
	connection broker.WorkerConnection
	events     broker.WorkerEvents
	names      names
	conn       *amqp.Connection
	ctx        context.Context
	cancel     context.CancelFunc
	loops      sync.WaitGroup

	seen atomic.Bool // the broker was there
	// heardAt is when the host was last heard, or else was looked for, in Unix nanoseconds.
	heardAt atomic.Int64

	mu    sync.Mutex
	hears string // the queue of this connection in which the host is heard
	talk  *amqp091.Channel
	lanes map[*consumer]struct{}
}

// ConnectWorker connects a worker's half. The broker need not be there yet, nor the host
// have made the exchange: it is tried until Close.
func ConnectWorker(c broker.WorkerConnection, events broker.WorkerEvents) (*Worker, error) {
	w := &Worker{connection: c, events: events, names: names{c.Queue}, lanes: make(map[*consumer]struct{})}
	w.ctx, w.cancel = context.WithCancel(context.Background())
	credentials := c.Credentials
	if credentials.User == "" {
		credentials.User = c.Peer.Name
	}
	var err error
	w.conn, err = amqp.New(amqp.Options{URLs: c.URL, Name: "taskhost worker " + c.Peer.Name, Credentials: credentials, Log: c.Log,
		Setup: w.setUpConnection, Up: w.up, Down: func(error) {}})
	if err != nil {
		return nil, err
	}
	w.conn.Start()
	return w, nil
}

// setUpConnection makes what lives as long as a connection: where the host is heard, and a
// channel to speak on.
func (w *Worker) setUpConnection(conn *amqp091.Connection) error {
	in, err := conn.Channel()
	if err != nil {
		return fmt.Errorf("open a channel: %w", err)
	}
	queue := w.names.worker(w.connection.Peer.Name) + rand.Text()
	if err := hearOn(in, queue); err != nil {
		return err
	}
	err = w.bind(in, queue)
	if amqp.NotFound(err) {
		return fmt.Errorf("no host has been here yet that serves queue %q: %w", w.connection.Queue, err)
	}
	if err != nil {
		return err
	}
	deliveries, err := in.Consume(queue, "", true, true, false, false, nil)
	if err != nil {
		return fmt.Errorf("consume %s: %w", queue, err)
	}
	talk, err := conn.Channel()
	if err != nil {
		return fmt.Errorf("open a channel: %w", err)
	}
	w.conn.Require(conn, in)
	w.conn.Require(conn, talk)
	w.loops.Go(func() {
		for d := range deliveries {
			w.heardAt.Store(time.Now().UnixNano())
			w.events.Received(d.Body)
		}
	})
	w.seen.Store(true)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hears = queue
	w.talk = talk
	w.heardAt.Store(time.Now().UnixNano())
	return nil
}

// up comes when the broker is there (again). What was pulled before is forgotten, by the
// worker as well.
func (w *Worker) up() {
	w.mu.Lock()
	for l := range w.lanes {
		l.reset()
	}
	w.mu.Unlock()
	w.events.Connected()
}

// Connected says whether the broker is there and takes messages.
func (w *Worker) Connected() bool { return w.conn.Ready() == nil }

// MaxPayload is what one message may hold, in bytes; 0 before the broker was seen.
func (w *Worker) MaxPayload() int64 {
	if !w.seen.Load() {
		return 0
	}
	return maxPayload
}

// LocalAddress is this end of the connection, without its port; empty if there is none.
func (w *Worker) LocalAddress() string { return w.conn.LocalAddress() }

// Send tells the host something on a channel. It may be lost without an error.
func (w *Worker) Send(channel string, data []byte) error {
	if err := w.conn.Ready(); err != nil {
		return err
	}
	w.mu.Lock()
	ch := w.talk
	w.mu.Unlock()
	if at := w.heardAt.Load(); time.Since(time.Unix(0, at)) > bindAfter && w.heardAt.CompareAndSwap(at, time.Now().UnixNano()) {
		go w.bindAnew()
	}
	return ch.Publish(w.names.talk(), w.names.up(w.connection.Peer, channel), false, false, amqp091.Publishing{Body: data})
}

// bindAfter is how long a host may be silent before the worker sees to it that it would be heard.
const bindAfter = 5 * time.Second

// bindAnew binds the queue in which the host is heard. What fails is tried again while it is silent.
func (w *Worker) bindAnew() {
	w.mu.Lock()
	queue := w.hears
	w.mu.Unlock()
	ctx, cancel := context.WithTimeout(w.ctx, requestTimeout)
	defer cancel()
	_ = bindAnew(ctx, w.conn, func(ch *amqp091.Channel) error { return w.bind(ch, queue) })
}

// bind has what the host says to this worker come to a queue.
func (w *Worker) bind(ch *amqp091.Channel, queue string) error {
	return bindQueue(ch, queue, w.names.talk(), w.names.down(w.connection.Peer))
}

// Close ends the connection. What was sent is on its way then.
func (w *Worker) Close() {
	w.cancel()
	w.mu.Lock()
	lanes := w.lanes
	w.lanes = nil
	w.mu.Unlock()
	flushed := make(chan struct{})
	go func() {
		for l := range lanes {
			<-l.ended
		}
		close(flushed)
	}()
	select {
	case <-flushed:
	case <-time.After(time.Second): // the broker does not answer
	}
	w.conn.Close()
	w.loops.Wait()
	<-flushed
}
