package client

import (
	"context"
	"iter"
	"net/http"
	"net/url"

	"github.com/taskhost/taskhost/host/api"
)

func claimPath(token, what string) string {
	return "/v1/board/claims/" + escapePath(token) + "/" + what
}

// Claim asks for tasks to do, as a worker; there may be none within the request's wait.
func (c *Client) Claim(ctx context.Context, r api.ClaimRequest) ([]api.BoardClaim, error) {
	var out api.ClaimAnswer
	err := c.call(ctx, request{method: http.MethodPost, path: "/v1/board/claims", body: r}, &out)
	return out.Claims, err
}

// heard says something of a claim, which is renewed by that.
func (c *Client) heard(ctx context.Context, token, what string, body any) (api.ClaimHeard, error) {
	var out api.ClaimHeard
	return out, c.call(ctx, request{method: http.MethodPost, path: claimPath(token, what), body: body}, &out)
}

// RenewClaim has the lease of a claim begin anew, and hears whether its task is to stop. A
// token that is not current is stale_claim, here and with what follows.
func (c *Client) RenewClaim(ctx context.Context, token string) (api.ClaimHeard, error) {
	return c.heard(ctx, token, "renew", nil)
}

// ClaimProgress says how far the worker is.
func (c *Client) ClaimProgress(ctx context.Context, token string, p api.ClaimProgress) (api.ClaimHeard, error) {
	return c.heard(ctx, token, "progress", p)
}

// ClaimLog has lines kept with the task's log.
func (c *Client) ClaimLog(ctx context.Context, token string, lines ...api.ClaimLine) (api.ClaimHeard, error) {
	return c.heard(ctx, token, "log", api.ClaimLog{Lines: lines})
}

// ClaimCheckpoint saves data, of 1 MiB at the most, from which the next attempt is to resume.
func (c *Client) ClaimCheckpoint(ctx context.Context, token string, data []byte) (api.ClaimHeard, error) {
	return c.heard(ctx, token, "checkpoint", rawBody{"application/octet-stream", data})
}

// FinishClaim says that the claim's task is done, with its result. It is on record when
// this returns, as are the next three.
func (c *Client) FinishClaim(ctx context.Context, token, contentType string, result []byte) error {
	return c.endClaim(ctx, token, "finish", rawBody{contentType, result})
}

// FailClaim says that the worker could not do the task.
func (c *Client) FailClaim(ctx context.Context, token string, f api.ClaimFailure) error {
	return c.endClaim(ctx, token, "fail", f)
}

// ReleaseClaim gives the task back: nothing was done of it.
func (c *Client) ReleaseClaim(ctx context.Context, token string) error {
	return c.endClaim(ctx, token, "release", nil)
}

// TrashClaim says that the task is no use to anybody, and why.
func (c *Client) TrashClaim(ctx context.Context, token, reason string) error {
	return c.endClaim(ctx, token, "trash", api.ClaimTrash{Reason: reason})
}

func (c *Client) endClaim(ctx context.Context, token, what string, body any) error {
	return c.call(ctx, request{method: http.MethodPost, path: claimPath(token, what), body: body}, nil)
}

// ClaimsPage reads one page of the claims that are held; "" and 0 leave cursor and limit to
// the server.
func (c *Client) ClaimsPage(ctx context.Context, cursor string, limit int) (api.HeldClaimList, error) {
	q := url.Values{}
	setPage(q, cursor, limit)
	var out api.HeldClaimList
	return out, c.call(ctx, request{method: http.MethodGet, path: "/v1/board/claims", query: q}, &out)
}

// Claims reads all claims that are held, the latest first, page by page as they are needed.
// It ends after an error.
func (c *Client) Claims(ctx context.Context) iter.Seq2[api.HeldClaim, error] {
	return func(yield func(api.HeldClaim, error) bool) {
		cursor := ""
		for {
			page, err := c.ClaimsPage(ctx, cursor, 0)
			for _, h := range page.Claims {
				if !yield(h, nil) {
					return
				}
			}
			if err != nil {
				yield(api.HeldClaim{}, err)
				return
			}
			if page.Next == nil {
				return
			}
			cursor = *page.Next
		}
	}
}

// rawBody is a body that is sent as it is.
type rawBody struct {
	contentType string
	data        []byte
}
