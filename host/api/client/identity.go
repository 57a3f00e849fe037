package client

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/identity"
	"github.com/taskhost/taskhost/host/task"
)

// Whoami says who the host takes the caller for.
func (c *Client) Whoami(ctx context.Context) (api.Caller, error) {
	var out api.Caller
	return out, c.call(ctx, request{method: http.MethodGet, path: "/v1/whoami"}, &out)
}

// QuotasPage reads one page of what owners have and may have, by name. A limit of 0 is the
// server's; cursor is Next of the page before.
func (c *Client) QuotasPage(ctx context.Context, cursor string, limit int) (api.OwnerQuotaList, error) {
	q := url.Values{}
	setPage(q, cursor, limit)
	var out api.OwnerQuotaList
	return out, c.call(ctx, request{method: http.MethodGet, path: "/v1/quotas", query: q}, &out)
}

// CreateToken makes a token. Its secret is told this once.
func (c *Client) CreateToken(ctx context.Context, t api.TokenRequest) (api.NewToken, error) {
	var out api.NewToken
	return out, c.call(ctx, request{method: http.MethodPost, path: "/v1/tokens", body: t}, &out)
}

// Tokens reads all tokens, newest first, without their secrets.
func (c *Client) Tokens(ctx context.Context) ([]api.Token, error) {
	return allPages(func(cursor string) ([]api.Token, *string, error) {
		page, err := c.TokensPage(ctx, cursor, task.MaxListLimit)
		return page.Tokens, page.Next, err
	})
}

// TokensPage reads one page of tokens, newest first, without their secrets. A limit of 0 is
// the server's; cursor is Next of the page before.
func (c *Client) TokensPage(ctx context.Context, cursor string, limit int) (api.TokenList, error) {
	q := url.Values{}
	setPage(q, cursor, limit)
	var out api.TokenList
	return out, c.call(ctx, request{method: http.MethodGet, path: "/v1/tokens", query: q}, &out)
}

// RevokeToken removes a token; what is held for it ends now.
func (c *Client) RevokeToken(ctx context.Context, id string) error {
	return c.call(ctx, request{method: http.MethodDelete, path: "/v1/tokens/" + url.PathEscape(id)}, nil)
}

// AuditPage reads one page of who changed what, newest first; a Limit of 0 is the server's.
func (c *Client) AuditPage(ctx context.Context, f identity.Filter) (api.AuditList, error) {
	q := url.Values{}
	for name, v := range map[string]string{"owner": f.Owner, "action": f.Action, "name": f.Name} {
		if v != "" {
			q.Set(name, v)
		}
	}
	for name, at := range map[string]time.Time{"after": f.After, "before": f.Before} {
		if !at.IsZero() {
			q.Set(name, at.UTC().Format(time.RFC3339Nano))
		}
	}
	setPage(q, cursorText(f.Cursor), f.Limit)
	var out api.AuditList
	return out, c.call(ctx, request{method: http.MethodGet, path: "/v1/audit", query: q}, &out)
}
