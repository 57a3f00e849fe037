package server

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

// eventsAtOnce is about how many bytes of events are written at a time.
const eventsAtOnce = 32 << 10

// watchTasks streams what happens to tasks as server-sent events: from now on, or what came
// after Last-Event-ID and then what comes.
func (h *handlers) watchTasks(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	q := newQuery(r)
	f := task.EventFilter{Types: q.repeated("type"), States: q.states(), Group: q.id("group"), Owner: q.filled("owner")}
	if err := q.err(); err != nil {
		return err
	}
	last, err := eventsAfter(r)
	if err != nil {
		return err
	}
	ctx, cancel := requestContext(r, maxStream)
	defer cancel()
	now, err := h.svc.Events(ctx, s, &f, 0)
	if err != nil {
		return err
	}
	if last == 0 {
		last = now.Next
	}
	out, err := h.stream(w, "text/event-stream")
	if err != nil || r.Method == http.MethodHead {
		return err
	}
	as := &allEvents{handlers: h, out: out, scope: s, filter: f, last: last}
	return as.run(ctx)
}

// allEvents sends transitions of all tasks. It keeps a page and the one that is read behind it,
// however slow the client is.
type allEvents struct {
	handlers *handlers
	out      *stream
	scope    task.Scope
	filter   task.EventFilter
	last     int64 // the place up to which all that was asked for is sent
}

// readEvents is a page of events, or why there is none.
type readEvents struct {
	page task.EventPage
	err  error
}

// run sends events until ctx ends.
func (as *allEvents) run(ctx context.Context) error {
	if err := as.out.send(fmt.Appendf(nil, "retry: 2000\nid: %d\n\n", as.last)); err != nil {
		return err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	pages := make(chan readEvents)
	go as.read(ctx, as.last, pages)
	heartbeat := time.NewTicker(as.handlers.opts.Heartbeat)
	defer heartbeat.Stop()
	for {
		select {
		case p := <-pages:
			if p.err != nil && ctx.Err() != nil {
				return nil
			}
			if p.err != nil {
				return p.err
			}
			if err := as.send(&p.page); err != nil {
				return err
			}
		case <-heartbeat.C:
			if err := as.out.send(fmt.Appendf(nil, ": still here\nid: %d\n\n", as.last)); err != nil {
				return err
			}
		case <-ctx.Done():
			return nil
		}
	}
}

// read reads events from a place on, for as long as there are any to be read and ctx goes on.
func (as *allEvents) read(ctx context.Context, place int64, pages chan<- readEvents) {
	for {
		page, err := as.handlers.svc.Events(ctx, as.scope, &as.filter, place)
		place = page.Next
		select {
		case pages <- readEvents{page, err}:
		case <-ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// send sends a page.
func (as *allEvents) send(page *task.EventPage) (err error) {
	var b []byte
	if page.Gap {
		if b, err = appendEvent(b, "reset", page.Next, api.ResetEvent{Reason: "events were missed that cannot be told any more: read the tasks anew, the stream goes on from here"}); err != nil {
			return err
		}
	}
	for i := range page.Events {
		e := &page.Events[i]
		if b, err = appendEvent(b, "state", e.Place, &api.StateEvent{Event: toEvent(&e.Event), Task: toTask(&e.Task, false)}); err != nil {
			return err
		}
		if len(b) < eventsAtOnce {
			continue
		}
		if err := as.out.write(b); err != nil {
			return err
		}
		b = b[:0]
	}
	as.last = page.Next
	if len(b) > 0 {
		if err := as.out.write(b); err != nil {
			return err
		}
	}
	if page.Gap || len(page.Events) > 0 {
		return as.out.flush()
	}
	return nil
}
