package server

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"math"
	"net/http"
	"strconv"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

// statuses is the one table from error code to HTTP.
var statuses = map[task.Code]struct {
	status int
	title  string
}{
	task.CodeInvalidRequest:      {http.StatusBadRequest, "The request is not valid"},
	task.CodeInvalidInput:        {http.StatusUnprocessableEntity, "The input does not match the task type's schema"},
	task.CodeUnauthenticated:     {http.StatusUnauthorized, "A valid token is needed"},
	task.CodeForbidden:           {http.StatusForbidden, "The caller may not do this"},
	task.CodeNotFound:            {http.StatusNotFound, "There is no such thing"},
	task.CodeUnknownType:         {http.StatusUnprocessableEntity, "No executor offers this task type"},
	task.CodeConflict:            {http.StatusConflict, "The request conflicts with what is there"},
	task.CodeIdempotencyMismatch: {http.StatusUnprocessableEntity, "The idempotency key was used for another request"},
	task.CodeNotFinal:            {http.StatusConflict, "The task is not final yet"},
	task.CodeAlreadyFinal:        {http.StatusConflict, "The task is final already"},
	task.CodePreconditionFailed:  {http.StatusPreconditionFailed, "The task has changed"},
	task.CodeTooLarge:            {http.StatusRequestEntityTooLarge, "The request is too large"},
	task.CodeQueueFull:           {http.StatusTooManyRequests, "The queue is full"},
	task.CodeQuotaExceeded:       {http.StatusTooManyRequests, "The owner has as much as it may"},
	task.CodeExecutorUnavailable: {http.StatusServiceUnavailable, "The executor is not available"},
	task.CodeStoreUnavailable:    {http.StatusServiceUnavailable, "The store is not available"},
	task.CodeStaleClaim:          {http.StatusConflict, "The claim is not held any more"},
	task.CodeStoreFull:           {http.StatusInsufficientStorage, "The store is full"},
	api.CodeMethodNotAllowed:     {http.StatusMethodNotAllowed, "The method is not allowed here"},
	api.CodeNotAcceptable:        {http.StatusNotAcceptable, "The answer has another media type"},
	api.CodeUnsupportedMediaType: {http.StatusUnsupportedMediaType, "The request has another media type"},
	api.CodeRequestTimeout:       {http.StatusRequestTimeout, "The request took too long to arrive"},
	api.CodeHeadTooLarge:         {http.StatusRequestHeaderFieldsTooLarge, "The head of the request is too large"},
	api.CodeExpectationFailed:    {http.StatusExpectationFailed, "The request expects what is not known here"},
	api.CodeNotImplemented:       {http.StatusNotImplemented, "The request needs what is not known here"},
	api.CodeVersionNotSupported:  {http.StatusHTTPVersionNotSupported, "The version of HTTP is not known here"},
}

// statusOf looks a code up. One that is not in the table is a mistake of ours, and
// answered as internal.
func statusOf(code task.Code) (status int, title string) {
	if s, ok := statuses[code]; ok {
		return s.status, s.title
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
	status, title := statusOf(e.Code)
	p = api.Problem{Type: api.ProblemType + string(e.Code), Title: title, Status: status, Detail: e.Message, Code: e.Code}
	if status == http.StatusInternalServerError {
		p.Code = task.CodeInternal
		p.Type = api.ProblemType + string(task.CodeInternal)
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
	if ourFault(p.Status, err) {
		h.opts.Log.LogAttrs(r.Context(), slog.LevelError, "request failed", slog.String("method", r.Method),
			slog.String("path", loggedPath(r)), slog.Int("status", p.Status), slog.Any("error", err))
	}
	h.writeProblem(w, p, retryAfter)
}

// ourFault tells a failure that an operator must know of from an answer that clients are
// used to: an executor that is away, a host that is about to end. What has a cause beneath
// it, as a store that fails has, is not said by any other answer.
func ourFault(status int, err error) bool {
	var e *task.Error
	return status == http.StatusInternalServerError ||
		status > http.StatusInternalServerError && errors.As(err, &e) && e.Cause != nil
}

// writeProblem answers with p, and takes back what a handler said of another answer.
func (h *handlers) writeProblem(w http.ResponseWriter, p api.Problem, retryAfter int) {
	if sw, ok := w.(*startedWriter); ok {
		sw.problem = p.Code
	}
	header := w.Header()
	for _, k := range []string{"Etag", "Location", "Content-Location", "Link", "Cache-Control", "Content-Length", "Idempotency-Replayed", "Preference-Applied"} {
		header.Del(k)
	}
	if retryAfter > 0 {
		header.Set("Retry-After", strconv.Itoa(retryAfter))
	}
	if p.Status == http.StatusUnauthorized {
		header.Set("WWW-Authenticate", `Bearer realm="taskhost"`)
	}
	body := encodeProblem(p)
	header.Set("Content-Type", problemType)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Length", strconv.Itoa(len(body)))
	h.extendWriteDeadline(w)
	w.WriteHeader(p.Status)
	_, _ = w.Write(body) // the client may be gone
}

// problemType is the media type of a problem.
const problemType = "application/problem+json"

// encodeProblem is p as the body of an answer.
func encodeProblem(p api.Problem) []byte {
	data, err := json.Marshal(p)
	if err != nil { // strings and numbers only: it cannot happen
		data = []byte(`{"code":"internal"}`)
	}
	return append(data, '\n')
}
