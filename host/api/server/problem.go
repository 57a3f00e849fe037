package server

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

// answerOf is the one table from error code to HTTP. A code that is not in it is
// a mistake of ours, and answered as internal.
func answerOf(code task.Code) (status int, title string) {
	switch code {
	case task.CodeInvalidRequest:
		return http.StatusBadRequest, "The request is not valid"
	case task.CodeInvalidInput:
		return http.StatusUnprocessableEntity, "The input does not match the task type's schema"
	case task.CodeUnauthenticated:
		return http.StatusUnauthorized, "A valid token is needed"
	case task.CodeForbidden:
		return http.StatusForbidden, "The caller may not do this"
	case task.CodeNotFound:
		return http.StatusNotFound, "There is no such thing"
	case task.CodeUnknownType:
		return http.StatusUnprocessableEntity, "No executor offers this task type"
	case task.CodeConflict:
		return http.StatusConflict, "The request conflicts with what is there"
	case task.CodeIdempotencyMismatch:
		return http.StatusUnprocessableEntity, "The idempotency key was used for another request"
	case task.CodeNotFinal:
		return http.StatusConflict, "The task is not final yet"
	case task.CodeAlreadyFinal:
		return http.StatusConflict, "The task is final already"
	case task.CodePreconditionFailed:
		return http.StatusPreconditionFailed, "The task has changed"
	case task.CodeTooLarge:
		return http.StatusRequestEntityTooLarge, "The request is too large"
	case task.CodeQueueFull:
		return http.StatusTooManyRequests, "The queue is full"
	case task.CodeExecutorUnavailable:
		return http.StatusServiceUnavailable, "The executor is not available"
	case task.CodeStoreUnavailable:
		return http.StatusServiceUnavailable, "The store is not available"
	case task.CodeStoreFull:
		return http.StatusInsufficientStorage, "The store is full"
	case api.CodeMethodNotAllowed:
		return http.StatusMethodNotAllowed, "The method is not allowed here"
	case api.CodeNotAcceptable:
		return http.StatusNotAcceptable, "The answer has another media type"
	case api.CodeUnsupportedMediaType:
		return http.StatusUnsupportedMediaType, "The request has another media type"
	case api.CodeRequestTimeout:
		return http.StatusRequestTimeout, "The request took too long to arrive"
	}
	return http.StatusInternalServerError, "The server failed"
}

// problemOf is what a client is told of err, and the seconds after which it may
// try again (0: nothing is said). Causes and errors without a code stay inside.
func problemOf(err error) (p api.Problem, retryAfter int) {
	var e *task.Error
	if !errors.As(err, &e) {
		e = &task.Error{Code: task.CodeInternal, Message: "internal error: the server's log says more"}
	}
	status, title := answerOf(e.Code)
	p = api.Problem{Type: api.ProblemType + string(e.Code), Title: title, Status: status, Detail: e.Message, Code: e.Code}
	if status == http.StatusInternalServerError {
		p.Code, p.Type = task.CodeInternal, api.ProblemType+string(task.CodeInternal)
	}
	for _, f := range e.Fields {
		p.Errors = append(p.Errors, api.ProblemField{Pointer: api.Pointer(f.Path), Detail: f.Message})
	}
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		retryAfter = max(1, int(math.Ceil(e.RetryAfter.Seconds())))
	}
	return p, retryAfter
}

// fail answers with err as a problem, and logs what is our fault.
func (h *handlers) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil && errors.Is(err, context.Canceled) {
		return // nobody is there to be answered
	}
	p, retryAfter := problemOf(err)
	if p.Status >= http.StatusInternalServerError {
		h.opts.Log.LogAttrs(r.Context(), slog.LevelError, "request failed", slog.String("method", r.Method),
			slog.String("path", r.URL.Path), slog.Int("status", p.Status), slog.Any("error", err))
	}
	h.writeProblem(w, p, retryAfter)
}

// writeProblem answers with p, and takes back what a handler said of another answer.
func (h *handlers) writeProblem(w http.ResponseWriter, p api.Problem, retryAfter int) {
	header := w.Header()
	for _, k := range []string{"Etag", "Location", "Link", "Cache-Control", "Content-Length"} {
		header.Del(k)
	}
	if retryAfter > 0 {
		header.Set("Retry-After", strconv.Itoa(retryAfter))
	}
	if p.Status == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", `Bearer realm="taskhost"`)
	}
	data, err := json.Marshal(p)
	if err != nil { // strings and numbers only: it cannot happen
		data = []byte(`{"code":"internal"}`)
	}
	header.Set("Content-Type", "application/problem+json")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Length", strconv.Itoa(len(data)+1))
	h.writeBy(w, time.Now().Add(h.opts.WriteTimeout))
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(data, '\n')) // the client may be gone
}
