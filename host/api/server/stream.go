package server

import (
	"net/http"
	"time"
)

const (
	// logLag is how long a follower waits before it looks for lines that it heard
	// of but that are not yet stored: hosts write them a few times a second.
	logLag = 200 * time.Millisecond
	// settling is how many such looks a new watch takes whether it heard of
	// anything or not: what was said just before it began is told to nobody, and
	// stored only now.
	settling = 5
)

// stream is an answer that is written piece by piece, each with a deadline: a
// client that stops reading is cut off, and never holds up who tells it.
type stream struct {
	h  *handlers
	w  http.ResponseWriter
	rc *http.ResponseController
}

func (h *handlers) stream(w http.ResponseWriter, contentType string) (*stream, error) {
	header := w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("X-Accel-Buffering", "no") // some proxies hold back what they think will grow
	s := &stream{h: h, w: w, rc: http.NewResponseController(w)}
	h.writeBy(w, time.Now().Add(h.opts.WriteTimeout))
	w.WriteHeader(http.StatusOK)
	return s, s.flush()
}

// write sends data now.
func (s *stream) write(data []byte) error {
	if err := s.put(data); err != nil {
		return err
	}
	return s.flush()
}

// put leaves data to the next flush.
func (s *stream) put(data []byte) error {
	s.h.writeBy(s.w, time.Now().Add(s.h.opts.WriteTimeout))
	_, err := s.w.Write(data)
	return gone(err)
}

func (s *stream) flush() error { return gone(s.rc.Flush()) }
