package main

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/client"
	"github.com/taskhost/taskhost/host/config"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// The exit codes; exitHelp tells users.
const (
	exitOK          = 0
	exitFault       = 1
	exitUsage       = 2
	exitFailed      = 3
	exitNotAllowed  = 4
	exitNotFound    = 5
	exitConflict    = 6
	exitCanceled    = 7
	exitTimeout     = 124
	exitInterrupted = 130
)

// exitError is an error that knows its exit code. An empty message says that all
// has been said.
type exitError struct {
	code int
	msg  string
}

func (e *exitError) Error() string { return e.msg }

// usagef is an error of how the command was called.
func usagef(format string, args ...any) error {
	return &exitError{code: exitUsage, msg: fmt.Sprintf(format, args...)}
}

// exit says what went wrong, and gives the exit code.
func (p *program) exit(err error) int {
	if err == nil {
		return exitOK
	}
	code := exitCode(err)
	if !p.parsed && code == exitFault { // cobra's own errors have no type
		code = exitUsage
	}
	if msg := p.explain(err); msg != "" {
		fmt.Fprintln(p.err, "taskhost: "+printable(msg))
	}
	return code
}

// exitCode is the code that err says, or that of its error code.
func exitCode(err error) int {
	if e := (*exitError)(nil); errors.As(err, &e) {
		return e.code
	}
	switch task.CodeOf(err) {
	case task.CodeUnauthenticated, task.CodeForbidden:
		return exitNotAllowed
	case task.CodeNotFound:
		return exitNotFound
	case task.CodeConflict, task.CodeAlreadyFinal, task.CodeNotFinal, task.CodeStaleClaim, task.CodeIdempotencyMismatch, task.CodePreconditionFailed:
		return exitConflict
	}
	return exitFault
}

// exitSeverity are the exit codes of what befalls one task of several, the worst last.
var exitSeverity = []int{exitOK, exitTimeout, exitCanceled, exitFailed, exitConflict, exitNotFound, exitNotAllowed, exitFault}

// worseExit is the worse of two exit codes.
func worseExit(a, b int) int {
	if slices.Index(exitSeverity, b) > slices.Index(exitSeverity, a) {
		return b
	}
	return a
}

// startOne is how a server is started where the client looks for one; "" if that is elsewhere.
func (p *program) startOne() string {
	switch {
	case p.addr == config.DefaultListen:
		return "start one with `taskhost dev`, or "
	case config.IsLoopback(p.addr):
		return "start one with `taskhost dev --listen " + p.addr + "`, or "
	}
	return ""
}

// explain is what a user reads: what was wrong, and what to do.
func (p *program) explain(err error) string {
	var e *task.Error
	if errors.Is(err, sdk.ErrConfigRefused) {
		return foldLines(err.Error()) // in the plugin's words
	}
	if !errors.As(err, &e) {
		return err.Error()
	}
	switch e.Code {
	case client.CodeUnreachable:
		return fmt.Sprintf("no server at %s: %ssay where it is with --addr or TASKHOST_ADDR (%v)", p.addr, p.startOne(), cmp.Or[error](e.Cause, e))
	case task.CodeUnauthenticated:
		return foldLines(e.Message) + " (put it into TASKHOST_TOKEN)"
	}
	msg := foldLines(e.Message)
	if len(e.Fields) > 1 || len(e.Fields) == 1 && e.Code == task.CodeInvalidInput {
		for _, f := range e.Fields {
			msg += "\n  " + foldLines(api.Pointer(f.Path)+": "+f.Message)
		}
	}
	return msg
}

// outcomeError is the error of a task's end: nil if it succeeded.
func outcomeError(t *api.Task) error {
	why := ""
	if t.Error != nil {
		why = ": " + foldLines(t.Error.Code)
		if t.Error.Message != "" {
			why += ": " + foldLines(t.Error.Message)
		}
	}
	switch t.State {
	case task.Failed:
		return &exitError{code: exitFailed, msg: fmt.Sprintf("task %s failed%s", t.ID, why)}
	case task.RevertFailed, task.Reverted, task.Skipped:
		return &exitError{code: exitFailed, msg: fmt.Sprintf("task %s is %s%s", t.ID, t.State, why)}
	case task.Canceled:
		return &exitError{code: exitCanceled, msg: fmt.Sprintf("task %s was canceled%s", t.ID, why)}
	}
	return nil
}
