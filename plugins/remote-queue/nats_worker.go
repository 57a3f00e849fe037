package remotequeue

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/nats-io/nats.go"
)

// natsWorker is a worker's connection to a NATS broker.
type natsWorker struct {
	connection workerConnection
	events     workerEvents
	subjects   subjects
	conn       *nats.Conn
	payload    atomic.Int64 // what a message of the broker may hold; 0 before it was seen
}

// connectWorker connects a worker's half. The broker need not be there yet: it is tried
// until Close.
func connectWorker(c workerConnection, events workerEvents) (*natsWorker, error) {
	w := &natsWorker{connection: c, events: events, subjects: subjects{c.Queue}}
	url, where, err := w.where()
	if err != nil {
		return nil, err
	}
	if w.conn, err = nats.Connect(url, append(w.options(), where...)...); err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	if _, err = w.conn.Subscribe(w.subjects.down(c.Peer), func(m *nats.Msg) { events.Received(m.Data) }); err == nil {
		_, err = w.conn.Subscribe(w.inbox("ack", "*"), w.accepted)
	}
	if err != nil {
		w.conn.Close()
		return nil, fmt.Errorf("broker: %w", err)
	}
	return w, nil
}

// where is the broker's address, and the options that say how to reach it and how to log
// in to it.
func (w *natsWorker) where() (url string, opts []nats.Option, err error) {
	c, name := w.connection.Credentials, w.connection.Peer.name
	url = w.connection.URL
	if file := w.connection.JoinFile; file != "" {
		j, err := readJoin(file)
		if err != nil {
			return "", nil, err
		}
		url = j.URL
		c.Token = j.Token
		if c.CA == "" {
			c.CA = j.CA
		}
		opts = append(opts, nats.SetCustomDialer(&joinDialer{path: file}))
	}
	if c.User == "" && c.Password == "" && c.Token != "" && c.Creds == "" {
		// The embedded broker knows a worker by its name and token; one with a token
		// of its own for all looks at that alone.
		c.User = name
		c.Password = c.Token
	} else if c.User == "" && c.Creds == "" {
		c.User = name
	}
	more, err := clientOptions(c)
	return url, append(opts, more...), err
}

func (w *natsWorker) options() []nats.Option {
	log := w.connection.Log
	return append(commonOptions("taskhost worker "+w.connection.Peer.name, 100*time.Millisecond, log),
		nats.ReconnectErrHandler(logSparsely(log)),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("the broker is away; what runs goes on and its results are kept", "error", err)
			}
		}),
		nats.ConnectHandler(w.connected),
		nats.ReconnectHandler(func(nc *nats.Conn) { log.Info("the broker is back"); w.connected(nc) }))
}

func (w *natsWorker) connected(nc *nats.Conn) {
	w.payload.Store(nc.MaxPayload())
	w.events.Connected()
}

// inbox is a subject of this worker's own, on which the broker answers.
func (w *natsWorker) inbox(what, of string) string {
	p := w.connection.Peer
	return w.subjects.inbox(p.name) + "." + p.instance + "." + what + "." + of
}

// accepted is the broker's confirmation that a start is out of its hands.
func (w *natsWorker) accepted(m *nats.Msg) {
	_, last, _ := strings.Cut(m.Subject, ".ack.")
	var t token
	if n, err := hex.Decode(t[:], []byte(last)); err == nil && n == len(t) {
		w.events.Accepted(t)
	}
}

// Connected says whether the broker is there.
func (w *natsWorker) Connected() bool { return w.conn.IsConnected() }

// MaxPayload is what one message may hold, in bytes; 0 before the broker was seen.
func (w *natsWorker) MaxPayload() int64 { return w.payload.Load() }

// LocalAddress is this end of the connection, without its port; empty if there is none.
func (w *natsWorker) LocalAddress() string {
	host, _, err := net.SplitHostPort(w.conn.LocalAddr())
	if err != nil {
		return w.conn.LocalAddr()
	}
	return host
}

// Send tells the host something on a channel. It may be lost without an error.
func (w *natsWorker) Send(channel string, data []byte) error {
	return w.conn.Publish(w.subjects.up(w.connection.Peer, channel), data)
}

