package client

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

// SubmitOptions are how a task is submitted.
type SubmitOptions struct {
	// Wait holds the answer until the task is final, this long at most.
	Wait time.Duration
	// IdempotencyKey makes the submission happen once, however often it is sent.
	IdempotencyKey string
}

// Submit submits one task. It is on the host's disk when Submit returns. A task with a parent
// is submitted by a client whose token is that of the parent's attempt, while that runs.
func (c *Client) Submit(ctx context.Context, t api.TaskRequest, o SubmitOptions) (api.Task, error) {
	req := request{method: http.MethodPost, path: "/v1/tasks", header: http.Header{}, body: t}
	if o.Wait > 0 {
		req.header.Set("Prefer", "wait="+strconv.Itoa(int(max(o.Wait, time.Second)/time.Second)))
	}
	if o.IdempotencyKey != "" {
		req.header.Set("Idempotency-Key", o.IdempotencyKey)
	}
	var out api.Task
	return out, c.call(ctx, req, &out)
}

// SubmitBatch submits all tasks or none, and says where they are, in their order; replayed
// says that they were submitted before under that key. idempotencyKey may be empty.
func (c *Client) SubmitBatch(ctx context.Context, tasks []api.TaskRequest, idempotencyKey string) (refs []api.TaskRef, replayed bool, err error) {
	raw := make([]json.RawMessage, len(tasks))
	for i := range tasks {
		if raw[i], err = api.Encode(&tasks[i]); err != nil {
			return nil, false, &task.Error{Code: task.CodeInvalidRequest, Message: fmt.Sprintf("task %d cannot be written as JSON", i), Cause: err}
		}
	}
	return c.SubmitRaw(ctx, raw, idempotencyKey)
}

// SubmitRaw is SubmitBatch of tasks that are JSON already. What is wrong with one is found
// in the error's fields, at /tasks and its number from 0.
func (c *Client) SubmitRaw(ctx context.Context, tasks []json.RawMessage, idempotencyKey string) (refs []api.TaskRef, replayed bool, err error) {
	req := request{method: http.MethodPost, path: "/v1/batches", header: http.Header{}, body: map[string][]json.RawMessage{"tasks": tasks}}
	if idempotencyKey != "" {
		req.header.Set("Idempotency-Key", idempotencyKey)
	}
	resp, err := c.do(ctx, req)
	if err != nil {
		return nil, false, err
	}
	defer drainAndClose(resp)
	var out api.BatchAnswer
	if err := json.NewDecoder(resp.Body).Decode(&out); err != nil {
		return nil, false, c.unreachable(ctx, req, err)
	}
	return out.Tasks, resp.Header.Get("Idempotency-Replayed") != "", nil
}

// Get reads a task by its id, or by a beginning of it that is unique.
func (c *Client) Get(ctx context.Context, id string) (api.Task, error) {
	var out api.Task
	return out, c.call(ctx, request{method: http.MethodGet, path: taskPath(id)}, &out)
}

// ByKey reads the task of that type and key.
func (c *Client) ByKey(ctx context.Context, typ, key string) (api.Task, error) {
	var out api.Task
	return out, c.call(ctx, request{method: http.MethodGet, path: taskPath("by-key", escapePath(typ), escapePath(key))}, &out)
}

// waitHold is how long one request of Wait is held: proxies cut at a minute.
const waitHold = 50 * time.Second

// Wait returns the task once it is final. It outlasts a restart of the host, but
// not one that takes minutes. A host that this client never had an answer from is not
// waited for.
func (c *Client) Wait(ctx context.Context, id string) (api.Task, error) {
	r := reconnect{client: c}
	for {
		hold := waitHold
		if !c.met.Load() { // answered at once, so that it is known to be there before it is waited for
			hold = 0
		}
		t, err := c.getHeld(ctx, id, hold)
		switch {
		case err == nil && t.State.Final():
			return t, nil
		case err == nil:
			r.connected()
			id = t.ID // what begins one id today may begin two tomorrow
		case !r.wait(ctx, err):
			return api.Task{}, err
		}
	}
}

