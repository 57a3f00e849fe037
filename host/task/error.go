package task

import (
	"errors"
	"fmt"
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
	CodeExecutorUnavailable Code = "executor_unavailable"
	CodeStoreUnavailable    Code = "store_unavailable"
	CodeStoreFull           Code = "store_full"
	CodeInternal            Code = "internal"
)

// Error is an error that its reader can act on: matched by Code, never by text.
type Error struct {
	Code       Code
	Message    string // what was wrong, where, and what to do
	Fields     []FieldError
	RetryAfter time.Duration // of queue_full and the unavailables; 0 if unknown
	Cause      error         // for logs; never shown to clients
}

// FieldError says which field of a request is at fault.
type FieldError struct {
	Pointer string // JSON pointer into the request's body
	Message string
}

func (e *Error) Error() string {
	if e.Cause != nil {
		return e.Message + ": " + e.Cause.Error()
	}
	return e.Message
}

func (e *Error) Unwrap() error { return e.Cause }

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

// fields gathers what is wrong with a request, so that one answer says it all.
type fields []FieldError

func (f *fields) check(ok bool, pointer, format string, args ...any) {
	if !ok {
		*f = append(*f, FieldError{Pointer: pointer, Message: fmt.Sprintf(format, args...)})
	}
}

func (f *fields) labels(pointer string, labels map[string]string) {
	if len(labels) > MaxLabels { // one fault for all of them
		f.check(false, pointer, "has more than %d entries", MaxLabels)
		return
	}
	for k, v := range labels {
		f.check(k != "" && len(k) <= MaxLabel, pointer, "has a key that is empty or longer than %d bytes", MaxLabel)
		f.check(len(v) <= MaxLabel, pointer+"/"+escapePointer(k), "is longer than %d bytes", MaxLabel)
	}
}

func (f fields) err() error {
	if len(f) == 0 {
		return nil
	}
	return &Error{Code: CodeInvalidRequest, Message: f[0].Pointer + " " + f[0].Message, Fields: f}
}

// escapePointer escapes one reference token of a JSON pointer (RFC 6901).
func escapePointer(s string) string {
	out := make([]byte, 0, len(s))
	for i := range len(s) {
		switch s[i] {
		case '~':
			out = append(out, "~0"...)
		case '/':
			out = append(out, "~1"...)
		default:
			out = append(out, s[i])
		}
	}
	return string(out)
}
