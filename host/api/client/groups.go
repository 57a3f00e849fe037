package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"
	"strings"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/group"
)

func groupPath(id string, more ...string) string {
	return "/v1/groups/" + escapePath(id) + strings.Join(append([]string{""}, more...), "/")
}

// CreateGroup makes an open group: tasks join by naming it, until CloseGroup.
func (c *Client) CreateGroup(ctx context.Context, g api.GroupRequest) (api.Group, error) {
	var out api.Group
	return out, c.call(ctx, request{method: http.MethodPost, path: "/v1/groups", body: g}, &out)
}

// SubmitGroup submits all tasks or none, as one group, and reads the group.
// idempotencyKey may be empty.
func (c *Client) SubmitGroup(ctx context.Context, g api.BatchGroup, tasks []api.TaskRequest, idempotencyKey string) (api.Group, error) {
	req := request{method: http.MethodPost, path: "/v1/batches", header: http.Header{}, body: api.BatchRequest{Tasks: tasks, Group: &g}}
	if idempotencyKey != "" {
		req.header.Set("Idempotency-Key", idempotencyKey)
	}
	var ref api.GroupRef
	if err := c.call(ctx, req, &ref); err != nil {
		return api.Group{}, err
	}
	return c.Group(ctx, strings.TrimPrefix(ref.Group, "/v1/groups/"))
}

// Group reads a group.
func (c *Client) Group(ctx context.Context, id string) (api.Group, error) {
	var out api.Group
	return out, c.call(ctx, request{method: http.MethodGet, path: groupPath(id)}, &out)
}

// GroupsPage reads one page of groups; a Limit of 0 is the server's.
func (c *Client) GroupsPage(ctx context.Context, f group.Filter) (api.GroupList, error) {
	q := url.Values{}
	if f.Name != "" {
		q.Set("name", f.Name)
	}
	setPage(q, cursorText(f.Cursor), f.Limit)
	var out api.GroupList
	return out, c.call(ctx, request{method: http.MethodGet, path: "/v1/groups", query: q}, &out)
}

// Groups reads all groups that f selects, newest first, page by page as they are needed.
// It ends after an error.
func (c *Client) Groups(ctx context.Context, f group.Filter) iter.Seq2[api.Group, error] {
	return func(yield func(api.Group, error) bool) {
		for {
			page, err := c.GroupsPage(ctx, f)
			for _, g := range page.Groups {
				if !yield(g, nil) {
					return
				}
			}
			if err == nil {
				f.Cursor, err = page.Cursor()
			}
			if err != nil {
				yield(api.Group{}, err)
				return
			}
			if f.Cursor.IsZero() {
				return
			}
		}
	}
}

// CloseGroup lets no more tasks join a group.
func (c *Client) CloseGroup(ctx context.Context, id string) (api.Group, error) {
	return c.changeGroup(ctx, id, "close")
}

// CancelGroup closes a group and asks all its members to end that are not final.
func (c *Client) CancelGroup(ctx context.Context, id string) (api.Group, error) {
	return c.changeGroup(ctx, id, "cancel")
}

// RetryGroup has a group's failed members wait again, with fresh attempts.
func (c *Client) RetryGroup(ctx context.Context, id string) (api.Group, error) {
	return c.changeGroup(ctx, id, "retry")
}

func (c *Client) changeGroup(ctx context.Context, id, verb string) (api.Group, error) {
	var out api.Group
	return out, c.call(ctx, request{method: http.MethodPost, path: groupPath(id, verb)}, &out)
}

// DeleteGroup removes a finished group and its members.
func (c *Client) DeleteGroup(ctx context.Context, id string) error {
	return c.call(ctx, request{method: http.MethodDelete, path: groupPath(id)}, nil)
}