// getHeld reads the task once it is final, or as it is when the hold is over.
func (c *Client) getHeld(ctx context.Context, id string, hold time.Duration) (api.Task, error) {
	ctx, stop := context.WithTimeoutCause(ctx, hold+maxSilence, errSilent)
	defer stop()
	var out api.Task
	return out, c.call(ctx, request{method: http.MethodGet, path: taskPath(id), query: url.Values{"wait": {hold.String()}}}, &out)
}

// ListPage reads one page of the tasks that f selects; a Limit of 0 is the server's. A
// label whose name no task can have is refused: the query could not tell it from another.
func (c *Client) ListPage(ctx context.Context, f task.Filter) (api.TaskList, error) {
	var out api.TaskList
	for name := range f.Labels {
		if !task.ValidLabelName(name) {
			return out, task.Errorf(task.CodeInvalidRequest, "no task has a label named %q: a name has 1 to %d bytes and no '='", name, task.MaxLabel)
		}
	}
	return out, c.call(ctx, request{method: http.MethodGet, path: "/v1/tasks", query: api.ListQuery(f)}, &out)
}

// List reads all tasks that f selects, page by page as they are needed. It ends
// after an error.
func (c *Client) List(ctx context.Context, f task.Filter) iter.Seq2[api.Task, error] {
	return func(yield func(api.Task, error) bool) {
		for {
			page, err := c.ListPage(ctx, f)
			if err != nil {
				yield(api.Task{}, err)
				return
			}
			for _, t := range page.Tasks {
				if !yield(t, nil) {
					return
				}
			}
			if f.Cursor, err = page.Cursor(); err != nil {
				yield(api.Task{}, err)
				return
			}
			if f.Cursor.IsZero() {
				return
			}
		}
	}
}

// Tree reads a task with all that it has spawned, limit tasks in all at the most; 0 is the
// server's limit. A beginning of the id will do.
func (c *Client) Tree(ctx context.Context, id string, limit int) (api.TaskTree, error) {
	q := url.Values{}
	setPage(q, "", limit)
	var out api.TaskTree
	return out, c.call(ctx, request{method: http.MethodGet, path: taskPath(id, "tree"), query: q}, &out)
}

// Result reads the result's bytes and their content type.
func (c *Client) Result(ctx context.Context, id string) (contentType string, data []byte, err error) {
	req := request{method: http.MethodGet, path: taskPath(id, "result")}
	resp, err := c.do(ctx, req)
	if err != nil {
		return "", nil, err
	}
	defer drainAndClose(resp)
	data, err = io.ReadAll(resp.Body)
	if err != nil {
		return "", nil, c.unreachable(ctx, req, err)
	}
	return resp.Header.Get("Content-Type"), data, nil
}

// History reads the task's transitions, oldest first.
func (c *Client) History(ctx context.Context, id string) ([]api.Event, error) {
	var out api.History
	err := c.call(ctx, request{method: http.MethodGet, path: taskPath(id, "history")}, &out)
	return out.Events, err
}

// Cancel asks the task to end. It is canceled, or canceling, in the answer. Only
// a whole id will do, as for all that changes something.
func (c *Client) Cancel(ctx context.Context, id string) (api.Task, error) {
	var out api.Task
	return out, c.call(ctx, request{method: http.MethodPost, path: taskPath(id, "cancel")}, &out)
}

// Retry runs a failed, canceled or reverted task again.
func (c *Client) Retry(ctx context.Context, id string) (api.Task, error) {
	var out api.Task
	return out, c.call(ctx, request{method: http.MethodPost, path: taskPath(id, "retry")}, &out)
}

// Delete removes a final task and all that belongs to it.
func (c *Client) Delete(ctx context.Context, id string) error {
	return c.call(ctx, request{method: http.MethodDelete, path: taskPath(id)}, nil)
}
