package api

import (
	"net/http"
	"time"
)

// stream is an answer that is written piece by piece, each with a deadline: a
// client that stops reading is cut off, and never holds up who tells it.
type stream struct {
	a  *api
	w  http.ResponseWriter
	rc *http.ResponseController
}

func (a *api) stream(w http.ResponseWriter, contentType string) (*stream, error) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Accel-Buffering", "no") // some proxies hold back what they think will grow
	s := &stream{a: a, w: w, rc: http.NewResponseController(w)}
	a.writeBy(w, time.Now().Add(a.opts.WriteTimeout))
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
	s.a.writeBy(s.w, time.Now().Add(s.a.opts.WriteTimeout))
	_, err := s.w.Write(data)
	return gone(err)
}

func (s *stream) flush() error { return gone(s.rc.Flush()) }
