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
		header := http.Header{"Accept": {"text/event-stream"}}
		if last > 0 {
			header.Set("Last-Event-ID", strconv.FormatInt(last, 10))
		}
		final := false
		var sse sseParser
		status, err := c.stream(ctx, request{method: http.MethodGet, path: taskPath(id, "events"), header: header}, maxSilence, &r, func(line []byte) error {
			u, ok, err := sse.line(line)
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

// sseParser reads the lines of server-sent events of a task.
type sseParser struct {
	kind string
	data []byte
}

// line takes one line; ok says that it ended an event of a known kind.
func (s *sseParser) line(line []byte) (u Update, ok bool, err error) {
	if len(line) > 0 {
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimPrefix(value, []byte(" "))
		switch string(name) {
		case "event":
			s.kind = string(value)
		case "data":
			if len(s.data) > 0 {
				s.data = append(s.data, '\n')
			}
			s.data = append(s.data, value...)
		}
		return Update{}, false, nil
	}
	kind := s.kind
	data := s.data
	*s = sseParser{}
	if len(data) == 0 {
		return Update{}, false, nil
	}
	switch kind {
	case "state":
		u.State = new(api.StateEvent)
		err = json.Unmarshal(data, u.State)
	case "progress":
		u.Progress = new(api.TaskProgress)
		err = json.Unmarshal(data, u.Progress)
	case "reset":
		u.Reset = true
	default:
		return Update{}, false, nil
	}
	if err != nil {
		return Update{}, false, &task.Error{Code: task.CodeInternal, Message: "the server sent an event that cannot be read", Cause: err}
	}
	return u, true, nil
}
