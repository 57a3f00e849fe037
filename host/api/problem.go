package api

import (
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// ProblemType begins the type of every problem; the code follows.
const ProblemType = "urn:taskhost:problem:"

// Problem is the body of every error, by RFC 9457.
type Problem struct {
	Type   string            `json:"type" doc:"urn:taskhost:problem: and the code"`
	Title  string            `json:"title" doc:"the same for every problem of this type"`
	Status int               `json:"status" doc:"the HTTP status of the answer"`
	Detail string            `json:"detail" doc:"what was wrong, where, and what to do"`
	Code   task.Code         `json:"code" doc:"a stable name in snake case, to be matched by programs"`
	Errors []ProblemField    `json:"errors,omitempty" nullable:"false" doc:"the fields at fault, at most 100; absent where no field is"`
	Checks map[string]string `json:"checks,omitempty" doc:"of /readyz?verbose: a line for each part"`
}

// ProblemField is one field at fault.
type ProblemField struct {
	Pointer string `json:"pointer" doc:"a JSON pointer into the body; for a query parameter, / and its name"`
	Detail  string `json:"detail" doc:"what is wrong with it"`
}

// Codes of HTTP itself, which the domain has no word for.
const (
	CodeMethodNotAllowed     task.Code = "method_not_allowed"
	CodeNotAcceptable        task.Code = "not_acceptable"
	CodeUnsupportedMediaType task.Code = "unsupported_media_type"
	CodeRequestTimeout       task.Code = "request_timeout"
	CodeHeadTooLarge         task.Code = "head_too_large"
	CodeExpectationFailed    task.Code = "expectation_failed"
	CodeNotImplemented       task.Code = "not_implemented"
	CodeVersionNotSupported  task.Code = "http_version_not_supported"
)

// AsError is the problem as the error that it tells of, with its code and its fields.
// retryAfter is of the answer's head; 0 if it says nothing.
func (p Problem) AsError(retryAfter time.Duration) *task.Error {
	e := &task.Error{Code: p.Code, Message: p.Detail, RetryAfter: retryAfter}
	for _, f := range p.Errors {
		e.Fields = append(e.Fields, task.FieldError{Path: path(f.Pointer), Message: f.Detail})
	}
	return e
}
