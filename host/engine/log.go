package engine

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/host/task"
)

// What one attempt may log; more is dropped, and the last line says so.
const (
	maxLogLines = 10_000
	maxLogBytes = 4 << 20
	maxLogLine  = 8 << 10
)

// seqPerAttempt leaves each attempt its own range of line numbers, so that they
// rise within the task without asking the store for the last.
const seqPerAttempt = 1 << 32

var nullLog = hclog.NewNullLogger()

// attemptLog is the logger of one attempt: its lines go to the store and to
// whoever follows them. The embedded null logger answers for the parts of
// hclog's interface that make no line.
type attemptLog struct {
	hclog.Logger
	a    *attempt
	name string
	with []any
}

func (l *attemptLog) Log(level hclog.Level, msg string, args ...any) { l.line(level, msg, args) }
func (l *attemptLog) Trace(msg string, args ...any)                  { l.line(hclog.Trace, msg, args) }
func (l *attemptLog) Debug(msg string, args ...any)                  { l.line(hclog.Debug, msg, args) }
func (l *attemptLog) Info(msg string, args ...any)                   { l.line(hclog.Info, msg, args) }
func (l *attemptLog) Warn(msg string, args ...any)                   { l.line(hclog.Warn, msg, args) }
func (l *attemptLog) Error(msg string, args ...any)                  { l.line(hclog.Error, msg, args) }
func (l *attemptLog) IsTrace() bool                                  { return true }
func (l *attemptLog) IsDebug() bool                                  { return true }
func (l *attemptLog) IsInfo() bool                                   { return true }
func (l *attemptLog) IsWarn() bool                                   { return true }
func (l *attemptLog) IsError() bool                                  { return true }
func (l *attemptLog) GetLevel() hclog.Level                          { return hclog.Trace }
func (l *attemptLog) Name() string                                   { return l.name }
func (l *attemptLog) ImpliedArgs() []any                             { return l.with }

func (l *attemptLog) With(args ...any) hclog.Logger {
	return &attemptLog{Logger: nullLog, a: l.a, name: l.name, with: append(append([]any{}, l.with...), args...)}
}

func (l *attemptLog) Named(name string) hclog.Logger {
	if l.name != "" {
		name = l.name + "." + name
	}
	return l.ResetNamed(name)
}

func (l *attemptLog) ResetNamed(name string) hclog.Logger {
	return &attemptLog{Logger: nullLog, a: l.a, name: name, with: l.with}
}

func (l *attemptLog) line(level hclog.Level, msg string, args []any) {
	line := task.LogLine{At: now(), Attempt: l.a.n, Level: level.String(), Message: clipLine(msg)}
	if l.name != "" {
		args = append([]any{"logger", l.name}, args...)
	}
	if len(l.with)+len(args) > 0 {
		line.Fields = fieldsOf(append(append([]any{}, l.with...), args...))
	}
	l.a.log(line)
}

func fieldsOf(args []any) map[string]string {
	out := make(map[string]string, len(args)/2)
	for i := 0; i < len(args); i += 2 {
		key, val := any(hclog.MissingKey), args[i]
		if i+1 < len(args) {
			key, val = args[i], args[i+1]
		}
		out[clipLine(fmt.Sprint(key))] = clipLine(text(val))
	}
	return out
}

func text(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case error:
		return v.Error()
	case time.Time:
		return v.Format(time.RFC3339Nano)
	case hclog.Format:
		return fmt.Sprintf(fmt.Sprint(v[0]), v[1:]...)
	}
	return fmt.Sprint(v)
}

func clipLine(s string) string {
	if len(s) > maxLogLine {
		s = s[:maxLogLine] + "…"
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// log takes one line; it never waits for the store.
func (a *attempt) log(line task.LogLine) {
	a.noteMu.Lock()
	if a.lineCount > maxLogLines || a.logBytes > maxLogBytes {
		a.noteMu.Unlock()
		return
	}
	a.lineCount++
	a.logBytes += len(line.Message)
	for k, v := range line.Fields {
		a.logBytes += len(k) + len(v)
	}
	if a.lineCount > maxLogLines || a.logBytes > maxLogBytes {
		line = task.LogLine{At: line.At, Attempt: line.Attempt, Level: "warn", Message: "this attempt has logged as much as is kept; further lines are dropped"}
	}
	line.Seq = int64(line.Attempt)*seqPerAttempt + a.lineCount
	first := !a.moved && len(a.lines) == 0
	a.lines = append(a.lines, line)
	a.noteMu.Unlock()
	if first {
		a.e.markDirty(a)
	}
	a.e.hub.publish(a.id, task.Update{Log: &line})
}

// writeLogs puts what was logged on record. Lines are lost, and that is said in
// the host's log, if the store cannot take them.
func (a *attempt) writeLogs() {
	a.noteMu.Lock()
	lines := a.lines
	a.lines = nil
	a.noteMu.Unlock()
	if len(lines) == 0 {
		return
	}
	if err := a.e.store.AppendLogs(context.Background(), a.seq, lines); err != nil && task.CodeOf(err) != task.CodeNotFound {
		a.e.log.Warn("log lines not written", "task", a.id, "lines", len(lines), "error", err)
	}
}
