package server

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

// readBody reads a JSON body of at most limit bytes.
func (h *handlers) readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	body, err := h.receiveBody(w, r, limit)
	if err != nil {
		return nil, err
	}
	return body, checkJSON(body)
}

// receiveBody reads a body that is said to be JSON, of at most limit bytes. The deadline is on
// the body alone: once it is here the request may be held for as long as it asks.
func (h *handlers) receiveBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if err := requireJSON(r); err != nil {
		return nil, err
	}
	if r.ContentLength > limit {
		return nil, tooLarge(limit)
	}
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(h.opts.BodyTimeout)) // a test's recorder has none
	body, err := readAll(w, r, limit)
	if err != nil {
		if big := (*http.MaxBytesError)(nil); errors.As(err, &big) {
			return nil, tooLarge(limit)
		}
		if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
			w.Header().Set("Connection", "close")
			return nil, task.Errorf(api.CodeRequestTimeout, "the body did not arrive within %s", h.opts.BodyTimeout)
		}
		return nil, &task.Error{Code: task.CodeInvalidRequest, Message: "the body could not be read", Cause: err}
	}
	// Left on, it would end a request that is held: the server reads ahead to
	// notice a client that goes away.
	_ = rc.SetReadDeadline(time.Time{})
	return body, nil
}

// readAll reads a body into as many bytes as it says that it has. What is large, and only announced yet, gets them as it comes.
func readAll(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	if n := r.ContentLength; n > 0 && n <= 1<<20 {
		body := make([]byte, n)
		_, err := io.ReadFull(r.Body, body)
		return body, err
	}
	return io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
}

// requireNoBody refuses a body where none belongs, so that a mistaken one is not
// silently without effect. An empty JSON object passes.
func (h *handlers) requireNoBody(w http.ResponseWriter, r *http.Request) error {
	if r.ContentLength == 0 {
		return nil
	}
	rc := http.NewResponseController(w)
	_ = rc.SetReadDeadline(time.Now().Add(h.opts.BodyTimeout))
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<10))
	_ = rc.SetReadDeadline(time.Time{})
	if b := string(bytes.TrimSpace(body)); err != nil || b != "" && b != "{}" {
		return task.Errorf(task.CodeInvalidRequest, "%s %s takes no body", r.Method, r.URL.Path)
	}
	return nil
}

func tooLarge(limit int64) error {
	return task.Errorf(task.CodeTooLarge, "the body is larger than %d bytes", limit)
}
