// Package client speaks to a host over /v1, in Go. It links no HTTP server library
// and nothing of the host but the types that go over the wire.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

// CodeUnreachable is the code of a Client's error when no server answered.
const CodeUnreachable task.Code = "unreachable"

// Client speaks to a host over HTTP. Its errors are *task.Error with the code
// that the server gave, or CodeUnreachable. It may be used from many goroutines.
type Client struct {
	base  string
	token string
	http  *http.Client
}

// New makes a Client of the host at addr: host:port, or a URL. token may be
// empty where the host has none.
func New(addr, token string) (*Client, error) {
	if !strings.Contains(addr, "://") {
		addr = "http://" + addr
	}
	u, err := url.Parse(addr)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, task.Errorf(task.CodeInvalidRequest, "%q is not the address of a host: want host:port, or a URL", addr)
	}
	tr := &http.Transport{
		Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 256, IdleConnTimeout: 90 * time.Second, ForceAttemptHTTP2: true,
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout: 10 * time.Second,
	}
	return &Client{base: strings.TrimSuffix(u.Scheme+"://"+u.Host+u.Path, "/"), token: token, http: &http.Client{Transport: tr}}, nil
}

// Close lets idle connections go.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Addr is where the client sends its requests.
func (c *Client) Addr() string { return c.base }

// How often a GET is tried while the server says that it cannot answer now.
const getTries = 5

// request is one call. Only a GET is repeated: nothing else is known to be
// without effect when its answer is lost.
type request struct {
	method, path string
	query        url.Values
	header       http.Header
	body         any
	hold         time.Duration // how long the server was asked to hold the answer
}

// call does req and decodes the answer into out, unless out is nil.
func (c *Client) call(ctx context.Context, req request, out any) error {
	resp, err := c.answer(ctx, req)
	if err != nil {
		return err
	}
	defer discard(resp)
	if out == nil || resp.StatusCode == http.StatusNoContent {
		return nil
	}
	if err := json.NewDecoder(resp.Body).Decode(out); err != nil {
		return c.broken(ctx, req, err)
	}
	return nil
}

// answer is the response to req if it is no error; its body is to be closed.
func (c *Client) answer(ctx context.Context, req request) (*http.Response, error) {
	var body []byte
	if req.body != nil {
		var err error
		if body, err = api.Encode(req.body); err != nil {
			return nil, &task.Error{Code: task.CodeInvalidRequest, Message: "the request cannot be written as JSON", Cause: err}
		}
	}
	for try := 1; ; try++ {
		resp, err := c.once(ctx, req, body)
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

func (c *Client) once(ctx context.Context, req request, body []byte) (*http.Response, error) {
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
	if body != nil {
		hr.Header.Set("Content-Type", "application/json")
	}
	if c.token != "" {
		hr.Header.Set("Authorization", "Bearer "+c.token)
	}
	resp, err := c.http.Do(hr)
	if err != nil {
		return nil, c.broken(ctx, req, err)
	}
	if resp.StatusCode >= 400 {
		defer discard(resp)
		return nil, errorOf(resp)
	}
	return resp, nil
}

// broken is the error of a call whose connection failed.
func (c *Client) broken(ctx context.Context, req request, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	var ue *url.Error
	if errors.As(err, &ue) {
		err = ue.Err
	}
	return &task.Error{Code: CodeUnreachable, Message: fmt.Sprintf("no answer from %s to %s %s", c.base, req.method, req.path), Cause: err}
}

// errorOf reads a problem; what is none (a proxy's page) is told as it is.
func errorOf(resp *http.Response) error {
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

// discard reads what little is left, so that the connection can be used again.
func discard(resp *http.Response) {
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	_ = resp.Body.Close()
}

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

func at(id string, more ...string) string {
	p := "/v1/tasks/" + url.PathEscape(id)
	for _, m := range more {
		p += "/" + m
	}
	return p
}
