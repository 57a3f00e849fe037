package remotequeue

import (
	"fmt"
	"io"
	"log"
	"sync/atomic"
	"time"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/sdk"
)

const (
	// maxLag is how much may wait to be sent before lines are dropped rather than
	// outcomes delayed.
	maxLag = 1 << 20
	// progressPause is between two reports of an attempt's progress; the host writes
	// down no more.
	progressPause = 100 * time.Millisecond
	maxLine       = 16 << 10
)

// reporter is what the script of a run speaks to.
func (w *Worker) reporter(r *run) sdk.Reporter {
	line := &lineLogger{sink: func(level hclog.Level, msg string, args []any) { w.line(r, level, msg, args) }}
	return sdk.NewReporter(sdk.Reports{
		Progress:   func(done, total int64, message string) { w.progress(r, done, total, message) },
		Checkpoint: func(data []byte) error { return w.checkpoint(r, data) },
		Log:        line,
	})
}

func (w *Worker) lagging() bool {
	return !w.nc.IsConnected() || w.out.backlog(w.peer) > maxLag
}

// progress passes on what is new; a value that comes soon after another waits, and
// only the latest is kept.
func (w *Worker) progress(r *run, done, total int64, message string) {
	now := time.Now()
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.phase != working {
		return
	}
	r.progress = &item{kind: kindProgress, token: r.start.task.Token, done: done, total: total, text: clip(message, maxLine)}
	if now.Sub(r.progressAt) >= progressPause {
		r.progressAt = now
		r.flush(w)
	}
}

// flush sends the progress that waits. The worker's mu is held.
func (r *run) flush(w *Worker) {
	if r.progress != nil && !w.lagging() {
		w.tell(r.progress)
	}
	r.progress = nil
}

func (w *Worker) line(r *run, level hclog.Level, msg string, args []any) {
	lagging := w.lagging()
	w.mu.Lock()
	defer w.mu.Unlock()
	if r.phase != working {
		return
	}
	if lagging {
		r.dropped++
		return
	}
	it := &item{kind: kindLog, token: r.start.task.Token, at: time.Now(), level: int(level), text: clip(msg, maxLine), dropped: r.dropped}
	for _, a := range args[:min(len(args), 64)] {
		it.args = append(it.args, clip(argText(a), maxLine/4))
	}
	r.dropped = 0
	w.tell(it)
}

// checkpoint waits until the host has the data on record.
func (w *Worker) checkpoint(r *run, data []byte) error {
	if limit := w.maxMessage(); len(data) > limit {
		return sdk.Permanent(fmt.Errorf("checkpoint of %d bytes: the broker carries %d", len(data), limit))
	}
	s := &saving{data: append([]byte{}, data...), done: make(chan error, 1), sent: time.Now()}
	w.mu.Lock()
	if r.phase != working {
		w.mu.Unlock()
		return errOver
	}
	if r.saves == nil {
		r.saves = make(map[uint64]*saving)
	}
	r.lastSeq++
	seq := r.lastSeq
	r.saves[seq] = s
	w.mu.Unlock()
	w.tell(&item{kind: kindCheckpoint, token: r.start.task.Token, seq: seq, data: s.data})
	select {
	case err := <-s.done:
		return err
	case <-w.ctx.Done(): // the worker ends; the attempt's own end still lets it save
		return errOver
	}
}

func (w *Worker) maxMessage() int {
	if n := w.payload.Load(); n > 0 {
		return int(n) - 32<<10
	}
	return 1<<20 - 32<<10
}

func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n]
}

// lineLogger hands an attempt's lines to sink. Its level begins at debug.
type lineLogger struct {
	sink  func(level hclog.Level, msg string, args []any)
	name  string
	args  []any
	level atomic.Int32 // as distance from debug, so that zero is the default
}

// Log hands one line on.
func (l *lineLogger) Log(level hclog.Level, msg string, args ...any) {
	if level < l.GetLevel() || level > hclog.Error {
		return
	}
	if l.name != "" {
		msg = l.name + ": " + msg
	}
	if len(l.args) > 0 {
		args = append(append([]any(nil), l.args...), args...)
	}
	l.sink(level, msg, args)
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
	d := &lineLogger{sink: l.sink, name: name, args: args}
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
	return writer(func(b []byte) { l.Log(level, string(b)) })
}

// writer makes a line of each write, as package log does them.
type writer func([]byte)

func (w writer) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 && b[len(b)-1] == '\n' {
		b = b[:len(b)-1]
	}
	w(b)
	return n, nil
}
