package server

import (
	"context"
	"net/http"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

// logFollower writes a task's lines as they come: each once, in the order of their
// numbers. What is heard live may run ahead of what is stored, so a line that does
// not follow the last one written waits until the store has those before it.
type logFollower struct {
	handlers *handlers
	out      *stream
	scope    task.Scope
	id       task.ID
	// query.after is the number of the last line that was written, or passed over
	// because it is not asked for.
	query logQuery
	// heard is the highest number that a watch told of.
	heard int64
}

// followLogs streams lines until the task is final.
func (h *handlers) followLogs(w http.ResponseWriter, r *http.Request, s task.Scope, t task.Task, q logQuery) error {
	if !accepts(r, "application/x-ndjson") {
		return task.Errorf(api.CodeNotAcceptable, "followed logs are application/x-ndjson")
	}
	ctx, cancel := requestContext(r, maxStream)
	defer cancel()
	out, err := h.stream(w, "application/x-ndjson")
	if err != nil || r.Method == http.MethodHead {
		return err
	}
	f := &logFollower{handlers: h, out: out, scope: s, id: t.ID, query: q}
	return untilFinal(ctx, f.followOnce)
}

// followOnce writes lines until the task is final, or this watch of it is over.
func (f *logFollower) followOnce(ctx context.Context) (final bool, err error) {
	watch, stop := context.WithCancel(ctx)
	defer stop()
	updates, err := f.handlers.svc.Watch(watch, f.scope, f.id)
	if err != nil {
		return false, err
	}
	// Asked after the watch began: an end in between is heard of twice rather than never.
	t, err := f.handlers.svc.Get(ctx, f.scope, f.id)
	if err != nil {
		return false, err
	}
	if err := f.writeStored(ctx); err != nil || t.State.Final() {
		return err == nil, err
	}
	lag := time.NewTicker(storeLag)
	defer lag.Stop()
	for looks := 0; ; {
		select {
		case u, open := <-updates:
			if !open {
				return false, nil
			}
			if final, err := f.writeUpdate(ctx, u); final || err != nil {
				return final, err
			}
		case <-lag.C:
			if looks++; f.behind() || looks <= looksAtStart {
				if err := f.writeStored(ctx); err != nil {
					return false, err
				}
			}
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// writeUpdate writes what a watch told, and all that is left if that was the end.
func (f *logFollower) writeUpdate(ctx context.Context, u task.Update) (final bool, err error) {
	if u.Log != nil {
		if err := f.writeLive(u.Log); err != nil {
			return false, err
		}
	}
	if u.Task != nil && u.Task.State.Final() {
		return true, f.writeRemaining(ctx)
	}
	return false, nil
}

// writeLive writes a line that was just logged if it follows the last one written.
func (f *logFollower) writeLive(line *task.LogLine) error {
	f.heard = max(f.heard, line.Seq)
	if line.Seq != f.query.after+1 {
		return nil
	}
	f.query.after = line.Seq
	if _, err := f.write(line); err != nil {
		return err
	}
	return f.out.flush()
}

// behind says that the store is still to give lines that a watch told of.
func (f *logFollower) behind() bool { return f.heard > f.query.after }

// writeStored writes what the store has after the last line written.
func (f *logFollower) writeStored(ctx context.Context) error {
	if _, err := f.handlers.readLogs(ctx, f.scope, f.id, &f.query.after, f.write); err != nil {
		return err
	}
	return f.out.flush()
}

// writeRemaining writes what is still to come of a final task: a host may store the
// last lines a moment after the end, and not at all if its store fails.
func (f *logFollower) writeRemaining(ctx context.Context) error {
	lag := time.NewTicker(storeLag)
	defer lag.Stop()
	for tries := 0; ; tries++ {
		if err := f.writeStored(ctx); err != nil || !f.behind() || tries == 10 {
			return err
		}
		select {
		case <-lag.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// write writes a line if it is asked for, and has the next one come.
func (f *logFollower) write(line *task.LogLine) (next bool, err error) {
	if !f.query.wants(line) {
		return true, nil
	}
	own := *line // what a watch tells is told to others too
	own.At = task.Shown(own.At)
	data, err := api.Encode(&own)
	if err != nil {
		return false, err
	}
	return true, f.out.write(data)
}
