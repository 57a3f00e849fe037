package server

import (
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

func attemptToken(r *http.Request) (task.Token, error) { return parseToken(r.PathValue("token")) }

func parseToken(text string) (task.Token, error) {
	var t task.Token
	b, err := hex.DecodeString(text)
	if err != nil || len(b) != len(t) {
		return t, task.Errorf(task.CodeNotFound, "no attempt runs with this token")
	}
	copy(t[:], b)
	return t, nil
}

func (h *handlers) attemptInput(w http.ResponseWriter, r *http.Request, _ task.Scope) error {
	return h.attemptPayload(w, r, h.svc.AttemptInput, "application/json")
}

func (h *handlers) attemptCheckpoint(w http.ResponseWriter, r *http.Request, _ task.Scope) error {
	return h.attemptPayload(w, r, h.svc.AttemptCheckpoint, "application/octet-stream")
}

func (h *handlers) attemptChildren(w http.ResponseWriter, r *http.Request, _ task.Scope) error {
	return h.attemptPayload(w, r, func(t task.Token) ([]byte, error) { return h.svc.AttemptChildren(r.Context(), t) }, "application/json")
}

func (h *handlers) attemptPayload(w http.ResponseWriter, r *http.Request, read func(task.Token) ([]byte, error), media string) error {
	token, err := attemptToken(r)
	if err != nil {
		return err
	}
	data, err := read(token)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", media)
	w.Header().Set("Content-Length", strconv.Itoa(len(data)))
	w.WriteHeader(http.StatusOK)
	return h.writeInPieces(w, data)
}

// bytesTimeout bounds how long a worker may take to send bytes of its own.
const bytesTimeout = 5 * time.Minute

// readBytes reads a body of a worker's own, of at most limit bytes; what says what it is.
func (h *handlers) readBytes(w http.ResponseWriter, r *http.Request, limit int64, what string) ([]byte, error) {
	if err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(bytesTimeout)); err != nil {
		return nil, err
	}
	data, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var big *http.MaxBytesError
	switch {
	case errors.As(err, &big):
		return nil, task.Errorf(task.CodeTooLarge, "the %s has more than %d bytes", what, big.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		w.Header().Set("Connection", "close")
		return nil, task.Errorf(api.CodeRequestTimeout, "the %s did not arrive within %s", what, bytesTimeout)
	case err != nil:
		return nil, &task.Error{Code: task.CodeInvalidRequest, Message: "the " + what + " could not be read", Cause: err}
	}
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // the server reads on, to notice a client that goes away
	return data, nil
}

func (h *handlers) putAttemptResult(w http.ResponseWriter, r *http.Request, _ task.Scope) error {
	token, err := attemptToken(r)
	if err != nil {
		return err
	}
	if _, err := h.svc.AttemptInput(token); err != nil { // before any byte of the body is taken
		return err
	}
	data, err := h.readBytes(w, r, h.opts.MaxBatch, "result")
	if err != nil {
		return err
	}
	if err := h.svc.PutAttemptResult(r.Context(), token, r.Header.Get("Content-Type"), data); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
