package natsbroker

import (
	"encoding/json"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/taskhost/taskhost/plugins/remote-queue/broker"
)

// Consume begins to take the starts of a lane; nothing comes before Pull asks for it.
func (w *Worker) Consume(lane string, events broker.LaneEvents) (broker.LaneConsumer, error) {
	l := &consumer{worker: w, name: lane, events: events, inbox: w.inbox(lane)}
	var err error
	if l.subscription, err = w.conn.Subscribe(l.inbox, l.received); err != nil {
		return nil, fmt.Errorf("subscribe to lane %s: %w", lane, err)
	}
	return l, nil
}

// consumer is a lane that a worker consumes.
type consumer struct {
	worker       *Worker
	name         string
	events       broker.LaneEvents
	inbox        string
	subscription *nats.Subscription
}

// pullRequest is what JetStream wants to know.
type pullRequest struct {
	Batch   int           `json:"batch"`
	Expires time.Duration `json:"expires"`
}

// Pull asks for up to n starts, for as long as pullExpiry.
func (l *consumer) Pull(n int) error {
	data, err := json.Marshal(pullRequest{Batch: n, Expires: broker.PullExpiry})
	if err != nil {
		return err
	}
	return l.worker.conn.PublishRequest(l.worker.subjects.pull(l.name), l.inbox, data)
}

// Close takes nothing more of the lane. What still comes is delivered again, to others.
func (l *consumer) Close() { _ = l.subscription.Unsubscribe() }

// received is a start, or the broker's word about a pull.
func (l *consumer) received(m *nats.Msg) {
	status := m.Header.Get("Status")
	switch {
	case status == "" || len(m.Data) > 0:
		l.events.Delivered(&delivery{l.worker, m})
	case status == "100": // a heartbeat, which nobody asked for
	default:
		unused, err := strconv.Atoi(m.Header.Get("Nats-Pending-Messages"))
		if err != nil {
			unused = -1
		}
		// 408 is a pull that expired; else the consumer is not there, or full of askers.
		l.events.PullEnded(unused, status != "408")
	}
}

// delivery is one start, on its way to a worker.
type delivery struct {
	worker *Worker
	msg    *nats.Msg
}

// Data is the start as the host wrote it.
func (d *delivery) Data() []byte { return d.msg.Data }

// Accept takes the start out of the broker's hands, as far as the broker hears of it.
func (d *delivery) Accept() error { return d.worker.conn.Publish(d.msg.Reply, []byte("+ACK")) }

// GiveBack has the broker deliver the start again after a while.
func (d *delivery) GiveBack(after time.Duration) {
	if after <= 0 {
		d.answer("-NAK")
		return
	}
	d.answer(fmt.Sprintf(`-NAK {"delay":%d}`, after.Nanoseconds()))
}

// Discard has the broker throw the start away.
func (d *delivery) Discard() { d.answer("+TERM") }

func (d *delivery) answer(word string) {
	if err := d.worker.conn.Publish(d.msg.Reply, []byte(word)); err != nil {
		d.worker.connection.Log.Trace("publish", "subject", d.msg.Reply, "error", err)
	}
}
