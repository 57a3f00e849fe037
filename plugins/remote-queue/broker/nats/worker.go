package natsbroker

import (
	"fmt"
	"net"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/taskhost/taskhost/plugins/remote-queue/broker"
	"github.com/taskhost/taskhost/plugins/remote-queue/config"
)

// Worker is a worker's connection to a NATS broker.
type Worker struct {
	connection broker.WorkerConnection
	events     broker.WorkerEvents
	subjects   Subjects
	conn       *nats.Conn
	payload    atomic.Int64 // what a message of the broker may hold; 0 before it was seen
}

// ConnectWorker connects a worker's half. The broker need not be there yet: it is tried
// until Close.
func ConnectWorker(c broker.WorkerConnection, events broker.WorkerEvents) (*Worker, error) {
	w := &Worker{connection: c, events: events, subjects: Subjects{c.Queue}}
	url, where, err := w.where()
	if err != nil {
		return nil, err
	}
	if w.conn, err = nats.Connect(url, append(w.options(), where...)...); err != nil {
		return nil, fmt.Errorf("broker: %w", err)
	}
	if _, err = w.conn.Subscribe(w.subjects.Down(c.Peer), func(m *nats.Msg) { events.Received(m.Data) }); err != nil {
		w.conn.Close()
		return nil, fmt.Errorf("broker: %w", err)
	}
	return w, nil
}

// where is the broker's address, and the options that say how to reach it and how to log
// in to it.
func (w *Worker) where() (url string, opts []nats.Option, err error) {
	c := w.connection.Credentials
	name := w.connection.Peer.Name
	url = w.connection.URL
	if file := w.connection.JoinFile; file != "" {
		j, err := config.ReadJoin(file)
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

func (w *Worker) options() []nats.Option {
	log := w.connection.Log
	return append(commonOptions("taskhost worker "+w.connection.Peer.Name, 100*time.Millisecond, log),
		nats.ReconnectErrHandler(logSparsely(log)),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("the broker is away; what runs goes on and its results are kept", "error", err)
			}
		}),
		nats.ConnectHandler(w.connected),
		nats.ReconnectHandler(func(nc *nats.Conn) { log.Info("the broker is back"); w.connected(nc) }))
}

func (w *Worker) connected(nc *nats.Conn) {
	w.payload.Store(nc.MaxPayload())
	w.events.Connected()
}

// inbox is a subject of this worker's own, on which the broker answers for a lane.
func (w *Worker) inbox(lane string) string {
	p := w.connection.Peer
	return w.subjects.Inbox(p.Name) + "." + p.Instance + ".pull." + lane
}

// Connected says whether the broker is there.
func (w *Worker) Connected() bool { return w.conn.IsConnected() }

// MaxPayload is what one message may hold, in bytes; 0 before the broker was seen.
func (w *Worker) MaxPayload() int64 { return w.payload.Load() }

// LocalAddress is this end of the connection, without its port; empty if there is none.
func (w *Worker) LocalAddress() string {
	host, _, err := net.SplitHostPort(w.conn.LocalAddr())
	if err != nil {
		return w.conn.LocalAddr()
	}
	return host
}

// Send tells the host something on a channel. It may be lost without an error.
func (w *Worker) Send(channel string, data []byte) error {
	return w.conn.Publish(w.subjects.Up(w.connection.Peer, channel), data)
}

// Close ends the connection. What was sent is on its way then.
func (w *Worker) Close() {
	if w.conn.IsConnected() {
		_ = w.conn.FlushTimeout(time.Second) // unheard, the host notices by the silence
	}
	w.conn.Close()
}

// joinDialer finds a broker by its join file each time: after a restart it may
// listen elsewhere.
type joinDialer struct{ path string }

// Dial connects to where the join file says, whatever address was known before.
func (d *joinDialer) Dial(network, address string) (net.Conn, error) {
	if j, err := config.ReadJoin(d.path); err == nil {
		address = config.WithoutScheme(j.URL)
	}
	return net.DialTimeout(network, address, 2*time.Second)
}
