package server

import (
	"context"
	"net/http"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

// logTail writes a task's lines as they come: each once, in the order of their
// numbers. What is told live may run ahead of what is stored, so a line that
// does not follow the last one waits until the store has those before it.
type logTail struct {
	h     *handlers
	out   *stream
	s     task.Scope
	id    task.ID
	q     logQuery
	heard int64 // the highest number told of
}

func (l *logTail) emit(line *task.LogLine) (bool, error) {
	if !l.q.wants(line) {
		return true, nil
	}
	own := *line // what is told live is told to others too
	own.At = task.Shown(own.At)
	data, err := api.Encode(&own)
	if err != nil {
		return false, err
	}
	return true, l.out.put(data)
}

func (l *logTail) stored(ctx context.Context) error {
	if _, err := l.h.readLogs(ctx, l.s, l.id, &l.q.after, l.emit); err != nil {
		return err
	}
	return l.out.flush()
}

func (l *logTail) live(line *task.LogLine) error {
	l.heard = max(l.heard, line.Seq)
	if line.Seq != l.q.after+1 {
		return nil
	}
	l.q.after = line.Seq
	if _, err := l.emit(line); err != nil {
		return err
	}
	return l.out.flush()
}

func (l *logTail) behind() bool { return l.heard > l.q.after }

// followLogs streams lines until the task is final.
func (h *handlers) followLogs(w http.ResponseWriter, r *http.Request, s task.Scope, t task.Task, q logQuery) error {
	if !accepts(r, "application/x-ndjson") {
		return task.Errorf(api.CodeNotAcceptable, "followed logs are application/x-ndjson")
	}
	ctx, cancel := held(r, maxStream)
	defer cancel()
	out, err := h.stream(w, "application/x-ndjson")
	if err != nil || r.Method == http.MethodHead {
		return err
	}
	tail := &logTail{h: h, out: out, s: s, id: t.ID, q: q}
	for {
		end, err := h.tailOnce(ctx, tail)
		if end || ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return brokenOff(err)
		}
	}
}

// tailOnce follows until the task is final (end), or its watch is over.
func (h *handlers) tailOnce(ctx context.Context, l *logTail) (end bool, err error) {
	watch, stop := context.WithCancel(ctx)
	defer stop()
	updates, err := h.svc.Watch(watch, l.s, l.id)
	if err != nil {
		return false, err
	}
	// Asked after the watch began: an end in between is heard of twice rather than never.
	t, err := h.svc.Get(ctx, l.s, l.id)
	if err != nil {
		return false, err
	}
	if err := l.stored(ctx); err != nil || t.State.Final() {
		return err == nil, err
	}
	lag := time.NewTicker(logLag)
	defer lag.Stop()
	for looks := 0; ; {
		select {
		case u, ok := <-updates:
			if !ok {
				return false, nil
			}
			if u.Log != nil {
				if err := l.live(u.Log); err != nil {
					return false, err
				}
			}
			if u.Task != nil && u.Task.State.Final() {
				return true, l.rest(ctx)
			}
		case <-lag.C:
			if looks++; l.behind() || looks <= settling {
				if err := l.stored(ctx); err != nil {
					return false, err
				}
			}
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// rest writes what is still to come of a final task: a host may store the last
// lines a moment after the end, and not at all if its store fails.
func (l *logTail) rest(ctx context.Context) error {
	lag := time.NewTicker(logLag)
	defer lag.Stop()
	for tries := 0; ; tries++ {
		if err := l.stored(ctx); err != nil || !l.behind() || tries == 10 {
			return err
		}
		select {
		case <-lag.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
