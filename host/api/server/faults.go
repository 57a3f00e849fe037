package server

import (
	"fmt"
	"slices"

	"github.com/taskhost/taskhost/host/task"
)

// maxFieldErrors bounds what one answer lists: a batch of 10,000 mistakes is not
// better understood for being told in full.
const maxFieldErrors = 100

// place is where in a request something stands: see task.FieldError.Path. What is
// made of it by to shares nothing with it.
type place []string

// to is the place of the member, or the element, of that name at p.
func (p place) to(name string) place { return append(slices.Clip(p), name) }

// faults gathers what is wrong with a request, so that one answer says it all.
type faults []task.FieldError

func (f *faults) add(at place, format string, args ...any) {
	if len(*f) < maxFieldErrors {
		*f = append(*f, task.FieldError{Path: at, Message: fmt.Sprintf(format, args...)})
	}
}

// err is nil if nothing is wrong.
func (f faults) err() error {
	if len(f) == 0 {
		return nil
	}
	where := f[0].Place()
	if where == "" {
		where = "the body"
	}
	return &task.Error{Code: task.CodeInvalidRequest, Message: where + " " + f[0].Message, Fields: f}
}
