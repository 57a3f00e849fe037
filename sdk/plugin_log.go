package sdk

import (
	"fmt"
	"io"
	"log"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"
)

// attemptLogger sends an attempt's lines to the host. Its level begins at debug.
type attemptLogger struct {
	run   *run
	name  string
	args  []any
	level atomic.Int32 // as distance from debug, so that zero is the default
}

// Log sends one line. After the attempt is over it does nothing.
func (l *attemptLogger) Log(level hclog.Level, msg string, args ...any) {
	if level < l.GetLevel() || level > hclog.Error || l.run.over.Load() {
		return
	}
	if l.name != "" {
		msg = l.name + ": " + msg
	}
	texts := make([]string, 0, len(l.args)+len(args))
	for _, list := range [][]any{l.args, args} {
		for _, a := range list {
			texts = append(texts, clip(argText(a), 16<<10))
		}
	}
	l.run.srv.data.line(logLine(l.run.token, int32(level), clip(msg, maxText), texts), &l.run.marks)
}

func argText(a any) string {
	switch v := a.(type) {
	case string:
		return v
	case hclog.Format:
		if len(v) > 0 {
			if format, ok := v[0].(string); ok {
				return fmt.Sprintf(format, v[1:]...)
			}
		}
	case hclog.Quote:
		return string(v)
	}
	return fmt.Sprint(a)
}

func (l *attemptLogger) Trace(msg string, args ...any) { l.Log(hclog.Trace, msg, args...) }
func (l *attemptLogger) Debug(msg string, args ...any) { l.Log(hclog.Debug, msg, args...) }
func (l *attemptLogger) Info(msg string, args ...any)  { l.Log(hclog.Info, msg, args...) }
func (l *attemptLogger) Warn(msg string, args ...any)  { l.Log(hclog.Warn, msg, args...) }
func (l *attemptLogger) Error(msg string, args ...any) { l.Log(hclog.Error, msg, args...) }

func (l *attemptLogger) IsTrace() bool { return l.GetLevel() <= hclog.Trace }
func (l *attemptLogger) IsDebug() bool { return l.GetLevel() <= hclog.Debug }
func (l *attemptLogger) IsInfo() bool  { return l.GetLevel() <= hclog.Info }
func (l *attemptLogger) IsWarn() bool  { return l.GetLevel() <= hclog.Warn }
func (l *attemptLogger) IsError() bool { return l.GetLevel() <= hclog.Error }

func (l *attemptLogger) GetLevel() hclog.Level { return hclog.Debug + hclog.Level(l.level.Load()) }

func (l *attemptLogger) SetLevel(level hclog.Level) { l.level.Store(int32(level - hclog.Debug)) }

func (l *attemptLogger) Name() string { return l.name }

func (l *attemptLogger) ImpliedArgs() []any { return l.args }

func (l *attemptLogger) With(args ...any) hclog.Logger {
	return l.derive(l.name, append(append([]any(nil), l.args...), args...))
}

func (l *attemptLogger) Named(name string) hclog.Logger {
	if l.name != "" {
		name = l.name + "." + name
	}
	return l.derive(name, l.args)
}

func (l *attemptLogger) ResetNamed(name string) hclog.Logger { return l.derive(name, l.args) }

func (l *attemptLogger) derive(name string, args []any) hclog.Logger {
	d := &attemptLogger{run: l.run, name: name, args: args}
	d.level.Store(l.level.Load())
	return d
}

func (l *attemptLogger) StandardLogger(opts *hclog.StandardLoggerOptions) *log.Logger {
	return log.New(l.StandardWriter(opts), "", 0)
}

func (l *attemptLogger) StandardWriter(opts *hclog.StandardLoggerOptions) io.Writer {
	level := hclog.Info
	if opts != nil && opts.ForceLevel != hclog.NoLevel {
		level = opts.ForceLevel
	}
	return lineWriter{l, level}
}

// lineWriter makes a line of each write, as package log does them.
type lineWriter struct {
	to    *attemptLogger
	level hclog.Level
}

func (w lineWriter) Write(b []byte) (int, error) {
	text := string(b)
	for len(text) > 0 && text[len(text)-1] == '\n' {
		text = text[:len(text)-1]
	}
	w.to.Log(w.level, text)
	return len(b), nil
}
