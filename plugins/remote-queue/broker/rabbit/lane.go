package rabbitbroker

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/rabbitmq/amqp091-go"

	"github.com/taskhost/taskhost/plugins/remote-queue/amqp"
	"github.com/taskhost/taskhost/plugins/remote-queue/broker"
	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
)

// answerWait is how long answers may wait for more pulls before they are told the broker by
// ending the subscription.
const answerWait = 50 * time.Millisecond

// consumer is a lane that a worker consumes. RabbitMQ knows no pull: it delivers as long as
// no more than the prefetch are unanswered, so that every answer calls for another delivery.
// A subscription is made for what was pulled, and answers to it are held back unless what
// they call for was pulled, too. Those that wait for long, or for nothing more, are told once
// the subscription is ended; another one is made for what is left.
type consumer struct {
	worker *Worker
	name   string
	events broker.LaneEvents
	ctx    context.Context
	cancel context.CancelFunc
	wake   chan struct{}
	ended  chan struct{}

	// These belong to the goroutine of run.
	channel    *amqp091.Channel // nil while there is none
	deliveries <-chan amqp091.Delivery

	mu sync.Mutex
	// life is one more with each reset: what was delivered before is not answered.
	life int
	// wanted are the starts that were pulled and have not come, the last pull being at pulledAt.
	wanted   int
	pulledAt time.Time
	// subscribed says that starts may come: as many as open, and one more for each answer.
	subscribed bool
	open       int
	// held are answers that wait, the first of them since heldAt.
	held   []answer
	heldAt time.Time
}

// answer is what becomes of one delivery.
type answer struct {
	d      amqp091.Delivery
	accept bool // or else it is delivered again
}

// tell tells the broker.
func (a answer) tell() error {
	if a.accept {
		return a.d.Ack(false)
	}
	return a.d.Nack(false, true)
}

// consumerTag is that of the one subscription on a lane's channel.
const consumerTag = "starts"

// Consume begins to take the starts of a lane; nothing comes before Pull asks for it.
func (w *Worker) Consume(lane string, events broker.LaneEvents) (broker.LaneConsumer, error) {
	l := &consumer{worker: w, name: lane, events: events, wake: make(chan struct{}, 1), ended: make(chan struct{})}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.lanes == nil {
		return nil, amqp.ErrClosed
	}
	l.ctx, l.cancel = context.WithCancel(w.ctx)
	w.lanes[l] = struct{}{}
	go l.run()
	return l, nil
}

// Pull asks for up to n starts more, for as long as broker.PullExpiry.
func (l *consumer) Pull(n int) error {
	if err := l.worker.conn.Ready(); err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wanted += n
	l.pulledAt = time.Now()
	for len(l.held) > 0 && l.open < l.wanted {
		l.open++
		_ = l.held[0].tell() // on a lost channel it comes again by itself
		l.held = l.held[1:]
		l.heldAt = l.pulledAt // as long as more is pulled, the rest may wait
	}
	wire.Wake(l.wake)
	return nil
}

// Close takes nothing more of the lane. What still comes is delivered again, to others.
func (l *consumer) Close() { l.cancel() }

// reset forgets what was pulled and delivered on a connection that is gone.
func (l *consumer) reset() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.life++
	l.wanted = 0
	l.held = nil
	l.subscribed = false
	wire.Wake(l.wake)
}

// run subscribes for what is pulled, until Close.
func (l *consumer) run() {
	defer close(l.ended)
	defer l.forget()
	life := 0
	for {
		l.mu.Lock()
		fresh := l.life != life
		life = l.life
		wait := l.untilTurn()
		l.mu.Unlock()
		if fresh {
			l.closeChannel()
			continue
		}
		if wait <= 0 {
			l.turn()
			continue
		}
		select {
		case <-l.ctx.Done():
			l.turn()
			l.closeChannel()
			return
		case d, ok := <-l.deliveries:
			if !ok {
				l.lose()
				continue
			}
			l.deliver(d, life)
		case <-l.wake:
		case <-time.After(wait):
		}
	}
}

// untilTurn is how long the subscription may stay as it is. l.mu is held.
func (l *consumer) untilTurn() time.Duration {
	const long = time.Hour
	wait := long
	switch {
	case l.deliveries == nil && l.wanted > 0:
		return 0
	case l.deliveries == nil:
		return long
	case l.wanted <= 0:
		return 0
	}
	if len(l.held) > 0 {
		wait = time.Until(l.heldAt.Add(answerWait))
	}
	return min(wait, time.Until(l.pulledAt.Add(broker.PullExpiry)))
}

