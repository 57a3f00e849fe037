package api

import (
	"context"
	"io"
	"iter"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// SubmitOptions are how a task is submitted.
type SubmitOptions struct {
	// Wait holds the answer until the task is final, this long at most.
	Wait time.Duration
	// IdempotencyKey makes the submission happen once, however often it is sent.
	IdempotencyKey string
}

// Submit submits one task. It is on the host's disk when Submit returns.
func (c *Client) Submit(ctx context.Context, t TaskRequest, o SubmitOptions) (Task, error) {
	req := request{method: http.MethodPost, path: "/v1/tasks", header: http.Header{}, body: t, hold: o.Wait}
	if o.Wait > 0 {
		req.header.Set("Prefer", "wait="+strconv.Itoa(int(max(o.Wait, time.Second)/time.Second)))
	}
	if o.IdempotencyKey != "" {
		req.header.Set("Idempotency-Key", o.IdempotencyKey)
	}
	var out Task
	return out, c.call(ctx, req, &out)
}

// SubmitBatch submits all tasks or none, and says where they are, in their
// order. idempotencyKey may be empty.
func (c *Client) SubmitBatch(ctx context.Context, tasks []TaskRequest, idempotencyKey string) ([]TaskRef, error) {
	req := request{method: http.MethodPost, path: "/v1/batches", header: http.Header{}, body: BatchRequest{Tasks: tasks}}
	if idempotencyKey != "" {
		req.header.Set("Idempotency-Key", idempotencyKey)
	}
	var out BatchAnswer
	err := c.call(ctx, req, &out)
	return out.Tasks, err
}

// Get reads a task by its id, or by a beginning of it that is unique.
func (c *Client) Get(ctx context.Context, id string) (Task, error) {
	var out Task
	return out, c.call(ctx, request{method: http.MethodGet, path: at(id)}, &out)
}

// ByKey reads the task of that type and key.
func (c *Client) ByKey(ctx context.Context, typ, key string) (Task, error) {
	var out Task
	return out, c.call(ctx, request{method: http.MethodGet, path: at("by-key", url.PathEscape(typ), url.PathEscape(key))}, &out)
}

const (
	waitHold = 50 * time.Second // of one request; proxies cut at a minute
	patience = 2 * time.Minute  // with a server that was there and is gone
)

// Wait returns the task once it is final. It outlasts a restart of the host, but
// not one that takes minutes.
func (c *Client) Wait(ctx context.Context, id string) (Task, error) {
	p := newPersistence()
	for {
		var out Task
		err := c.call(ctx, request{method: http.MethodGet, path: at(id), query: url.Values{"wait": {waitHold.String()}}, hold: waitHold}, &out)
		switch {
		case err == nil && out.State.Final():
			return out, nil
		case err == nil:
			p.met()
		case !p.again(ctx, err):
			return Task{}, err
		}
	}
}

// ListOptions select tasks. Empty fields match all.
type ListOptions struct {
	States        []task.State
	Types         []string
	Executor      string
	Owner         string
	Key           string
	Labels        map[string]string
	CreatedAfter  time.Time
	CreatedBefore time.Time
	Ascending     bool // oldest first
	Limit         int  // to a page; 0: the server's default
	Cursor        string
}

func (o *ListOptions) query() url.Values {
	q := url.Values{}
	set := func(name, v string) {
		if v != "" {
			q.Set(name, v)
		}
	}
	for _, s := range o.States {
		q.Add("state", s.String())
	}
	for _, t := range o.Types {
		q.Add("type", t)
	}
	for k, v := range o.Labels {
		q.Add("label", k+"="+v)
	}
	slices.Sort(q["label"])
	set("executor", o.Executor)
	set("owner", o.Owner)
	set("key", o.Key)
	set("cursor", o.Cursor)
	for name, t := range map[string]time.Time{"created_after": o.CreatedAfter, "created_before": o.CreatedBefore} {
		if !t.IsZero() {
			q.Set(name, t.UTC().Format(time.RFC3339Nano))
		}
	}
	if o.Ascending {
		q.Set("order", "asc")
	}
	if o.Limit > 0 {
		q.Set("limit", strconv.Itoa(o.Limit))
	}
	return q
}

// ListPage reads one page.
func (c *Client) ListPage(ctx context.Context, o ListOptions) (TaskList, error) {
	var out TaskList
	return out, c.call(ctx, request{method: http.MethodGet, path: "/v1/tasks", query: o.query()}, &out)
}

// List reads all pages, one as it is needed. It ends after an error.
func (c *Client) List(ctx context.Context, o ListOptions) iter.Seq2[Task, error] {
	return func(yield func(Task, error) bool) {
		for {
			page, err := c.ListPage(ctx, o)
			if err != nil {
				yield(Task{}, err)
				return
			}
			for _, t := range page.Tasks {
				if !yield(t, nil) {
					return
				}
			}
			if page.Next == nil {
				return
			}
			o.Cursor = *page.Next
		}
	}
}

// Result reads the result's bytes and their content type.
func (c *Client) Result(ctx context.Context, id string) (contentType string, data []byte, err error) {
	req := request{method: http.MethodGet, path: at(id, "result")}
	resp, err := c.answer(ctx, req)
	if err != nil {
		return "", nil, err
	}
	defer discard(resp)
	data, err = io.ReadAll(resp.Body)
	if err != nil {
		return "", nil, c.broken(ctx, req, err)
	}
	return resp.Header.Get("Content-Type"), data, nil
}

// History reads the task's transitions, oldest first.
func (c *Client) History(ctx context.Context, id string) ([]Event, error) {
	var out History
	err := c.call(ctx, request{method: http.MethodGet, path: at(id, "history")}, &out)
	return out.Events, err
}

// Cancel asks the task to end. It is canceled, or canceling, in the answer. Only
// a whole id will do, as for all that changes something.
func (c *Client) Cancel(ctx context.Context, id string) (Task, error) {
	var out Task
	return out, c.call(ctx, request{method: http.MethodPost, path: at(id, "cancel")}, &out)
}

// Retry runs a failed, canceled or reverted task again.
func (c *Client) Retry(ctx context.Context, id string) (Task, error) {
	var out Task
	return out, c.call(ctx, request{method: http.MethodPost, path: at(id, "retry")}, &out)
}

// Delete removes a final task and all that belongs to it.
func (c *Client) Delete(ctx context.Context, id string) error {
	return c.call(ctx, request{method: http.MethodDelete, path: at(id)}, nil)
}

// Types reads all task types.
func (c *Client) Types(ctx context.Context) ([]Type, error) {
	var out TypeList
	err := c.call(ctx, request{method: http.MethodGet, path: "/v1/types"}, &out)
	return out.Types, err
}

// Type reads one task type.
func (c *Client) Type(ctx context.Context, name string) (Type, error) {
	var out Type
	return out, c.call(ctx, request{method: http.MethodGet, path: "/v1/types/" + url.PathEscape(name)}, &out)
}

// Executors reads all executors.
func (c *Client) Executors(ctx context.Context) ([]Executor, error) {
	var out ExecutorList
	err := c.call(ctx, request{method: http.MethodGet, path: "/v1/executors"}, &out)
	return out.Executors, err
}

// Executor reads one executor.
func (c *Client) Executor(ctx context.Context, name string) (Executor, error) {
	var out Executor
	return out, c.call(ctx, request{method: http.MethodGet, path: "/v1/executors/" + url.PathEscape(name)}, &out)
}

// ControlExecutor does pause, resume, drain or restart.
func (c *Client) ControlExecutor(ctx context.Context, name, action string) (Executor, error) {
	var out Executor
	return out, c.call(ctx, request{method: http.MethodPost, path: "/v1/executors/" + url.PathEscape(name) + "/" + url.PathEscape(action)}, &out)
}

// Workers reads the workers of all executors.
func (c *Client) Workers(ctx context.Context) ([]Worker, error) {
	var out WorkerList
	err := c.call(ctx, request{method: http.MethodGet, path: "/v1/workers"}, &out)
	return out.Workers, err
}

// Worker reads the workers of one name: several while one is restarted, or if two have
// that name.
func (c *Client) Worker(ctx context.Context, name string) ([]Worker, error) {
	var out WorkerList
	err := c.call(ctx, request{method: http.MethodGet, path: "/v1/workers/" + url.PathEscape(name)}, &out)
	return out.Workers, err
}

// ControlWorker does drain or resume to the workers of that name.
func (c *Client) ControlWorker(ctx context.Context, name, action string) (Worker, error) {
	var out Worker
	return out, c.call(ctx, request{method: http.MethodPost, path: "/v1/workers/" + url.PathEscape(name) + "/" + url.PathEscape(action)}, &out)
}

// Version says what answers.
func (c *Client) Version(ctx context.Context) (VersionInfo, error) {
	var out VersionInfo
	return out, c.call(ctx, request{method: http.MethodGet, path: "/version"}, &out)
}
