package server

import (
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/taskhost/taskhost/host/identity"
	"github.com/taskhost/taskhost/host/task"
)

// startedWriter knows whom it answers, whether the answer has begun, and what became of it.
type startedWriter struct {
	http.ResponseWriter
	caller  identity.Caller // once that is known
	started bool
	status  int
	bytes   int64
	problem task.Code // of the problem that is the answer; "" if it is none
}

func (w *startedWriter) WriteHeader(status int) {
	if !w.started {
		w.status = status
	}
	w.started = true
	w.ResponseWriter.WriteHeader(status)
}

func (w *startedWriter) Write(p []byte) (int, error) {
	if !w.started {
		w.status = http.StatusOK
	}
	w.started = true
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (w *startedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// requestAttrs are what the log tells of a request, once it is over: of a stream or a
// request that is held, that is when it ends.
func requestAttrs(r *http.Request, w *startedWriter, took time.Duration) []slog.Attr {
	attrs := []slog.Attr{slog.String("method", r.Method), slog.String("path", loggedPath(r))}
	if r.URL.RawQuery != "" {
		attrs = append(attrs, slog.String("query", r.URL.RawQuery))
	}
	if w.started {
		attrs = append(attrs, slog.Int("status", w.status), slog.Int64("bytes", w.bytes))
	}
	if w.problem != "" {
		attrs = append(attrs, slog.String("code", string(w.problem)))
	}
	if r.Context().Err() != nil {
		attrs = append(attrs, slog.Bool("client_gone", true))
	}
	return append(attrs, slog.Duration("took", took))
}

// What the paths begin with that hold a secret: an attempt's token.
const (
	attemptsPath = "/v1/attempts/"
	claimsPath   = "/v1/board/claims/"
)

// loggedPath is the path of a request without the secret in it.
func loggedPath(r *http.Request) string {
	for _, before := range []string{attemptsPath, claimsPath} {
		if rest, secret := strings.CutPrefix(r.URL.Path, before); secret {
			_, what, _ := strings.Cut(rest, "/")
			return before + "{token}/" + what
		}
	}
	return r.URL.Path
}
