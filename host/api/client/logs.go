package client

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

// LogOptions select log lines. The zero value takes all that are stored.
type LogOptions struct {
	// Follow goes on with the lines to come, until the task is final.
	Follow bool
	// After leaves out the lines up to that number.
	After int64
	// Since leaves out what was logged before. It counts for nothing where After is set.
	Since time.Time
	// Level leaves out what is below it: trace, debug, info, warn or error.
	Level string
	// Text leaves out lines that do not have it in their text or in the value of a field,
	// whatever letters are capital.
	Text string
	// Attempt leaves out the lines of all other attempts; 0 takes those of all.
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
	if o.Text != "" {
		q.Set("text", o.Text)
	}
	if o.Attempt > 0 {
		q.Set("attempt", strconv.Itoa(o.Attempt))
	}
	return q
}

// Logs reads a task's log lines, each once, in order; with Follow as they come.
// It ends after an error.
func (c *Client) Logs(ctx context.Context, id string, o LogOptions) iter.Seq2[task.LogLine, error] {
	return sequence(func(visit func(task.LogLine) error) error {
		if o.Follow {
			return c.followLogs(ctx, id, o, visit)
		}
		return c.storedLogs(ctx, id, o, visit)
	})
}

func (c *Client) storedLogs(ctx context.Context, id string, o LogOptions, visit func(task.LogLine) error) error {
	q := o.query()
	for {
		var page api.LogList
		if err := c.call(ctx, request{method: http.MethodGet, path: taskPath(id, "logs"), query: q}, &page); err != nil {
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
	r := reconnect{client: c}
	for {
		q := o.query()
		q.Set("follow", "true")
		_, err := c.stream(ctx, request{method: http.MethodGet, path: taskPath(id, "logs"), query: q}, 0, &r, func(line []byte) error {
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
			err = streamEnded()
		}
		if !r.wait(ctx, err) {
			return err
		}
	}
}