// deliver hands on a start.
func (l *consumer) deliver(d amqp091.Delivery, life int) {
	l.mu.Lock()
	gone := l.life != life || l.ctx.Err() != nil // it is delivered again
	if !gone {
		l.wanted--
		l.open--
	}
	l.mu.Unlock()
	if gone {
		return
	}
	l.events.Delivered(&delivery{lane: l, life: life, d: d})
}

// turn ends the subscription, tells the broker all answers, and subscribes for what is
// still wanted.
func (l *consumer) turn() {
	l.mu.Lock()
	life := l.life
	l.mu.Unlock()
	if l.deliveries != nil {
		if err := l.channel.Cancel(consumerTag, false); err != nil {
			l.lose()
			return
		}
		for d := range l.deliveries { // what was on its way
			l.deliver(d, life)
		}
		l.deliveries = nil
	}
	l.mu.Lock()
	for _, a := range l.held {
		_ = a.tell() // a channel that is gone has them delivered again
	}
	l.held = nil
	l.subscribed = false
	expired := 0
	if l.wanted > 0 && time.Since(l.pulledAt) >= broker.PullExpiry {
		expired = l.wanted
		l.wanted = 0
	}
	n := min(l.wanted, prefetch)
	if n > 0 && l.ctx.Err() == nil {
		l.open = n
		l.subscribed = true
	}
	l.mu.Unlock()
	if expired > 0 {
		l.events.PullEnded(expired, false)
	}
	if n <= 0 || l.ctx.Err() != nil {
		return
	}
	if err := l.subscribe(n); err != nil {
		l.worker.connection.Log.Debug("a lane cannot be taken from", "lane", l.name, "error", err)
		l.lose()
	}
}

// subscribe has the broker deliver up to n starts, and one more for each answer.
func (l *consumer) subscribe(n int) error {
	if l.channel == nil {
		var err error
		if l.channel, err = l.worker.conn.Channel(); err != nil {
			return err
		}
	}
	if err := l.channel.Qos(n, 0, false); err != nil {
		return err
	}
	var err error
	l.deliveries, err = l.channel.Consume(l.worker.names.lane(l.name), consumerTag, false, false, false, false, nil)
	return err
}

// lose gives up a subscription that the broker ended or did not make.
func (l *consumer) lose() {
	l.closeChannel()
	l.mu.Lock()
	l.wanted = 0
	l.held = nil
	l.subscribed = false
	l.life++ // what was delivered comes again
	l.mu.Unlock()
	l.events.PullEnded(-1, true)
}

func (l *consumer) closeChannel() {
	if l.channel != nil {
		_ = l.channel.Close()
	}
	l.channel = nil
	l.deliveries = nil
}

// forget takes the lane out of the worker's.
func (l *consumer) forget() {
	l.worker.mu.Lock()
	defer l.worker.mu.Unlock()
	delete(l.worker.lanes, l)
}

var errDeliveredBefore = errors.New("the start was delivered on a connection that is gone")

// answer tells the broker what becomes of a delivery, now or at the next turn.
func (l *consumer) answer(a answer, life int) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.life != life {
		return errDeliveredBefore
	}
	if !l.subscribed {
		return a.tell()
	}
	if len(l.held) == 0 && l.open < l.wanted {
		l.open++
		return a.tell()
	}
	if len(l.held) == 0 {
		l.heldAt = time.Now()
	}
	l.held = append(l.held, a)
	wire.Wake(l.wake)
	return nil
}

// delivery is one start, on its way to a worker.
type delivery struct {
	lane *consumer
	life int
	d    amqp091.Delivery
}

// Data is the start as the host wrote it.
func (d *delivery) Data() []byte { return d.d.Body }

// Accept takes the start out of the broker's hands, as far as the broker hears of it.
func (d *delivery) Accept() error { return d.lane.answer(answer{d.d, true}, d.life) }

// GiveBack has the broker deliver the start again after a while. Until then it is this
// worker's.
func (d *delivery) GiveBack(after time.Duration) {
	giveBack := func() { _ = d.lane.answer(answer{d.d, false}, d.life) } // on a lost channel it comes again by itself
	if after <= 0 {
		giveBack()
		return
	}
	time.AfterFunc(after, giveBack)
}

// Discard has the broker throw the start away.
func (d *delivery) Discard() { _ = d.lane.answer(answer{d.d, true}, d.life) }
