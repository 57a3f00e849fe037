package client

import (
	"bytes"
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"strconv"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

// Update is one thing that happened to a task: exactly one field is set.
type Update struct {
	// State is a transition, with the task as it was when that was sent.
	State *api.StateEvent
	// Progress is how far the running attempt is.
	Progress *api.TaskProgress
	// Reset says that what came before is not of this task's history, which begins anew.
	Reset bool
}

// Events tells what happens to a task, from the event after that seq (0: from
// its beginning) until it is final. It connects again when the connection is
// lost, and misses nothing then. It ends after an error.
func (c *Client) Events(ctx context.Context, id string, after int64) iter.Seq2[Update, error] {
	return sequence(func(visit func(Update) error) error { return c.followEvents(ctx, id, after, visit) })
}

func (c *Client) followEvents(ctx context.Context, id string, last int64, visit func(Update) error) error {
	r := reconnect{client: c}
	for {
		final := false
		var sse sseParser
		status, err := c.stream(ctx, request{method: http.MethodGet, path: taskPath(id, "events"), header: after(last)}, maxSilence, &r, func(line []byte) error {
			u, ok, err := sse.update(line)
			if err != nil || !ok {
				return err
			}
			switch {
			case u.State != nil:
				last = u.State.Seq
				final = u.State.To.Final()
			case u.Reset:
				last = 0
			}
			return visit(u)
		})
		if status == http.StatusNoContent || err == nil && final {
			return nil
		}
		if err == nil {
			err = streamEnded()
		}
		if !r.wait(ctx, err) {
			return err
		}
	}
}

// after are the headers of a request for the events after that id; 0 for none.
func after(id int64) http.Header {
	header := http.Header{"Accept": {"text/event-stream"}}
	if id > 0 {
		header.Set("Last-Event-ID", strconv.FormatInt(id, 10))
	}
	return header
}

// TaskEvent is one thing that the stream of all events tells: State or Reset is set.
type TaskEvent struct {
	// ID is its place: AllEvents goes on after it.
	ID int64
	// State is a transition of a task, with the task.
	State *api.StateEvent
	// Reset says that events were missed which are told no more.
	Reset *api.ResetEvent
}

// AllEvents tells what happens to the tasks that f selects, from after the event with that ID (0:
// from now) for as long as the caller goes on. It connects again when the connection is lost, and
// misses nothing then that the host can still tell; what it cannot is a Reset. Over a restart of the
// host, or a long time away, some events may be told again: each is that of its task's id and its Seq.
// It ends after an error.
func (c *Client) AllEvents(ctx context.Context, f task.EventFilter, last int64) iter.Seq2[TaskEvent, error] {
	return sequence(func(visit func(TaskEvent) error) error { return c.followAll(ctx, f, last, visit) })
}

func (c *Client) followAll(ctx context.Context, f task.EventFilter, last int64, visit func(TaskEvent) error) error {
	r := reconnect{client: c}
	query := api.ListQuery(task.Filter{States: f.States, Types: f.Types, Owner: f.Owner, Group: f.Group})
	for {
		var sse sseParser
		_, err := c.stream(ctx, request{method: http.MethodGet, path: "/v1/events", query: query, header: after(last)}, maxSilence, &r, func(line []byte) error {
			e, ok := sse.line(line)
			if e.id > 0 {
				last = e.id
			}
			if !ok {
				return nil
			}
			u := TaskEvent{ID: last}
			var err error
			switch e.kind {
			case "state":
				u.State, err = decodeEvent[api.StateEvent](e.data)
			case "reset":
				u.Reset, err = decodeEvent[api.ResetEvent](e.data)
			default:
				return nil
			}
			if err != nil {
				return err
			}
			return visit(u)
		})
		if err == nil {
			err = streamEnded()
		}
		if !r.wait(ctx, err) {
			return err
		}
	}
}

// sseEvent is a server-sent event.
type sseEvent struct {
	id   int64 // 0 if it has none, or one that is no number
	kind string
	data []byte
}

// sseParser reads the lines of server-sent events.
type sseParser struct{ event sseEvent }

// line takes one line. At the end of a block it gives what that had; ok says that it was an
// event, and not an id alone.
func (s *sseParser) line(line []byte) (e sseEvent, ok bool) {
	if len(line) == 0 {
		e = s.event
		s.event = sseEvent{}
		return e, len(e.data) > 0
	}
	name, value, _ := bytes.Cut(line, []byte(":"))
	value = bytes.TrimPrefix(value, []byte(" "))
	switch string(name) {
	case "event":
		s.event.kind = string(value)
	case "id":
		s.event.id, _ = strconv.ParseInt(string(value), 10, 64)
	case "data":
		if len(s.event.data) > 0 {
			s.event.data = append(s.event.data, '\n')
		}
		s.event.data = append(s.event.data, value...)
	}
	return sseEvent{}, false
}

// update takes one line of the events of a task; ok says that it ended one of a known kind.
func (s *sseParser) update(line []byte) (u Update, ok bool, err error) {
	e, ok := s.line(line)
	if !ok {
		return u, false, nil
	}
	switch e.kind {
	case "state":
		u.State, err = decodeEvent[api.StateEvent](e.data)
	case "progress":
		u.Progress, err = decodeEvent[api.TaskProgress](e.data)
	case "reset":
		u.Reset = true
	default:
		return u, false, nil
	}
	return u, err == nil, err
}

// decodeEvent reads the data of an event.
func decodeEvent[T any](data []byte) (*T, error) {
	v := new(T)
	if err := json.Unmarshal(data, v); err != nil {
		return nil, &task.Error{Code: task.CodeInternal, Message: "the server sent an event that cannot be read", Cause: err}
	}
	return v, nil
}
