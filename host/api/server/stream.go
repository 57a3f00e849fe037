package server

import (
	"net/http"
	"time"
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
