package client

import (
	"context"
	"net/http"

	"github.com/taskhost/taskhost/host/api"
)

// SubmitAction has something done to all tasks that match, and gives the task that
// carries it out: its progress counts, and its cancel stops it. idempotencyKey may be empty.
func (c *Client) SubmitAction(ctx context.Context, a api.ActionRequest, idempotencyKey string) (api.Task, error) {
	a.DryRun = false
	req := request{method: http.MethodPost, path: "/v1/actions", header: http.Header{}, body: a}
	if idempotencyKey != "" {
		req.header.Set("Idempotency-Key", idempotencyKey)
	}
	var out api.Task
	return out, c.call(ctx, req, &out)
}

// CountAction says to how many tasks an action would be done now.
func (c *Client) CountAction(ctx context.Context, a api.ActionRequest) (int64, error) {
	a.DryRun = true
	var out api.ActionCount
	err := c.call(ctx, request{method: http.MethodPost, path: "/v1/actions", body: a}, &out)
	return out.Matched, err
}

// Pause has a task rest until Resume: one that waits at once, one that runs if its script agrees
// within 10 seconds; conflict if it has not, though it may later.
func (c *Client) Pause(ctx context.Context, id string) (api.Task, error) {
	var out api.Task
	return out, c.call(ctx, request{method: http.MethodPost, path: taskPath(id, "pause")}, &out)
}

// Resume has a paused task wait for its turn again.
func (c *Client) Resume(ctx context.Context, id string) (api.Task, error) {
	var out api.Task
	return out, c.call(ctx, request{method: http.MethodPost, path: taskPath(id, "resume")}, &out)
}
