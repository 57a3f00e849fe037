package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"strconv"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

// Watched is one thing that happened to a task: exactly one field is set.
type Watched struct {
	State    *api.StateEvent
	Progress *api.TaskProgress
	Reset    bool // what was told before is not of this history: it begins anew
}

// Events tells what happens to a task, from the event after that seq (0: from
// its beginning) until it is final. It connects again when the connection is
// lost, and misses nothing then. It ends after an error.
func (c *Client) Events(ctx context.Context, id string, after int64) iter.Seq2[Watched, error] {
	return func(yield func(Watched, error) bool) {
		err := c.watch(ctx, id, after, func(w Watched) error {
			if !yield(w, nil) {
				return errStop
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(Watched{}, err)
		}
	}
}

func (c *Client) watch(ctx context.Context, id string, last int64, visit func(Watched) error) error {
	p := newPersistence()
	for {
		h := http.Header{"Accept": {"text/event-stream"}}
		if last > 0 {
			h.Set("Last-Event-ID", strconv.FormatInt(last, 10))
		}
		final := false
		var sse sseParser
		status, err := c.stream(ctx, request{method: http.MethodGet, path: at(id, "events"), header: h}, silence, p, func(line []byte) error {
			w, ok, err := sse.line(line)
			if err != nil || !ok {
				return err
			}
			if w.State != nil {
				last, final = w.State.Seq, w.State.To.Final()
			} else if w.Reset {
				last = 0
			}
			return visit(w)
		})
		if status == http.StatusNoContent || err == nil && final {
			return nil
		}
		if err == nil {
			err = &task.Error{Code: CodeUnreachable, Message: "the server ended the stream"}
		}
		if !p.again(ctx, err) {
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
func (s *sseParser) line(line []byte) (w Watched, ok bool, err error) {
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
		return Watched{}, false, nil
	}
	kind, data := s.kind, s.data
	s.kind, s.data = "", nil
	if len(data) == 0 {
		return Watched{}, false, nil
	}
	switch kind {
	case "state":
		w.State = new(api.StateEvent)
		err = json.Unmarshal(data, w.State)
	case "progress":
		w.Progress = new(api.TaskProgress)
		err = json.Unmarshal(data, w.Progress)
	case "reset":
		w.Reset = true
	default:
		return Watched{}, false, nil
	}
	if err != nil {
		return Watched{}, false, &task.Error{Code: task.CodeInternal, Message: "the server sent an event that cannot be read", Cause: err}
	}
	return w, true, nil
}
