package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

// getTries is how often a GET is sent while the server says that it cannot answer now.
const getTries = 5

// request is one call. Only a GET is repeated: nothing else is known to be
// without effect when its answer is lost.
type request struct {
	method string
	path   string
	query  url.Values
	header http.Header
	// body is written as JSON, a rawBody as it is; nil sends none.
	body any
}

// setPage asks for a page of a list: limit entries at the most, or as many as the server says
// if it is 0, from cursor on, or from the beginning if it is "".
func setPage(q url.Values, cursor string, limit int) {
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	if cursor != "" {
		q.Set("cursor", cursor)
	}
}

// allPages reads a list page by page, from the first to the last: page gives what is on the one
// behind a cursor, and the next cursor.
func allPages[T any](page func(cursor string) ([]T, *string, error)) ([]T, error) {
	all := []T{}
	for cursor := ""; ; {
		entries, next, err := page(cursor)
		if err != nil {
			return nil, err
		}
		all = append(all, entries...)
		if next == nil {
			return all, nil
		}
		cursor = *next
	}
}

// cursorText is a cursor as setPage takes it.
func cursorText(id task.ID) string {
	if id.IsZero() {
		return ""
	}
	return id.String()
}

// call does req and decodes the answer into out, unless out is nil.
func (c *Client) call(ctx context.Context, req request, out any) error {
	resp, err := c.do(ctx, req)
	if err != nil {
		return err
	}
	defer drainAndClose(resp)
	if out == nil || resp.StatusCode == http.StatusNoContent {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return c.unreachable(ctx, req, err)
	}
	return nil
}

// do gives the response to req if it is no error; its body is to be closed.
func (c *Client) do(ctx context.Context, req request) (*http.Response, error) {
	var body []byte
	if raw, ok := req.body.(rawBody); ok {
		body = raw.data
		req.header = http.Header{"Content-Type": {raw.contentType}}
	} else if req.body != nil {
		var err error
		if body, err = api.Encode(req.body); err != nil {
			return nil, &task.Error{Code: task.CodeInvalidRequest, Message: "the request cannot be written as JSON", Cause: err}
		}
	}
	for try := 1; ; try++ {
		resp, err := c.send(ctx, req, body)
		if err == nil {
			return resp, nil
		}
		var e *task.Error
		retry := errors.As(err, &e) && e.RetryAfter > 0 && (e.Code == task.CodeStoreUnavailable || e.Code == task.CodeExecutorUnavailable)
		if !retry || req.method != http.MethodGet || try == getTries || !sleep(ctx, min(e.RetryAfter, 10*time.Second)) {
			return nil, err
		}
	}
}

// send sends req once; an answer that is an error comes back as one.
func (c *Client) send(ctx context.Context, req request, body []byte) (*http.Response, error) {
	u := c.base + req.path
	if len(req.query) > 0 {
		u += "?" + req.query.Encode()
	}
	var rd io.Reader
	if body != nil {
		rd = bytes.NewReader(body)
	}
	hr, err := http.NewRequestWithContext(ctx, req.method, u, rd)
	if err != nil {
		return nil, &task.Error{Code: task.CodeInvalidRequest, Message: "the request cannot be made", Cause: err}
	}
	for k, v := range req.header {
		hr.Header[k] = v
	}
	if body != nil && hr.Header["Content-Type"] == nil {
		hr.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		hr.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(hr)
	if err != nil {
		return nil, c.unreachable(ctx, req, err)
	}
	if resp.StatusCode < http.StatusInternalServerError { // else it may be a proxy that answers
		c.met.Store(true)
	}
	if resp.StatusCode >= 400 {
		defer drainAndClose(resp)
		return nil, responseError(resp)
	}
	return resp, nil
}

// unreachable is the error of a call whose connection failed.
func (c *Client) unreachable(ctx context.Context, req request, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	return &task.Error{Code: CodeUnreachable, Message: fmt.Sprintf("no answer from %s to %s %s", c.base, req.method, req.path), Cause: err}
}

// responseError reads a problem; what is none (a proxy's page) is told as it is.
func responseError(resp *http.Response) error {
	var after time.Duration
	if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil {
		after = time.Duration(s) * time.Second
	}
	data, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<20)) // what came of it will do
	var p api.Problem
	if err := json.Unmarshal(data, &p); err == nil && p.Code != "" {
		return p.AsError(after)
	}
	code := task.CodeInternal
	switch resp.StatusCode {
	case http.StatusUnauthorized:
		code = task.CodeUnauthenticated
	case http.StatusForbidden:
		code = task.CodeForbidden
	case http.StatusNotFound:
		code = task.CodeNotFound
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		code = task.CodeStoreUnavailable
	}
	return &task.Error{Code: code, Message: fmt.Sprintf("the server answered %s and no problem document", resp.Status), RetryAfter: after}
}

// drainAndClose reads what little is left, so that the connection can be used again.
func drainAndClose(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	_ = resp.Body.Close()
}

// sleep waits for d; false says that ctx ended before.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// taskPath is the path of a task, or of what belongs to it.
func taskPath(id string, more ...string) string {
	p := "/v1/tasks/" + escapePath(id)
	for _, m := range more {
		p += "/" + m
	}
	return p
}

// escapePath is s as one segment of a path. A segment of dots alone would be taken for a
// way up, also where it is escaped as the standard library does.
func escapePath(s string) string {
	if s == "." || s == ".." {
		return strings.ReplaceAll(s, ".", "%2E")
	}
	return url.PathEscape(s)
}
