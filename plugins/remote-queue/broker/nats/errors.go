package natsbroker

import (
	"errors"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/taskhost/taskhost/plugins/remote-queue/broker"
)

// brokerError is an error of the broker's with what it means to the halves. Its text is the
// broker's.
type brokerError struct {
	error
	is error
}

func (m brokerError) Is(target error) bool { return target == m.is }

func (m brokerError) Unwrap() error { return m.error }

// withMeaning says what an error of the broker means to the halves.
func withMeaning(err error) error {
	var refused *jetstream.APIError
	switch {
	case errors.Is(err, jetstream.ErrStreamMessageExceedsMaximum):
		return brokerError{err, broker.ErrStartTooLarge}
	case errors.Is(err, jetstream.ErrStreamNotFound), errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse):
		return brokerError{err, broker.ErrStoreMissing}
	case errors.As(err, &refused):
		return brokerError{err, broker.ErrRefused}
	}
	return err
}
