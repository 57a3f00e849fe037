package server

import (
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/taskhost/taskhost/host/api"
)

// writeJSON answers with v. What is wrong with v is our mistake.
func (h *handlers) writeJSON(w http.ResponseWriter, status int, v any) error {
	data, err := api.Encode(v)
	if err != nil {
		return err
	}
	return h.writeBytes(w, status, data)
}

func (h *handlers) writeBytes(w http.ResponseWriter, status int, data []byte) error {
	header := w.Header()
	header["Content-Type"] = jsonType
	header["X-Content-Type-Options"] = noSniff
	header["Content-Length"] = []string{strconv.Itoa(len(data))}
	h.writeBy(w, time.Now().Add(h.opts.WriteTimeout))
	w.WriteHeader(status)
	_, err := w.Write(data)
	return gone(err)
}

// jsonType and noSniff are shared by all answers and never written to.
var (
	jsonType = []string{"application/json"}
	noSniff  = []string{"nosniff"}
)

// writeSlowly writes in pieces with a deadline each, so that a large answer may
// take its time as long as it is read.
func (h *handlers) writeSlowly(w http.ResponseWriter, data []byte) error {
	const piece = 256 << 10
	for len(data) > 0 {
		n := min(piece, len(data))
		h.writeBy(w, time.Now().Add(h.opts.WriteTimeout))
		if _, err := w.Write(data[:n]); err != nil {
			return errGone
		}
		data = data[n:]
	}
	return nil
}

// writeBy bounds how long a client may take to read what is written next.
func (h *handlers) writeBy(w http.ResponseWriter, t time.Time) {
	_ = http.NewResponseController(w).SetWriteDeadline(t) // a test's recorder has none
}

// errGone says that the client went away in the middle of an answer.
var errGone = errors.New("client is gone")

func gone(err error) error {
	if err != nil {
		return errGone
	}
	return nil
}
