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
	h.extendWriteDeadline(w)
	w.WriteHeader(status)
	_, err := w.Write(data)
	return clientGone(err)
}

// jsonType and noSniff are shared by all answers and never written to.
var (
	jsonType = []string{"application/json"}
	noSniff  = []string{"nosniff"}
)

// writeInPieces writes in pieces with a deadline each, so that a large answer may
// take its time as long as it is read.
func (h *handlers) writeInPieces(w http.ResponseWriter, data []byte) error {
	const piece = 256 << 10
	for len(data) > 0 {
		n := min(piece, len(data))
		h.extendWriteDeadline(w)
		if _, err := w.Write(data[:n]); err != nil {
			return errClientGone
		}
		data = data[n:]
	}
	return nil
}

// extendWriteDeadline gives the client WriteTimeout from now to read what is written next.
func (h *handlers) extendWriteDeadline(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(h.opts.WriteTimeout)) // a test's recorder has none
}

// errClientGone says that the client went away in the middle of an answer.
var errClientGone = errors.New("client is gone")

// clientGone is the error of a write, of which only one cause is expected.
func clientGone(err error) error {
	if err != nil {
		return errClientGone
	}
	return nil
}
