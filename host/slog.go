package host

import (
	"context"
	"log/slog"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/host/supervisor"
)

// slogTo writes what is logged by log/slog to the host's logger.
func slogTo(l hclog.Logger) *slog.Logger { return slog.New(slogHandler{l}) }

type slogHandler struct{ l hclog.Logger }

func (h slogHandler) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn || h.l.IsInfo() && level >= slog.LevelInfo || h.l.IsDebug()
}

func (h slogHandler) Handle(_ context.Context, r slog.Record) error {
	args := make([]any, 0, 2*r.NumAttrs())
	r.Attrs(func(a slog.Attr) bool {
		args = append(args, supervisor.Printable(a.Key), a.Value.Any())
		return true
	})
	level := hclog.Debug
	switch {
	case r.Level >= slog.LevelError:
		level = hclog.Error
	case r.Level >= slog.LevelWarn:
		level = hclog.Warn
	case r.Level >= slog.LevelInfo:
		level = hclog.Info
	}
	h.l.Log(level, supervisor.Printable(r.Message), args...)
	return nil
}

func (h slogHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	args := make([]any, 0, 2*len(attrs))
	for _, a := range attrs {
		args = append(args, supervisor.Printable(a.Key), a.Value.Any())
	}
	return slogHandler{h.l.With(args...)}
}

func (h slogHandler) WithGroup(name string) slog.Handler { return slogHandler{h.l.Named(name)} }
