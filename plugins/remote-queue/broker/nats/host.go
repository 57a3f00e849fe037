// Package natsbroker fulfils fleet.Broker and worker.Broker on NATS JetStream: on a server
// that it runs in the host's process, or on one at a URL. Starts are messages of a work-queue
// stream with one consumer a lane; everything else goes over core NATS; the claim of a queue
// is the one key of a bucket.
package natsbroker

import (
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/taskhost/taskhost/plugins/remote-queue/broker"
	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
)

// Host is a host's connection to a NATS broker: to its own embedded one, or to one
// at a URL. Its methods may be called by several goroutines at once, except for those
// of the claim.
type Host struct {
	connection broker.HostConnection
	events     broker.HostEvents
	subjects   Subjects
	embedded   *embeddedServer // nil if the broker is another's
	conn       *nats.Conn
	js         jetstream.JetStream
	fromAll    *nats.Subscription // to what all workers say
	payload    atomic.Int64       // what a message of the broker may hold; 0 before it was seen
	claims     jetstream.KeyValue // nil before it was found
}

const (
	// maxUnread is how many bytes from workers may wait to be read. Beyond that messages
	// are lost, and repeated by whoever needs an answer.
	maxUnread = 128 << 20
	// claimKey is the only key in the bucket of a queue's claim.
	claimKey = "owner"
	// requestTimeout bounds what the client library asks on its own.
	requestTimeout = 5 * time.Second
)

// ConnectHost connects a host's half. An embedded broker listens when it returns; one at
// a URL need not be there yet, and is tried until Close.
func ConnectHost(c broker.HostConnection, events broker.HostEvents) (*Host, error) {
	h := &Host{connection: c, events: events, subjects: Subjects{c.Config.Queue}}
	if err := h.connect(); err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

func (h *Host) connect() error {
	where, err := h.where()
	if err != nil {
		return err
	}
	if h.conn, err = nats.Connect(h.connection.Config.URL, append(h.options(), where...)...); err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	if h.conn.IsConnected() {
		h.payload.Store(h.conn.MaxPayload())
	}
	h.js, err = jetstream.New(h.conn, jetstream.WithPublishAsyncMaxPending(4096),
		jetstream.WithPublishAsyncTimeout(requestTimeout), jetstream.WithDefaultTimeout(requestTimeout),
		jetstream.WithPublishAsyncAckHandler(h.published), jetstream.WithPublishAsyncErrHandler(h.publishFailed))
	if err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	if h.fromAll, err = h.conn.Subscribe(h.subjects.allUp(), h.received); err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	if err := h.fromAll.SetPendingLimits(1<<20, maxUnread); err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	if _, err := h.conn.Subscribe(h.subjects.claim(h.connection.Process), h.answerAlive); err != nil {
		return fmt.Errorf("broker: %w", err)
	}
	return nil
}

// where are the options that say how to reach the broker and how to log in to it.
func (h *Host) where() ([]nats.Option, error) {
	c := h.connection.Config
	if c.URL != "" {
		return clientOptions(c.Credentials)
	}
	var err error
	if h.embedded, err = startServer(c, h.connection.DataDir, h.connection.Log); err != nil {
		return nil, err
	}
	return []nats.Option{nats.InProcessServer(h.embedded.server), nats.UserInfo(hostUser, h.embedded.secret)}, nil
}

func (h *Host) options() []nats.Option {
	log := h.connection.Log
	seldom := logSparsely(log)
	return append(commonOptions("taskhost "+h.connection.Executor, 50*time.Millisecond, log),
		nats.ReconnectErrHandler(func(nc *nats.Conn, err error) { h.events.Disconnected(err); seldom(nc, err) }),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				h.events.Disconnected(err)
				log.Warn("the broker is away; nothing is dispatched and no lapse counts until it is back", "error", err)
			}
		}),
		nats.ConnectHandler(h.connected),
		nats.ReconnectHandler(func(nc *nats.Conn) { log.Info("the broker is back"); h.connected(nc) }))
}

func (h *Host) connected(nc *nats.Conn) {
	h.payload.Store(nc.MaxPayload())
	h.events.Connected()
}

func (h *Host) received(m *nats.Msg) {
	from, channel, ok := h.subjects.peerOf(m.Subject)
	if !ok {
		h.events.Received(wire.Peer{}, m.Subject, m.Data)
		return
	}
	h.events.Received(from, channel, m.Data)
}

// answerAlive tells other processes that this one lives and has the queue.
func (h *Host) answerAlive(m *nats.Msg) {
	if h.events.HoldsQueue() {
		_ = m.Respond(nil) // unheard, it is asked again
	}
}

// Conn is the connection itself, for those who look into the broker.
func (h *Host) Conn() *nats.Conn { return h.conn }

// Connected says whether the broker is there.
func (h *Host) Connected() bool { return h.conn.IsConnected() }

// MaxPayload is what one message may hold, in bytes; 0 before the broker was seen.
func (h *Host) MaxPayload() int64 { return h.payload.Load() }

// Unread is how many messages of workers wait to be handed to Received.
func (h *Host) Unread() (int, error) {
	n, _, err := h.fromAll.Pending()
	return n, err
}

// Send tells a worker something. It may be lost without an error.
func (h *Host) Send(to wire.Peer, data []byte) error {
	return h.conn.Publish(h.subjects.Down(to), data)
}

// Close ends the connection, and the broker if it is embedded.
func (h *Host) Close() {
	if h.conn != nil {
		_ = h.conn.FlushTimeout(time.Second) // the last acks; unheard, they are asked for again
		h.conn.Close()
	}
	if h.embedded != nil {
		h.embedded.stop()
	}
}

func (h *Host) published(_ jetstream.JetStream, m *nats.Msg, ack *jetstream.PubAck) {
	h.events.Published(wire.StartToken(m.Data), ack.Sequence)
}

func (h *Host) publishFailed(_ jetstream.JetStream, m *nats.Msg, err error) {
	h.events.PublishFailed(wire.StartToken(m.Data), withMeaning(err))
}
