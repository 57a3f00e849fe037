package server

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

// watchTask streams what happens to a task as server-sent events: all of its
// history, or what came after Last-Event-ID, and then what comes, until it is final.
func (h *handlers) watchTask(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	last, err := eventsAfter(r)
	if err != nil {
		return err
	}
	t, err := h.findTask(r, s)
	if err != nil {
		return err
	}
	if t.State.Final() && last == t.Version {
		// Nothing will come. A browser that is told so comes back no more.
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	ctx, cancel := requestContext(r, maxStream)
	defer cancel()
	out, err := h.stream(w, "text/event-stream")
	if err != nil || r.Method == http.MethodHead {
		return err
	}
	es := &eventStream{handlers: h, out: out, scope: s, id: t.ID, lastSeq: last}
	if err := es.begin(t.Version); err != nil {
		return err
	}
	return untilFinal(ctx, es.watchOnce)
}

// eventsAfter is the id of the event after which a client that takes events asks for them; 0 for none.
func eventsAfter(r *http.Request) (int64, error) {
	if !accepts(r, "text/event-stream") {
		return 0, task.Errorf(api.CodeNotAcceptable, "events are text/event-stream")
	}
	v := r.Header.Get("Last-Event-ID")
	if v == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < 0 {
		return 0, task.Errorf(task.CodeInvalidRequest, "Last-Event-ID %q is not the id of an event", v)
	}
	return n, nil
}

// eventStream sends a task's events: each transition once, in order.
type eventStream struct {
	handlers *handlers
	out      *stream
	scope    task.Scope
	id       task.ID
	// lastSeq is the seq of the last transition that was sent; of those before it
	// none is sent again.
	lastSeq int64
	// final says that the last transition sent led to a final state.
	final bool
	// progress is what was sent last, which is not repeated.
	progress task.Progress
}

// begin says how soon to come back, and where the client's last event is none of
// this task, whose version is given: its store is gone, and nothing follows from there.
func (es *eventStream) begin(version int64) error {
	if err := es.out.send([]byte("retry: 2000\n\n")); err != nil {
		return err
	}
	if es.lastSeq <= version {
		return nil
	}
	es.lastSeq = 0
	return es.send("reset", 0, api.ResetEvent{Reason: "the task's history does not reach this id: it is told from its beginning"})
}

// watchOnce tells of the task until it is final, or this watch of it is over.
func (es *eventStream) watchOnce(ctx context.Context) (final bool, err error) {
	watch, stop := context.WithCancel(ctx)
	defer stop()
	updates, err := es.handlers.svc.Watch(watch, es.scope, es.id)
	if err != nil {
		return false, err
	}
	if final, err := es.sendStored(ctx); final || err != nil {
		return final, err
	}
	heartbeat := time.NewTicker(es.handlers.opts.Heartbeat)
	defer heartbeat.Stop()
	stored := time.NewTimer(looksAtStart * storeLag)
	defer stored.Stop()
	for {
		select {
		case u, open := <-updates:
			if !open {
				return false, nil
			}
			if u.Progress != nil {
				stored.Stop()
			}
			if final, err := es.sendUpdate(ctx, u); final || err != nil {
				return final, err
			}
		case <-stored.C:
			// Progress said just before the watch began is on record by now, and was
			// told to nobody; a script may say no more for an hour.
			if err := es.sendStoredProgress(ctx); err != nil {
				return false, err
			}
		case <-heartbeat.C:
			if err := es.out.send([]byte(": still here\n\n")); err != nil {
				return false, err
			}
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// sendStored sends what is on record after the last event, and the progress now.
func (es *eventStream) sendStored(ctx context.Context) (final bool, err error) {
	for {
		events, err := es.handlers.svc.History(ctx, es.scope, es.id, es.lastSeq)
		if err != nil {
			return false, err
		}
		// Read after the history: never older than what the events say.
		t, err := es.handlers.svc.Get(ctx, es.scope, es.id)
		if err != nil {
			return false, err
		}
		if err := es.sendEvents(events, &t); err != nil {
			return false, err
		}
		if !t.State.Final() {
			return false, es.sendProgress(t.Progress)
		}
		if es.lastSeq >= t.Version || len(events) == 0 && es.final {
			return true, nil
		}
		if ctx.Err() != nil { // it ended between the two reads: read on
			return false, ctx.Err()
		}
	}
}

// sendUpdate sends what a watch told.
func (es *eventStream) sendUpdate(ctx context.Context, u task.Update) (final bool, err error) {
	switch {
	case u.Event != nil && u.Event.Seq > es.lastSeq:
		t := u.Task
		if t == nil {
			now, err := es.handlers.svc.Get(ctx, es.scope, es.id)
			if err != nil {
				return false, err
			}
			t = &now
		}
		// From the record rather than from the update: told out of order, an
		// earlier event may not have been heard of yet.
		events, err := es.handlers.svc.History(ctx, es.scope, es.id, es.lastSeq)
		if err != nil {
			return false, err
		}
		err = es.sendEvents(events, t)
		return err == nil && es.final, err
	case u.Progress != nil:
		return false, es.sendProgress(*u.Progress)
	}
	return false, nil
}

func (es *eventStream) sendStoredProgress(ctx context.Context) error {
	t, err := es.handlers.svc.Get(ctx, es.scope, es.id)
	if err != nil || t.State.Final() {
		return err
	}
	return es.sendProgress(t.Progress)
}

// sendProgress tells of progress unless it was just told, or there is none.
func (es *eventStream) sendProgress(p task.Progress) error {
	progress := toProgress(p)
	if progress == nil || p == es.progress {
		return nil
	}
	es.progress = p
	return es.send("progress", 0, progress)
}

// sendEvents sends transitions, each with the task as it is now.
func (es *eventStream) sendEvents(events []task.Event, t *task.Task) error {
	for i := range events {
		e := &events[i]
		es.lastSeq = e.Seq
		es.final = e.To.Final()
		if err := es.send("state", e.Seq, &api.StateEvent{Event: toEvent(e), Task: toTask(t, false)}); err != nil {
			return err
		}
	}
	return nil
}

// send writes one event; id 0 leaves the client's last id as it is.
func (es *eventStream) send(kind string, id int64, v any) error {
	data, err := appendEvent(nil, kind, id, v)
	if err != nil {
		return err
	}
	return es.out.send(data)
}

// appendEvent appends a server-sent event to b; id 0 leaves the client's last id as it is.
func appendEvent(b []byte, kind string, id int64, v any) ([]byte, error) {
	data, err := api.Encode(v)
	if err != nil {
		return b, err
	}
	b = fmt.Appendf(b, "event: %s\n", kind)
	if id != 0 {
		b = fmt.Appendf(b, "id: %d\n", id)
	}
	return fmt.Appendf(b, "data: %s\n\n", bytes.TrimSuffix(data, []byte("\n"))), nil
}
