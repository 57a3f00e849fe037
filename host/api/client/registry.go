package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

// TypesPage reads one page of task types, by name. A limit of 0 is the server's; cursor is Next
// of the page before.
func (c *Client) TypesPage(ctx context.Context, cursor string, limit int) (api.TypeList, error) {
	q := url.Values{}
	setPage(q, cursor, limit)
	var out api.TypeList
	return out, c.call(ctx, request{method: http.MethodGet, path: "/v1/types", query: q}, &out)
}

// Types reads all task types, in as many pages as that takes.
func (c *Client) Types(ctx context.Context) ([]api.Type, error) {
	return allPages(func(cursor string) ([]api.Type, *string, error) {
		page, err := c.TypesPage(ctx, cursor, task.MaxListLimit)
		return page.Types, page.Next, err
	})
}

// Type reads one task type.
func (c *Client) Type(ctx context.Context, name string) (api.Type, error) {
	var out api.Type
	return out, c.call(ctx, request{method: http.MethodGet, path: "/v1/types/" + escapePath(name)}, &out)
}

// PutType says what holds for a task type, in place of all that was put before.
func (c *Client) PutType(ctx context.Context, name string, t api.TypeRequest) (api.Type, error) {
	var out api.Type
	return out, c.call(ctx, request{method: http.MethodPut, path: "/v1/types/" + escapePath(name), body: t}, &out)
}

// ControlType does pause or resume.
func (c *Client) ControlType(ctx context.Context, name, action string) (api.Type, error) {
	var out api.Type
	return out, c.call(ctx, request{method: http.MethodPost, path: "/v1/types/" + escapePath(name) + "/" + escapePath(action)}, &out)
}

// DeleteType forgets what was put of a task type. With force all tasks of the type are
// canceled and deleted first, which takes as long as the slowest of them takes to stop.
func (c *Client) DeleteType(ctx context.Context, name string, force bool) error {
	req := request{method: http.MethodDelete, path: "/v1/types/" + escapePath(name)}
	if force {
		req.query = url.Values{"force": {"true"}}
	}
	return c.call(ctx, req, nil)
}

// Executors reads all executors.
func (c *Client) Executors(ctx context.Context) ([]api.Executor, error) {
	var out api.ExecutorList
	err := c.call(ctx, request{method: http.MethodGet, path: "/v1/executors"}, &out)
	return out.Executors, err
}

// Executor reads one executor.
func (c *Client) Executor(ctx context.Context, name string) (api.Executor, error) {
	var out api.Executor
	return out, c.call(ctx, request{method: http.MethodGet, path: "/v1/executors/" + escapePath(name)}, &out)
}

// ControlExecutor does pause, resume, drain or restart.
func (c *Client) ControlExecutor(ctx context.Context, name, action string) (api.Executor, error) {
	var out api.Executor
	return out, c.call(ctx, request{method: http.MethodPost, path: "/v1/executors/" + escapePath(name) + "/" + escapePath(action)}, &out)
}

// Workers reads the workers of all executors.
func (c *Client) Workers(ctx context.Context) ([]api.Worker, error) {
	var out api.WorkerList
	err := c.call(ctx, request{method: http.MethodGet, path: "/v1/workers"}, &out)
	return out.Workers, err
}

// Worker reads the workers of one name: several while one is restarted, or if two have
// that name.
func (c *Client) Worker(ctx context.Context, name string) ([]api.Worker, error) {
	var out api.WorkerList
	err := c.call(ctx, request{method: http.MethodGet, path: "/v1/workers/" + escapePath(name)}, &out)
	return out.Workers, err
}

// ControlWorker does drain or resume to the workers of that name.
func (c *Client) ControlWorker(ctx context.Context, name, action string) (api.Worker, error) {
	var out api.Worker
	return out, c.call(ctx, request{method: http.MethodPost, path: "/v1/workers/" + escapePath(name) + "/" + escapePath(action)}, &out)
}

// Status is the host at one look. It is no error that the host is unavailable.
func (c *Client) Status(ctx context.Context) (api.Status, error) {
	var out api.Status
	return out, c.call(ctx, request{method: http.MethodGet, path: "/v1/status"}, &out)
}

// Version says what answers.
func (c *Client) Version(ctx context.Context) (api.VersionInfo, error) {
	var out api.VersionInfo
	return out, c.call(ctx, request{method: http.MethodGet, path: "/version"}, &out)
}
