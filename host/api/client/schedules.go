package client

import (
	"context"
	"encoding/json"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/taskhost/taskhost/host/api"
)

func schedulePath(id string, more ...string) string {
	return "/v1/schedules/" + escapePath(id) + strings.Join(append([]string{""}, more...), "/")
}

// CreateSchedule makes a schedule.
func (c *Client) CreateSchedule(ctx context.Context, s api.ScheduleRequest) (api.Schedule, error) {
	var out api.Schedule
	return out, c.call(ctx, request{method: http.MethodPost, path: "/v1/schedules", body: s}, &out)
}

// Schedule reads a schedule, with the times of so many next runs.
func (c *Client) Schedule(ctx context.Context, id string, preview int) (api.Schedule, error) {
	q := url.Values{}
	if preview > 0 {
		q.Set("preview", strconv.Itoa(preview))
	}
	var out api.Schedule
	return out, c.call(ctx, request{method: http.MethodGet, path: schedulePath(id), query: q}, &out)
}

// SchedulesPage reads one page of schedules, newest first; of one name unless it is "". A
// limit of 0 is the server's; cursor is Next of the page before.
func (c *Client) SchedulesPage(ctx context.Context, name, cursor string, limit int) (api.ScheduleList, error) {
	q := url.Values{}
	if name != "" {
		q.Set("name", name)
	}
	setPage(q, cursor, limit)
	var out api.ScheduleList
	return out, c.call(ctx, request{method: http.MethodGet, path: "/v1/schedules", query: q}, &out)
}

// ChangeSchedule changes what of a schedule is set in s; the rest stays. Fields named in
// reset, as they are called in JSON, get their defaults.
func (c *Client) ChangeSchedule(ctx context.Context, id string, s api.ScheduleRequest, reset ...string) (api.Schedule, error) {
	var out api.Schedule
	data, err := api.Encode(s)
	if err != nil {
		return out, err
	}
	fields := map[string]json.RawMessage{}
	if err := json.Unmarshal(data, &fields); err != nil {
		return out, err
	}
	for _, name := range reset {
		fields[name] = json.RawMessage("null")
	}
	return out, c.call(ctx, request{method: http.MethodPatch, path: schedulePath(id), body: fields}, &out)
}

// RunSchedule submits a run now, and gives its task.
func (c *Client) RunSchedule(ctx context.Context, id string) (api.Task, error) {
	var out api.Task
	return out, c.call(ctx, request{method: http.MethodPost, path: schedulePath(id, "run")}, &out)
}

// DeleteSchedule removes a schedule. The tasks of its runs stay.
func (c *Client) DeleteSchedule(ctx context.Context, id string) error {
	return c.call(ctx, request{method: http.MethodDelete, path: schedulePath(id)}, nil)
}
