package server

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

const (
	// maxStream ends a stream that has gone on for a week: its client comes back.
	maxStream = 7 * 24 * time.Hour
	// storeLag is how long a follower waits before it looks for what it heard of but
	// what is not yet stored: hosts write logs and progress a few times a second.
	storeLag = 200 * time.Millisecond
	// looksAtStart is how many such looks a new watch takes whether it heard of
	// anything or not: what was said just before it began is told to nobody, and
	// stored only now.
	looksAtStart = 5
)

// stream is an answer that is written piece by piece, each with a deadline: a
// client that stops reading is cut off, and never holds up who tells it.
type stream struct {
	handlers   *handlers
	w          http.ResponseWriter
	controller *http.ResponseController
}

// stream begins the answer.
func (h *handlers) stream(w http.ResponseWriter, contentType string) (*stream, error) {
	header := w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Accel-Buffering", "no") // some proxies hold back what they think will grow
	s := &stream{handlers: h, w: w, controller: http.NewResponseController(w)}
	h.extendWriteDeadline(w)
	w.WriteHeader(http.StatusOK)
	return s, s.flush()
}

// send writes data, and has it on its way now.
func (s *stream) send(data []byte) error {
	if err := s.write(data); err != nil {
		return err
	}
	return s.flush()
}

// write leaves data to the next flush.
func (s *stream) write(data []byte) error {
	s.handlers.extendWriteDeadline(s.w)
	_, err := s.w.Write(data)
	return clientGone(err)
}

func (s *stream) flush() error { return clientGone(s.controller.Flush()) }

// untilFinal calls follow, which tells of a task until that is final or its watch is
// over, again and again: until the task is final or deleted, or ctx ends.
func untilFinal(ctx context.Context, follow func(context.Context) (final bool, err error)) error {
	for {
		final, err := follow(ctx)
		switch {
		case final, ctx.Err() != nil, task.CodeOf(err) == task.CodeNotFound, errors.Is(err, context.Canceled):
			return nil // there is no way to say more: the answer has long begun
		case err != nil:
			return err
		}
	}
}
