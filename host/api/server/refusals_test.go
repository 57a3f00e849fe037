package server_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/server"
	"github.com/taskhost/taskhost/host/task"
)

// What net/http refuses before any handler is asked is a problem like all others, and
// says what was wrong.
func TestRefusalsOfTheServerAreProblems(t *testing.T) {
	r := newTestServer(t, server.Options{})
	const good = "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
	for _, c := range []struct {
		request string
		status  int
		code    task.Code
		detail  string
	}{
		{"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 40<<10) + "\r\n\r\n", 431, api.CodeHeadTooLarge, "more than 32768 bytes"},
		{"GET /" + strings.Repeat("x", 40<<10) + " HTTP/1.1\r\nHost: localhost\r\n\r\n", 431, api.CodeHeadTooLarge, "more than 32768 bytes"},
		{"HELLO\r\n\r\n", 400, task.CodeInvalidRequest, "first line"},
		{"GET http://[::1 HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, task.CodeInvalidRequest, "first line"},
		{"GET /%zz HTTP/1.1\r\nHost: localhost\r\n\r\n", 400, task.CodeInvalidRequest, "first line"},
		{"GET /healthz HTTP/1.1\r\n\r\n", 400, task.CodeInvalidRequest, "missing required Host header"},
		{"GET /healthz HTTP/1.1\r\nHost: a b\r\n\r\n", 400, task.CodeInvalidRequest, "malformed Host header"},
		{"GET /healthz HTTP/1.1\r\nHost: localhost\r\nA b: c\r\n\r\n", 400, task.CodeInvalidRequest, "invalid header name"},
		{"POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: many\r\n\r\n", 400, task.CodeInvalidRequest, "a header cannot be read"},
		{"POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n", 501, api.CodeNotImplemented, "Transfer-Encoding"},
		{"GET /healthz HTTP/1.1\r\nHost: localhost\r\nExpect: cake\r\n\r\n", 417, api.CodeExpectationFailed, "100-continue"},
		{"GET /healthz HTTP/3.1\r\nHost: localhost\r\n\r\n", 505, api.CodeVersionNotSupported, "HTTP/1.1"},
		{"GET * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", 400, task.CodeInvalidRequest, "no path"},
		{good + "HELLO\r\n\r\n", 400, task.CodeInvalidRequest, "first line"}, // read with the one before it
		{good + good + "GET /healthz HTTP/1.1\r\n\r\n", 400, task.CodeInvalidRequest, "missing required Host header"},
	} {
		_, rd := raw(t, r.addr, c.request)
		for range strings.Count(c.request, good) {
			resp, err := http.ReadResponse(rd, nil)
			if err != nil {
				t.Fatal(err)
			}
			if body, err := io.ReadAll(resp.Body); err != nil || resp.StatusCode != 200 || string(body) != "{\"status\":\"ok\"}\n" {
				t.Errorf("%.60q: the good request is answered %d %s %v", c.request, resp.StatusCode, body, err)
			}
		}
		resp, err := http.ReadResponse(rd, nil)
		if err != nil {
			t.Errorf("%.60q: %v", c.request, err)
			continue
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Errorf("%.60q: %v", c.request, err)
		}
		var p api.Problem
		if err := json.Unmarshal(body, &p); err != nil || resp.StatusCode != c.status || resp.Header.Get("Content-Type") != "application/problem+json" ||
			p.Code != c.code || p.Status != c.status || p.Type != api.ProblemType+string(c.code) || p.Title == "" || !strings.Contains(p.Detail, c.detail) {
			t.Errorf("%.60q: %d %v %s, want %d %s with %q", c.request, resp.StatusCode, resp.Header, body, c.status, c.code, c.detail)
		}
		if _, err := rd.ReadByte(); err == nil || !resp.Close {
			t.Errorf("%.60q: the connection goes on (%v)", c.request, err)
		}
	}
}

// What a handler writes is never taken for a refusal, though a write begins with the words
// of one: the bytes of a result may.
func TestAnswersThatLookLikeRefusals(t *testing.T) {
	const words = "HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"
	r := &testServer{t: t}
	r.listen(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(2*len(words)))
		for range 2 {
			w.(http.Flusher).Flush() // what follows is a write of its own
			_, _ = io.WriteString(w, words)
		}
	}), nil)
	for range 2 { // on one connection
		if a := r.do("GET", "/", ""); a.StatusCode != 200 || string(a.body) != words+words {
			t.Errorf("%d %s", a.StatusCode, a.body)
		}
	}
}
