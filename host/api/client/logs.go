package client

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

// LogOptions select log lines.
type LogOptions struct {
	Follow  bool // until the task is final
	After   int64
	Since   time.Time
	Level   string // and above
	Attempt int
}

func (o *LogOptions) query() url.Values {
	q := url.Values{}
	if o.After > 0 {
		q.Set("since", strconv.FormatInt(o.After, 10))
	} else if !o.Since.IsZero() {
		q.Set("since", o.Since.UTC().Format(time.RFC3339Nano))
	}
	if o.Level != "" {
		q.Set("level", o.Level)
	}
	if o.Attempt > 0 {
		q.Set("attempt", strconv.Itoa(o.Attempt))
	}
	return q
}

// Logs reads a task's log lines, each once, in order; with Follow as they come.
// It ends after an error.
func (c *Client) Logs(ctx context.Context, id string, o LogOptions) iter.Seq2[task.LogLine, error] {
	return func(yield func(task.LogLine, error) bool) {
		read := c.allLogs
		if o.Follow {
			read = c.followLogs
		}
		err := read(ctx, id, o, func(l task.LogLine) error {
			if !yield(l, nil) {
				return errStop
			}
			return nil
		})
		if err != nil && !errors.Is(err, errStop) {
			yield(task.LogLine{}, err)
		}
	}
}

func (c *Client) allLogs(ctx context.Context, id string, o LogOptions, visit func(task.LogLine) error) error {
	q := o.query()
	for {
		var page api.LogList
		if err := c.call(ctx, request{method: http.MethodGet, path: at(id, "logs"), query: q}, &page); err != nil {
			return err
		}
		for _, l := range page.Lines {
			if err := visit(l); err != nil {
				return err
			}
		}
		if page.Next == nil {
			return nil
		}
		q.Set("since", *page.Next)
	}
}

func (c *Client) followLogs(ctx context.Context, id string, o LogOptions, visit func(task.LogLine) error) error {
	p := newPersistence()
	for {
		q := o.query()
		q.Set("follow", "true")
		_, err := c.stream(ctx, request{method: http.MethodGet, path: at(id, "logs"), query: q}, 0, p, func(line []byte) error {
			if len(line) == 0 {
				return nil
			}
			var l task.LogLine
			if err := json.Unmarshal(line, &l); err != nil {
				return &task.Error{Code: task.CodeInternal, Message: "the server sent a log line that is no JSON", Cause: err}
			}
			o.After = l.Seq
			return visit(l)
		})
		if err == nil {
			// The server ends it when the task is final, or when it stops itself.
			t, gerr := c.Get(ctx, id)
			if gerr == nil && t.State.Final() || task.CodeOf(gerr) == task.CodeNotFound {
				return nil
			}
			err = gerr
		}
		if err == nil {
			err = &task.Error{Code: CodeUnreachable, Message: "the server ended the stream"}
		}
		if !p.again(ctx, err) {
			return err
		}
	}
}
