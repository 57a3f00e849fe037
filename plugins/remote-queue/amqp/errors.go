package amqp

import (
	"errors"
	"net/url"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"
	"github.com/rabbitmq/amqp091-go"
)

// NotFound says that the broker answered that a queue or an exchange is not there.
func NotFound(err error) bool { return isCode(err, amqp091.NotFound) }

// Refused says that the broker answered, and will answer the same again: what was asked may
// not be, for whoever asks or as it was asked.
func Refused(err error) bool {
	return isCode(err, amqp091.AccessRefused) || isCode(err, amqp091.PreconditionFailed) || isCode(err, amqp091.NotAllowed) ||
		isCode(err, amqp091.NotImplemented) || isCode(err, amqp091.ResourceLocked)
}

func isCode(err error, code int) bool {
	var e *amqp091.Error
	return errors.As(err, &e) && e.Code == code
}

// withoutSecrets leaves the address out of an error, which may hold a password.
func withoutSecrets(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// logSparsely logs why a broker cannot be reached: at first, and then ever more rarely.
func logSparsely(log hclog.Logger) func(error) {
	var n atomic.Int64
	return func(err error) {
		if i := n.Add(1); i&(i-1) == 0 {
			log.Warn("the broker cannot be reached; it is tried again", "attempts", i, "error", err)
		}
	}
}
