package remotequeue

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/taskhost/taskhost/sdk"
)

// natsHost is a host's connection to a NATS broker: to its own embedded one, or to one
// at a URL. Its methods may be called by several goroutines at once, except for those
// of the claim.
type natsHost struct {
	connection hostConnection
	events     hostEvents
	subjects   subjects
	embedded   *embeddedBroker // nil if the broker is another's
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

// connectHost connects a host's half. An embedded broker listens when it returns; one at
// a URL need not be there yet, and is tried until Close.
func connectHost(c hostConnection, events hostEvents) (*natsHost, error) {
	h := &natsHost{connection: c, events: events, subjects: subjects{c.Config.Queue}}
	if err := h.connect(); err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

func (h *natsHost) connect() error {
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
func (h *natsHost) where() ([]nats.Option, error) {
	c := h.connection.Config
	if c.URL != "" {
		return clientOptions(c.credentials())
	}
	var err error
	if h.embedded, err = startBroker(c, h.connection.DataDir, h.connection.Log); err != nil {
		return nil, err
	}
	return []nats.Option{nats.InProcessServer(h.embedded.server), nats.UserInfo(hostUser, h.embedded.secret)}, nil
}

func (h *natsHost) options() []nats.Option {
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

func (h *natsHost) connected(nc *nats.Conn) {
	h.payload.Store(nc.MaxPayload())
	h.events.Connected()
}

func (h *natsHost) received(m *nats.Msg) {
	from, channel, ok := h.subjects.peerOf(m.Subject)
	if !ok {
		h.events.Received(peer{}, m.Subject, m.Data)
		return
	}
	h.events.Received(from, channel, m.Data)
}

// answerAlive tells other processes that this one lives and has the queue.
func (h *natsHost) answerAlive(m *nats.Msg) {
	if h.events.HoldsQueue() {
		_ = m.Respond(nil) // unheard, it is asked again
	}
}

// Conn is the connection itself, for those who look into the broker.
func (h *natsHost) Conn() *nats.Conn { return h.conn }

// Connected says whether the broker is there.
func (h *natsHost) Connected() bool { return h.conn.IsConnected() }

// MaxPayload is what one message may hold, in bytes; 0 before the broker was seen.
func (h *natsHost) MaxPayload() int64 { return h.payload.Load() }

// Unread is how many messages of workers wait to be handed to Received.
func (h *natsHost) Unread() (int, error) {
	n, _, err := h.fromAll.Pending()
	return n, err
}

// Send tells a worker something. It may be lost without an error.
func (h *natsHost) Send(to peer, data []byte) error { return h.conn.Publish(h.subjects.down(to), data) }

// Close ends the connection, and the broker if it is embedded.
func (h *natsHost) Close() {
	if h.conn != nil {
		_ = h.conn.FlushTimeout(time.Second) // the last acks; unheard, they are asked for again
		h.conn.Close()
	}
	if h.embedded != nil {
		h.embedded.stop()
	}
}

// SetUp makes the stream of starts, or finds it; purge empties it. Created tells one
// life of the stream from the next.
func (h *natsHost) SetUp(ctx context.Context, purge bool) (created time.Time, err error) {
	c := h.connection.Config
	name := h.subjects.stream()
	maxBytes := c.MaxBytes
	if maxBytes <= 0 {
		maxBytes = -1
	}
	st, err := h.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: name, Subjects: []string{h.subjects.allStarts()},
		Description: "attempts that a taskhost hands out; its store refills it",
		Retention:   jetstream.WorkQueuePolicy, Storage: jetstream.FileStorage, Discard: jetstream.DiscardNew,
		MaxBytes: maxBytes, Replicas: c.Replicas, Duplicates: 2 * time.Minute,
	})
	if err != nil {
		return time.Time{}, withMeaning(fmt.Errorf("stream %s: %w", name, err))
	}
	if purge {
		if err := st.Purge(ctx); err != nil {
			return time.Time{}, withMeaning(fmt.Errorf("purge stream %s: %w", name, err))
		}
	}
	info, err := st.Info(ctx)
	if err != nil {
		return time.Time{}, withMeaning(fmt.Errorf("stream %s: %w", name, err))
	}
	return info.Created, nil
}

// Created is when the stream of starts was made.
func (h *natsHost) Created(ctx context.Context) (time.Time, error) {
	st, err := h.js.Stream(ctx, h.subjects.stream())
	if err != nil {
		return time.Time{}, withMeaning(err)
	}
	return st.CachedInfo().Created, nil
}

// MakeLane makes the consumer of a lane, or finds it.
func (h *natsHost) MakeLane(ctx context.Context, l lane) error {
	_, err := h.js.CreateOrUpdateConsumer(ctx, h.subjects.stream(), jetstream.ConsumerConfig{
		Durable: l.consumer(), FilterSubject: h.subjects.starts(l), AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: acceptWait, MaxDeliver: -1, MaxAckPending: 20_000, MaxWaiting: 8192,
	})
	if err != nil {
		return withMeaning(fmt.Errorf("consumer %s: %w", l.consumer(), err))
	}
	return nil
}

// DeleteLane takes away the consumer of a lane; it may be gone already.
func (h *natsHost) DeleteLane(ctx context.Context, l lane) error {
	err := h.js.DeleteConsumer(ctx, h.subjects.stream(), l.consumer())
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return withMeaning(fmt.Errorf("delete consumer %s: %w", l.consumer(), err))
	}
	return nil
}

// Publish hands out a start. Published or PublishFailed follows, unless it returns an
// error. The broker takes one start of a token, and one more for each higher copy.
func (h *natsHost) Publish(l lane, t token, copy int, start []byte) error {
	id := t.String()
	if copy > 0 { // else the broker would take it for the one it lost
		id = fmt.Sprintf("%s.%d", id, copy)
	}
	msg := nats.NewMsg(h.subjects.starts(l))
	msg.Data = start
	msg.Header.Set(nats.MsgIdHdr, id)
	if _, err := h.js.PublishMsgAsync(msg); err != nil {
		return withMeaning(fmt.Errorf("publish: %w", err))
	}
	return nil
}

func (h *natsHost) published(_ jetstream.JetStream, m *nats.Msg, ack *jetstream.PubAck) {
	h.events.Published(tokenOf(m), ack.Sequence)
}

func (h *natsHost) publishFailed(_ jetstream.JetStream, m *nats.Msg, err error) {
	h.events.PublishFailed(tokenOf(m), withMeaning(err))
}

// tokenOf is the token of a published start.
func tokenOf(m *nats.Msg) token {
	id := m.Header.Get(nats.MsgIdHdr)
	for i := range len(id) {
		if id[i] == '.' {
			id = id[:i]
			break
		}
	}
	t, err := sdk.ParseToken(id)
	if err != nil {
		return token{}
	}
	return t
}

// Withdraw takes a start out of the stream, if no worker pulled it before.
func (h *natsHost) Withdraw(position uint64) error {
	// By request rather than through the Stream, which would be looked up first.
	data, err := json.Marshal(map[string]any{"seq": position, "no_erase": true})
	if err != nil {
		return err
	}
	return h.conn.Publish("$JS.API.STREAM.MSG.DELETE."+h.subjects.stream(), data)
}

// Missing are those of the starts of a lane that the broker does not have any more,
// as far as it was found out before an error. errLaneMissing means that the lane itself
// is gone.
func (h *natsHost) Missing(ctx context.Context, l lane, starts []placedStart) (missing []placedStart, err error) {
	st, err := h.js.Stream(ctx, h.subjects.stream())
	if err != nil {
		return nil, withMeaning(err)
	}
	c, err := st.Consumer(ctx, l.consumer())
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil, errLaneMissing
	}
	if err != nil {
		return nil, withMeaning(err)
	}
	state, delivered := st.CachedInfo().State, c.CachedInfo().Delivered.Stream
	for _, s := range starts {
		if s.Position > delivered && s.Position <= state.LastSeq && s.Position >= state.FirstSeq {
			continue // waits for a worker
		}
		there, err := h.holds(ctx, st, s)
		if err != nil {
			return missing, withMeaning(err)
		}
		if !there {
			missing = append(missing, s)
		}
	}
	return missing, nil
}

// holds says whether a start is where the broker put it.
func (h *natsHost) holds(ctx context.Context, st jetstream.Stream, s placedStart) (bool, error) {
	m, err := st.GetMsg(ctx, s.Position)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	start, err := decodeStart(m.Data)
	return err == nil && start.task.Token == s.Token, nil
}
