package task

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Code is a stable name for what went wrong, as clients see it.
type Code string

// The codes; host/api maps each to a status in one table.
const (
	CodeInvalidRequest      Code = "invalid_request"
	CodeInvalidInput        Code = "invalid_input"
	CodeUnauthenticated     Code = "unauthenticated"
	CodeForbidden           Code = "forbidden"
	CodeNotFound            Code = "not_found"
	CodeUnknownType         Code = "unknown_type"
	CodeConflict            Code = "conflict"
	CodeIdempotencyMismatch Code = "idempotency_mismatch"
	CodeNotFinal            Code = "not_final"
	CodeAlreadyFinal        Code = "already_final"
	CodePreconditionFailed  Code = "precondition_failed"
	CodeTooLarge            Code = "too_large"
	CodeQueueFull           Code = "queue_full"
	CodeQuotaExceeded       Code = "quota_exceeded"
	CodeExecutorUnavailable Code = "executor_unavailable"
	CodeStoreUnavailable    Code = "store_unavailable"
	CodeStoreFull           Code = "store_full"
	CodeStaleClaim          Code = "stale_claim"
	CodeInternal            Code = "internal"
)

// Error is an error that its reader can act on: matched by Code, never by text.
type Error struct {
	Code       Code
	Message    string // what was wrong, where, and what to do
	Fields     []FieldError
	GroupsOwn  bool          // the group is at fault that tasks were submitted with, and none of them
	TaskNumber int           // which of several tasks submitted together is at fault, from 1; 0: no single one, or there is only one
	RetryAfter time.Duration // of queue_full, quota_exceeded and the unavailables; 0 if unknown
	Cause      error         // for logs; never shown to clients
}

// FieldError says which field of a request is at fault.
type FieldError struct {
	// Path leads to the field: names of members, and indexes of elements, from the task (or
	// whatever the request is about) down. Empty: all of it is at fault. Where the
	// task stands in a request is for whoever read the request to say.
	Path    []string
	Message string
}

// Place is the path as people read it, such as /labels/team; "" if it is empty.
func (f FieldError) Place() string {
	if len(f.Path) == 0 {
		return ""
	}
	return "/" + strings.Join(f.Path, "/")
}

func (e *Error) Error() string {
	text := e.Message
	if e.TaskNumber > 0 {
		text = fmt.Sprintf("task %d: %s", e.TaskNumber, text)
	}
	if e.Cause != nil {
		text += ": " + e.Cause.Error()
	}
	return text
}

func (e *Error) Unwrap() error { return e.Cause }

// WithTaskNumber is err as that of the i-th (from 0) of so many tasks submitted
// together. An error without a code, and that of the only task, stays as it is.
func WithTaskNumber(err error, i, of int) error {
	e, ok := err.(*Error)
	if !ok || of == 1 {
		return err
	}
	out := *e
	out.TaskNumber = i + 1
	return &out
}

// OfGroup is err as that of the group which tasks are submitted with, and of none of them. An
// error without a code stays as it is.
func OfGroup(err error) error {
	e, ok := err.(*Error)
	if !ok {
		return err
	}
	out := *e
	out.GroupsOwn = true
	return &out
}

// WithField is err as that of what stands in that field: its fields are found below it. An
// error without a code stays as it is.
func WithField(err error, field string) error {
	e, ok := err.(*Error)
	if !ok {
		return err
	}
	out := *e
	out.Message = field + ": " + e.Message
	out.Fields = make([]FieldError, len(e.Fields))
	for i, f := range e.Fields {
		out.Fields[i] = FieldError{Path: append([]string{field}, f.Path...), Message: f.Message}
	}
	return &out
}

// Errorf makes an Error.
func Errorf(code Code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...)}
}

// CodeOf is the code of err: "" for nil, CodeInternal if it has none.
func CodeOf(err error) Code {
	if err == nil {
		return ""
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return CodeInternal
}

// Faults gathers what is wrong with a request, so that one answer says it all. The zero
// value has none.
type Faults []FieldError

// Check adds a fault of that field unless ok.
func (f *Faults) Check(ok bool, field, format string, args ...any) {
	if !ok {
		*f = append(*f, FieldError{Path: []string{field}, Message: fmt.Sprintf(format, args...)})
	}
}

// Labels adds the faults of labels, or of a route.
func (f *Faults) Labels(field string, labels map[string]string) {
	if len(labels) > MaxLabels { // one fault for all of them
		f.Check(false, field, "has more than %d entries", MaxLabels)
		return
	}
	for k, v := range labels {
		f.Check(k != "" && len(k) <= MaxLabel, field, "has a name that is empty or longer than %d bytes", MaxLabel)
		if strings.Contains(k, "=") {
			*f = append(*f, FieldError{Path: []string{field, k}, Message: "has a '=' in its name: filters are written name=value, and none could ask for it"})
		}
		if len(v) > MaxLabel {
			*f = append(*f, FieldError{Path: []string{field, k}, Message: fmt.Sprintf("is longer than %d bytes", MaxLabel)})
		}
	}
}

// ValidLabelName says whether a label of a task, a route or a worker may have that name:
// it is not empty, has at most MaxLabel bytes, and no '=', which ends a name in a filter.
func ValidLabelName(name string) bool {
	return name != "" && len(name) <= MaxLabel && !strings.Contains(name, "=")
}

// Err is all faults in one error of code invalid_request; nil if there are none.
func (f Faults) Err() error {
	if len(f) == 0 {
		return nil
	}
	return &Error{Code: CodeInvalidRequest, Message: f[0].Place() + " " + f[0].Message, Fields: f}
}
