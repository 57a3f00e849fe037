package client

import (
	"context"
	"net/http"

	"github.com/taskhost/taskhost/host/api"
)

// Types reads all task types.
func (c *Client) Types(ctx context.Context) ([]api.Type, error) {
	var out api.TypeList
	err := c.call(ctx, request{method: http.MethodGet, path: "/v1/types"}, &out)
	return out.Types, err
}

// Type reads one task type.
func (c *Client) Type(ctx context.Context, name string) (api.Type, error) {
	var out api.Type
	return out, c.call(ctx, request{method: http.MethodGet, path: "/v1/types/" + escapePath(name)}, &out)
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
