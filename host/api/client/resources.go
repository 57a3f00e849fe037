package client

import (
	"context"
	"net/http"
	"net/url"

	"github.com/taskhost/taskhost/host/api"
)

// ResourcesPage reads one page of resources, by name: those that tasks have or wait for. A
// limit of 0 is the server's; cursor is Next of the page before.
func (c *Client) ResourcesPage(ctx context.Context, cursor string, limit int) (api.ResourceList, error) {
	q := url.Values{}
	setPage(q, cursor, limit)
	var out api.ResourceList
	return out, c.call(ctx, request{method: http.MethodGet, path: "/v1/resources", query: q}, &out)
}

// Resource reads who has a resource and who waits for it: the one of that owner, or of all
// whom the caller may see if it is ""; conflict if several of them have one.
func (c *Client) Resource(ctx context.Context, name, owner string) (api.Resource, error) {
	q := url.Values{}
	if owner != "" {
		q.Set("owner", owner)
	}
	var out api.Resource
	return out, c.call(ctx, request{method: http.MethodGet, path: "/v1/resources/" + escapePath(name), query: q}, &out)
}
