package sdk

import (
	"fmt"
	"io"
	"log"
	"sync/atomic"

	"github.com/hashicorp/go-hclog"
)

// lineLogger hands an attempt's lines to write. Its level begins at debug.
type lineLogger struct {
	write func(level hclog.Level, msg string, args []string)
	name  string
	args  []any
	level atomic.Int32 // as distance from debug, so that zero is the default
}

// Log hands one line on, with its keys and values as texts.
func (l *lineLogger) Log(level hclog.Level, msg string, args ...any) {
	if l.write == nil || level < l.GetLevel() || level > hclog.Error {
		return
	}
	if l.name != "" {
		msg = l.name + ": " + msg
	}
	texts := make([]string, 0, len(l.args)+len(args))
	for _, list := range [][]any{l.args, args} {
		for _, a := range list {
			texts = append(texts, clip(argText(a), maxLogArg))
		}
	}
	l.write(level, clip(msg, maxText), texts)
}

// maxLogArg bounds a key or value of a line, in bytes.
const maxLogArg = 16 << 10

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
	return fmt.Sprint(readable(a))
}

func (l *lineLogger) Trace(msg string, args ...any) { l.Log(hclog.Trace, msg, args...) }
func (l *lineLogger) Debug(msg string, args ...any) { l.Log(hclog.Debug, msg, args...) }
func (l *lineLogger) Info(msg string, args ...any)  { l.Log(hclog.Info, msg, args...) }
func (l *lineLogger) Warn(msg string, args ...any)  { l.Log(hclog.Warn, msg, args...) }
func (l *lineLogger) Error(msg string, args ...any) { l.Log(hclog.Error, msg, args...) }

func (l *lineLogger) IsTrace() bool { return l.GetLevel() <= hclog.Trace }
func (l *lineLogger) IsDebug() bool { return l.GetLevel() <= hclog.Debug }
func (l *lineLogger) IsInfo() bool  { return l.GetLevel() <= hclog.Info }
func (l *lineLogger) IsWarn() bool  { return l.GetLevel() <= hclog.Warn }
func (l *lineLogger) IsError() bool { return l.GetLevel() <= hclog.Error }

func (l *lineLogger) GetLevel() hclog.Level { return hclog.Debug + hclog.Level(l.level.Load()) }

func (l *lineLogger) SetLevel(level hclog.Level) { l.level.Store(int32(level - hclog.Debug)) }

func (l *lineLogger) Name() string { return l.name }

func (l *lineLogger) ImpliedArgs() []any { return l.args }

func (l *lineLogger) With(args ...any) hclog.Logger {
	return l.derive(l.name, append(append([]any(nil), l.args...), args...))
}

func (l *lineLogger) Named(name string) hclog.Logger {
	if l.name != "" {
		name = l.name + "." + name
	}
	return l.derive(name, l.args)
}

func (l *lineLogger) ResetNamed(name string) hclog.Logger { return l.derive(name, l.args) }

func (l *lineLogger) derive(name string, args []any) hclog.Logger {
	d := &lineLogger{write: l.write, name: name, args: args}
	d.level.Store(l.level.Load())
	return d
}

func (l *lineLogger) StandardLogger(opts *hclog.StandardLoggerOptions) *log.Logger {
	return log.New(l.StandardWriter(opts), "", 0)
}

func (l *lineLogger) StandardWriter(opts *hclog.StandardLoggerOptions) io.Writer {
	level := hclog.Info
	if opts != nil && opts.ForceLevel != hclog.NoLevel {
		level = opts.ForceLevel
	}
	return lineWriter{l, level}
}

// lineWriter makes a line of each write, as package log does them.
type lineWriter struct {
	logger *lineLogger
	level  hclog.Level
}

func (w lineWriter) Write(b []byte) (int, error) {
	text := string(b)
	for len(text) > 0 && text[len(text)-1] == '\n' {
		text = text[:len(text)-1]
	}
	w.logger.Log(w.level, text)
	return len(b), nil
}
