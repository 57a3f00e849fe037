package sdk

import (
	"encoding"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/hashicorp/go-hclog"
)

// ReadableLog has l write values as people and programs read them, as text and as JSON
// alike: a time in RFC 3339, a duration such as 1.5s, what has a String method by that.
// hclog itself writes a time with its monotonic clock, as m=+8.6, a duration as a count of
// nanoseconds in JSON, and loses a line with a number that JSON does not have. What the
// host and Serve give to plugins to log with is such a logger already.
func ReadableLog(l hclog.Logger) hclog.Logger {
	if r, ok := l.(*readableLogger); ok {
		return r
	}
	return &readableLogger{l}
}

// readableLogger passes all on to a logger, with its values made readable.
type readableLogger struct{ hclog.Logger }

func (l *readableLogger) Log(level hclog.Level, msg string, args ...any) {
	if level >= l.GetLevel() {
		l.Logger.Log(level, msg, readableArgs(args)...)
	}
}

func (l *readableLogger) Trace(msg string, args ...any) { l.Log(hclog.Trace, msg, args...) }
func (l *readableLogger) Debug(msg string, args ...any) { l.Log(hclog.Debug, msg, args...) }
func (l *readableLogger) Info(msg string, args ...any)  { l.Log(hclog.Info, msg, args...) }
func (l *readableLogger) Warn(msg string, args ...any)  { l.Log(hclog.Warn, msg, args...) }
func (l *readableLogger) Error(msg string, args ...any) { l.Log(hclog.Error, msg, args...) }

func (l *readableLogger) With(args ...any) hclog.Logger {
	return &readableLogger{l.Logger.With(readableArgs(args)...)}
}

func (l *readableLogger) Named(name string) hclog.Logger {
	return &readableLogger{l.Logger.Named(name)}
}

func (l *readableLogger) ResetNamed(name string) hclog.Logger {
	return &readableLogger{l.Logger.ResetNamed(name)}
}

// readableArgs are keys and values with the values made readable.
func readableArgs(args []any) []any {
	out := make([]any, len(args))
	for i, a := range args {
		out[i] = readable(a)
	}
	return out
}

// readable is a value that both of hclog's formats write so that it can be read.
func readable(a any) any {
	switch v := a.(type) {
	case time.Time:
		return v.UTC().Format(time.RFC3339Nano)
	case *time.Time:
		if v == nil {
			return nil
		}
		return readable(*v)
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Sprint(v)
		}
	case json.Number, error, json.Marshaler, encoding.TextMarshaler: // hclog knows what to do
	case fmt.Stringer:
		return fmt.Sprint(v) // which takes a nil pointer too
	}
	return a
}
