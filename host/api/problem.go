package api

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// Codes of HTTP itself, which the domain has no word for.
const (
	codeMethodNotAllowed task.Code = "method_not_allowed"
	codeNotAcceptable    task.Code = "not_acceptable"
	codeMediaType        task.Code = "unsupported_media_type"
	codeSlowRequest      task.Code = "request_timeout"
)

// ProblemType begins the type of every problem; the code follows.
const ProblemType = "urn:taskhost:problem:"

// Problem is the body of every error, by RFC 9457.
type Problem struct {
	Type   string         `json:"type" doc:"urn:taskhost:problem: and the code"`
	Title  string         `json:"title" doc:"the same for every problem of this type"`
	Status int            `json:"status" doc:"the HTTP status"`
	Detail string         `json:"detail" doc:"what was wrong, where, and what to do"`
	Code   task.Code      `json:"code" doc:"a stable name in snake case, to be matched by programs"`
	Errors []ProblemField `json:"errors,omitempty" nullable:"false" doc:"the fields at fault"`
	// Checks is what /readyz?verbose adds.
	Checks map[string]string `json:"checks,omitempty" doc:"of /readyz?verbose: a line for each part"`
}

// ProblemField is one field at fault.
type ProblemField struct {
	Pointer string `json:"pointer" doc:"a JSON pointer into the body; for a query parameter, / and its name"`
	Detail  string `json:"detail"`
}

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
	case codeMethodNotAllowed:
		return http.StatusMethodNotAllowed, "The method is not allowed here"
	case codeNotAcceptable:
		return http.StatusNotAcceptable, "The answer has another media type"
	case codeMediaType:
		return http.StatusUnsupportedMediaType, "The request has another media type"
	case codeSlowRequest:
		return http.StatusRequestTimeout, "The request took too long to arrive"
	}
	return http.StatusInternalServerError, "The server failed"
}

// ProblemOf is what a client is told of err, and the seconds after which it may
// try again (0: nothing is said). Causes and errors without a code stay inside.
func ProblemOf(err error) (p Problem, retryAfter int) {
	var e *task.Error
	if !errors.As(err, &e) {
		e = &task.Error{Code: task.CodeInternal, Message: "internal error: the server's log says more"}
	}
	status, title := answerOf(e.Code)
	p = Problem{Type: ProblemType + string(e.Code), Title: title, Status: status, Detail: e.Message, Code: e.Code}
	if status == http.StatusInternalServerError {
		p.Code, p.Type = task.CodeInternal, ProblemType+string(task.CodeInternal)
	}
	for _, f := range e.Fields {
		p.Errors = append(p.Errors, ProblemField{Pointer: f.Pointer, Detail: f.Message})
	}
	if status == http.StatusTooManyRequests || status == http.StatusServiceUnavailable {
		retryAfter = max(1, int(math.Ceil(e.RetryAfter.Seconds())))
	}
	return p, retryAfter
}

// fail answers with err as a problem, and logs what is our fault.
func (a *api) fail(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil && errors.Is(err, context.Canceled) {
		return // nobody is there to be answered
	}
	p, retryAfter := ProblemOf(err)
	if p.Status >= http.StatusInternalServerError {
		a.opts.Log.LogAttrs(r.Context(), slog.LevelError, "request failed", slog.String("method", r.Method),
			slog.String("path", r.URL.Path), slog.Int("status", p.Status), slog.Any("error", err))
	}
	a.problem(w, p, retryAfter)
}

func (a *api) problem(w http.ResponseWriter, p Problem, retryAfter int) {
	h := w.Header()
	for _, k := range []string{"Etag", "Location", "Link", "Cache-Control", "Content-Length"} {
		h.Del(k)
	}
	if retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(retryAfter))
	}
	if p.Status == http.StatusUnauthorized {
		h.Set("WWW-Authenticate", `Bearer realm="taskhost"`)
	}
	data, err := json.Marshal(p)
	if err != nil { // strings and numbers only: it cannot happen
		data = []byte(`{"code":"internal"}`)
	}
	h.Set("Content-Type", "application/problem+json")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Length", strconv.Itoa(len(data)+1))
	a.writeBy(w, time.Now().Add(a.opts.WriteTimeout))
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(data, '\n')) // the client may be gone
}

// Error is the problem as an error with its code, as Client returns it.
func (p Problem) Error(retryAfter time.Duration) *task.Error {
	e := &task.Error{Code: p.Code, Message: p.Detail, RetryAfter: retryAfter}
	for _, f := range p.Errors {
		e.Fields = append(e.Fields, task.FieldError{Pointer: f.Pointer, Message: f.Detail})
	}
	return e
}