// Close ends the connection. What was sent is on its way then.
func (w *natsWorker) Close() {
	if w.conn.IsConnected() {
		_ = w.conn.FlushTimeout(time.Second) // unheard, the host notices by the silence
	}
	w.conn.Close()
}

// Consume begins to take the starts of a lane; nothing comes before Pull asks for it.
func (w *natsWorker) Consume(lane string, events laneEvents) (laneConsumer, error) {
	l := &natsLane{worker: w, name: lane, events: events, inbox: w.inbox("pull", lane)}
	var err error
	if l.subscription, err = w.conn.Subscribe(l.inbox, l.received); err != nil {
		return nil, fmt.Errorf("subscribe to lane %s: %w", lane, err)
	}
	return l, nil
}

// natsLane is a lane that a worker consumes.
type natsLane struct {
	worker       *natsWorker
	name         string
	events       laneEvents
	inbox        string
	subscription *nats.Subscription
}

// pullRequest is what JetStream wants to know.
type pullRequest struct {
	Batch   int           `json:"batch"`
	Expires time.Duration `json:"expires"`
}

// Pull asks for up to n starts, for as long as pullExpiry.
func (l *natsLane) Pull(n int) error {
	data, err := json.Marshal(pullRequest{Batch: n, Expires: pullExpiry})
	if err != nil {
		return err
	}
	return l.worker.conn.PublishRequest(l.worker.subjects.pull(l.name), l.inbox, data)
}

// Close takes nothing more of the lane. What still comes is delivered again, to others.
func (l *natsLane) Close() { _ = l.subscription.Unsubscribe() }

// received is a start, or the broker's word about a pull.
func (l *natsLane) received(m *nats.Msg) {
	status := m.Header.Get("Status")
	switch {
	case status == "" || len(m.Data) > 0:
		l.events.Delivered(&natsDelivery{l.worker, m})
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

// natsDelivery is one start, on its way to a worker.
type natsDelivery struct {
	worker *natsWorker
	msg    *nats.Msg
}

// Data is the start as the host wrote it.
func (d *natsDelivery) Data() []byte { return d.msg.Data }

// Accept takes the start out of the broker's hands; the broker confirms it.
func (d *natsDelivery) Accept(t token) error {
	return d.worker.conn.PublishRequest(d.msg.Reply, d.worker.inbox("ack", t.String()), []byte("+ACK"))
}

// Acknowledge takes the start out of the broker's hands without a confirmation.
func (d *natsDelivery) Acknowledge() { d.answer("+ACK") }

// GiveBack has the broker deliver the start again after a while.
func (d *natsDelivery) GiveBack(after time.Duration) {
	if after <= 0 {
		d.answer("-NAK")
		return
	}
	d.answer(fmt.Sprintf(`-NAK {"delay":%d}`, after.Nanoseconds()))
}

// Discard has the broker throw the start away.
func (d *natsDelivery) Discard() { d.answer("+TERM") }

func (d *natsDelivery) answer(word string) {
	if err := d.worker.conn.Publish(d.msg.Reply, []byte(word)); err != nil {
		d.worker.connection.Log.Trace("publish", "subject", d.msg.Reply, "error", err)
	}
}

// joinDialer finds a broker by its join file each time: after a restart it may
// listen elsewhere.
type joinDialer struct{ path string }

// Dial connects to where the join file says, whatever address was known before.
func (d *joinDialer) Dial(network, address string) (net.Conn, error) {
	if j, err := readJoin(d.path); err == nil {
		address = withoutScheme(j.URL)
	}
	return net.DialTimeout(network, address, 2*time.Second)
}

// commonOptions are those of both halves' connections: they never give up, and notice a
// broker that is gone within some seconds.
func commonOptions(name string, jitter time.Duration, log hclog.Logger) []nats.Option {
	return []nats.Option{nats.Name(name), nats.MaxReconnects(-1), nats.IgnoreAuthErrorAbort(),
		nats.RetryOnFailedConnect(true), nats.ReconnectWait(250 * time.Millisecond), nats.ReconnectJitter(jitter, jitter),
		nats.PingInterval(2 * time.Second), nats.MaxPingsOutstanding(2), nats.ReconnectBufSize(-1),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { log.Warn("broker", "error", err) })}
}
