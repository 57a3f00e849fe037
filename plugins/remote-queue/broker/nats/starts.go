package natsbroker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/taskhost/taskhost/plugins/remote-queue/broker"
	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
)

// SetUp makes the stream of starts, or finds it; purge empties it. Created tells one
// life of the stream from the next.
func (h *Host) SetUp(ctx context.Context, purge bool) (created time.Time, err error) {
	c := h.connection.Config
	name := h.subjects.Stream()
	maxBytes := c.MaxBytes
	if maxBytes <= 0 {
		maxBytes = -1
	}
	storage := jetstream.FileStorage
	if h.embedded != nil {
		// It ends with the host, and the next one hands out anew what was not started, so files
		// would be of no use; and to empty a stream that is often empty costs more than all else.
		storage = jetstream.MemoryStorage
		if purge { // that of an earlier version is in files, which no update changes
			if err := h.js.DeleteStream(ctx, name); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
				return time.Time{}, withMeaning(fmt.Errorf("delete stream %s: %w", name, err))
			}
		}
	}
	st, err := h.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
		Name: name, Subjects: []string{h.subjects.AllStarts()},
		Description: "attempts that a taskhost hands out; its store refills it",
		Retention:   jetstream.WorkQueuePolicy, Storage: storage, Discard: jetstream.DiscardNew,
		MaxBytes: maxBytes, Replicas: c.Replicas,
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
func (h *Host) Created(ctx context.Context) (time.Time, error) {
	st, err := h.js.Stream(ctx, h.subjects.Stream())
	if err != nil {
		return time.Time{}, withMeaning(err)
	}
	return st.CachedInfo().Created, nil
}

// laneExpiry is after what time the broker removes the consumer of a lane from which nobody takes
// anything: it may be one of an earlier host's that this one does not know. The starts stay.
const laneExpiry = 24 * time.Hour

// MakeLane makes the consumer of a lane, or finds it.
func (h *Host) MakeLane(ctx context.Context, l wire.Lane) error {
	_, err := h.js.CreateOrUpdateConsumer(ctx, h.subjects.Stream(), jetstream.ConsumerConfig{
		Durable: l.Name(), FilterSubject: h.subjects.Starts(l), AckPolicy: jetstream.AckExplicitPolicy,
		AckWait: broker.AcceptWait, MaxDeliver: -1, MaxAckPending: 20_000, MaxWaiting: 8192,
		InactiveThreshold: laneExpiry,
	})
	if err != nil {
		return withMeaning(fmt.Errorf("consumer %s: %w", l.Name(), err))
	}
	return nil
}

// DeleteLane takes away the consumer of a lane; it may be gone already.
func (h *Host) DeleteLane(ctx context.Context, l wire.Lane) error {
	err := h.js.DeleteConsumer(ctx, h.subjects.Stream(), l.Name())
	if err != nil && !errors.Is(err, jetstream.ErrConsumerNotFound) {
		return withMeaning(fmt.Errorf("delete consumer %s: %w", l.Name(), err))
	}
	return nil
}

// Publish hands out a start. Published or PublishFailed follows, unless it returns an
// error. A start that is published twice is delivered twice.
func (h *Host) Publish(l wire.Lane, start []byte) error {
	if _, err := h.js.PublishMsgAsync(&nats.Msg{Subject: h.subjects.Starts(l), Data: start}); err != nil {
		return withMeaning(fmt.Errorf("publish: %w", err))
	}
	return nil
}

// Withdraw takes a start out of the stream, if no worker pulled it before.
func (h *Host) Withdraw(position uint64) error {
	// By request rather than through the Stream, which would be looked up first.
	data, err := json.Marshal(map[string]any{"seq": position, "no_erase": true})
	if err != nil {
		return err
	}
	return h.conn.Publish("$JS.API.STREAM.MSG.DELETE."+h.subjects.Stream(), data)
}

// Missing are those of the starts of a lane that the broker does not have any more,
// as far as it was found out before an error. errLaneMissing means that the lane itself
// is gone.
func (h *Host) Missing(ctx context.Context, l wire.Lane, starts []broker.PlacedStart) (missing []broker.PlacedStart, err error) {
	st, err := h.js.Stream(ctx, h.subjects.Stream())
	if err != nil {
		return nil, withMeaning(err)
	}
	c, err := st.Consumer(ctx, l.Name())
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil, broker.ErrLaneMissing
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
func (h *Host) holds(ctx context.Context, st jetstream.Stream, s broker.PlacedStart) (bool, error) {
	m, err := st.GetMsg(ctx, s.Position)
	if errors.Is(err, jetstream.ErrMsgNotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	start, err := wire.DecodeStart(m.Data)
	return err == nil && start.Task.Token == s.Token, nil
}
