package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

// maxStream ends a stream that has gone on for a week: its client comes back.
const maxStream = 7 * 24 * time.Hour

// eventStream writes a task's events: each transition once, in order.
type eventStream struct {
	h    *handlers
	out  *stream
	s    task.Scope
	id   task.ID
	last int64 // the seq of the last event written
	done bool  // and whether it led to a final state
	told task.Progress
}

// events streams what happens to a task as server-sent events: all of its
// history, or what came after Last-Event-ID, and then what comes, until it is final.
func (h *handlers) events(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	q := newQuery(r)
	if err := q.err(); err != nil {
		return err
	}
	if !accepts(r, "text/event-stream") {
		return task.Errorf(api.CodeNotAcceptable, "events are text/event-stream")
	}
	last, err := lastEventID(r)
	if err != nil {
		return err
	}
	t, err := h.find(r, s)
	if err != nil {
		return err
	}
	if t.State.Final() && last == t.Version {
		// Nothing will come. A browser that is told so comes back no more.
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	ctx, cancel := held(r, maxStream)
	defer cancel()
	out, err := h.stream(w, "text/event-stream")
	if err != nil {
		return err
	}
	if r.Method == http.MethodHead {
		return nil
	}
	es := &eventStream{h: h, out: out, s: s, id: t.ID, last: last}
	if err := out.write([]byte("retry: 2000\n\n")); err != nil {
		return err
	}
	if last > t.Version { // of a store that is gone: nothing follows from there
		es.last = 0
		if err := es.send("reset", 0, struct {
			Reason string `json:"reason"`
		}{"the task's history does not reach this id: it is told from its beginning"}); err != nil {
			return err
		}
	}
	for {
		end, err := es.once(ctx)
		if end || ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return brokenOff(err)
		}
	}
}

// brokenOff is the end of a stream whose task is gone, or that cannot go on:
// there is no way to say more, the answer has long begun.
func brokenOff(err error) error {
	if task.CodeOf(err) == task.CodeNotFound || errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

func lastEventID(r *http.Request) (int64, error) {
	v := r.Header.Get("Last-Event-ID")
	if v == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < 0 {
		return 0, task.Errorf(task.CodeInvalidRequest, "Last-Event-ID %q is not the id of an event of a task", v)
	}
	return n, nil
}

// once tells of the task until it is final (end), or its watch is over.
func (es *eventStream) once(ctx context.Context) (end bool, err error) {
	watch, stop := context.WithCancel(ctx)
	defer stop()
	updates, err := es.h.svc.Watch(watch, es.s, es.id)
	if err != nil {
		return false, err
	}
	if end, err := es.replay(ctx); end || err != nil {
		return end, err
	}
	beat := time.NewTicker(es.h.opts.Heartbeat)
	defer beat.Stop()
	settled := time.NewTimer(settling * logLag)
	defer settled.Stop()
	for {
		select {
		case u, ok := <-updates:
			if !ok {
				return false, nil
			}
			if u.Progress != nil {
				settled.Stop()
			}
			if end, err := es.tell(ctx, u); end || err != nil {
				return end, err
			}
		case <-settled.C:
			// Progress said just before the watch began is on record by now, and was
			// told to nobody; a script may say no more for an hour.
			if err := es.progress(ctx); err != nil {
				return false, err
			}
		case <-beat.C:
			if err := es.out.write([]byte(": still here\n\n")); err != nil {
				return false, err
			}
		case <-ctx.Done():
			return false, ctx.Err()
		}
	}
}

// replay tells what is on record after the last event, and the progress now.
func (es *eventStream) replay(ctx context.Context) (end bool, err error) {
	for {
		events, err := es.h.svc.History(ctx, es.s, es.id, es.last)
		if err != nil {
			return false, err
		}
		// Read after the history: never older than what the events say.
		t, err := es.h.svc.Get(ctx, es.s, es.id)
		if err != nil {
			return false, err
		}
		if err := es.states(events, &t); err != nil {
			return false, err
		}
		if !t.State.Final() {
			return false, es.sayProgress(t.Progress)
		}
		if es.last >= t.Version || len(events) == 0 && es.done {
			return true, nil
		}
		if ctx.Err() != nil { // it ended between the two reads: read on
			return false, ctx.Err()
		}
	}
}

func (es *eventStream) tell(ctx context.Context, u task.Update) (end bool, err error) {
	switch {
	case u.Event != nil && u.Event.Seq > es.last:
		t := u.Task
		if t == nil {
			now, err := es.h.svc.Get(ctx, es.s, es.id)
			if err != nil {
				return false, err
			}
			t = &now
		}
		// From the record rather than from the update: told out of order, an
		// earlier event may not have been heard of yet.
		events, err := es.h.svc.History(ctx, es.s, es.id, es.last)
		if err != nil {
			return false, err
		}
		err = es.states(events, t)
		return err == nil && es.done, err
	case u.Progress != nil:
		return false, es.sayProgress(*u.Progress)
	}
	return false, nil
}

func (es *eventStream) progress(ctx context.Context) error {
	t, err := es.h.svc.Get(ctx, es.s, es.id)
	if err != nil || t.State.Final() {
		return err
	}
	return es.sayProgress(t.Progress)
}

// sayProgress tells of progress unless it was just told, or there is none.
func (es *eventStream) sayProgress(p task.Progress) error {
	d := toProgress(p)
	if d == nil || p == es.told {
		return nil
	}
	es.told = p
	return es.send("progress", 0, d)
}

func (es *eventStream) states(events []task.Event, t *task.Task) error {
	for i := range events {
		if err := es.state(&events[i], t); err != nil {
			return err
		}
	}
	return nil
}

func (es *eventStream) state(e *task.Event, t *task.Task) error {
	es.last, es.done = e.Seq, e.To.Final()
	return es.send("state", e.Seq, api.StateEvent{Event: toEvent(e), Task: toTask(t, false)})
}

// send writes one event; id 0 leaves the client's last id as it is.
func (es *eventStream) send(kind string, id int64, v any) error {
	data, err := api.Encode(v)
	if err != nil {
		return err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "event: %s\n", kind)
	if id != 0 {
		fmt.Fprintf(&b, "id: %d\n", id)
	}
	fmt.Fprintf(&b, "data: %s\n\n", strings.TrimSuffix(string(data), "\n"))
	return es.out.write([]byte(b.String()))
}
