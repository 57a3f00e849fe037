package server_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/client"
	"github.com/taskhost/taskhost/host/api/server"
	"github.com/taskhost/taskhost/host/identity"
	"github.com/taskhost/taskhost/host/task"
)

func TestUnknownRoutesAndMethods(t *testing.T) {
	r := newTestServer(t, server.Options{})
	for _, path := range []string{"/", "/v1", "/v1/tasks/", "/v2/tasks", "/v1/flows", "/metrics", "/v1/events/x", "/v1/executors/x/explode", "/v1/tasks/a/b/c/d",
		"//v1/tasks", "/v1//tasks", "/v1/./tasks", "/v1/types/../tasks", "/healthz/", "/v1/tasks//events", "/v1/tasks/by-key/echo/"} {
		r.wants(r.do("GET", path, ""), 404, task.CodeNotFound)
	}
	r.wants(r.do("POST", "/v1/executors//pause", ""), 404, task.CodeNotFound)
	for _, c := range []struct{ method, path, allow string }{
		{"PUT", "/v1/tasks", "GET, HEAD, POST"}, {"GET", "/v1/batches", "POST"}, {"POST", "/v1/tasks/x", "DELETE, GET, HEAD"},
		{"GET", "/v1/tasks/x/cancel", "POST"}, {"DELETE", "/healthz", "GET, HEAD"}, {"PATCH", "/v1/types/x", "DELETE, GET, HEAD, PUT"},
	} {
		a := r.do(c.method, c.path, "")
		r.wants(a, 405, "method_not_allowed")
		if got := a.Header.Get("Allow"); got != c.allow {
			t.Errorf("%s %s: Allow %q, want %q", c.method, c.path, got, c.allow)
		}
	}
	if a := r.do("OPTIONS", "/v1/tasks", ""); a.StatusCode != 204 || a.Header.Get("Allow") != "GET, HEAD, POST" {
		t.Errorf("OPTIONS: %d %v", a.StatusCode, a.Header)
	}
	if a := r.do("HEAD", "/healthz", ""); a.StatusCode != 200 || len(a.body) != 0 {
		t.Errorf("HEAD: %d %s", a.StatusCode, a.body)
	}
}

func TestMediaTypes(t *testing.T) {
	r := newTestServer(t, server.Options{})
	body := `{"type":"text"}`
	for ct, status := range map[string]int{"application/json; charset=utf-8": 202, "application/vnd.x+json": 202, "text/plain": 415,
		"application/x-www-form-urlencoded": 415, "nonsense/": 415, "": 202} {
		h := []string{}
		if ct != "" {
			h = append(h, "Content-Type: "+ct)
		}
		if a := r.do("POST", "/v1/tasks", body, h...); a.StatusCode != status {
			t.Errorf("%q: %d %s", ct, a.StatusCode, a.body)
		} else if status == 415 {
			r.wants(a, 415, "unsupported_media_type")
		}
	}
}

func TestForeignPagesAreRefused(t *testing.T) {
	r := newTestServer(t, server.Options{Hosts: []string{"tasks.example.org"}})
	body := `{"type":"text"}`
	for _, c := range []struct {
		method  string
		headers []string
		status  int
	}{
		{"POST", []string{"Host: evil.example.org"}, 403}, // a name that was made to resolve to loopback
		{"GET", []string{"Host: evil.example.org:7070"}, 403},
		{"GET", []string{"Host: 10.0.0.1"}, 403},
		{"GET", []string{"Host: localhost.evil.org"}, 403},
		{"GET", []string{"Host: localhost:7070"}, 200},
		{"GET", []string{"Host: LOCALHOST."}, 200},
		{"GET", []string{"Host: [::1]:7070"}, 200},
		{"GET", []string{"Host: 127.8.8.8"}, 200},
		{"GET", []string{"Host: tasks.example.org"}, 200},
		{"POST", []string{"Sec-Fetch-Site: cross-site"}, 403},
		{"POST", []string{"Sec-Fetch-Site: same-site"}, 403},
		{"POST", []string{"Sec-Fetch-Site: same-origin"}, 202},
		{"POST", []string{"Origin: https://evil.example.org"}, 403},
		{"POST", []string{"Origin: null"}, 403},
		{"POST", []string{"Origin: http://localhost:7070", "Host: localhost:7070"}, 202},
		{"GET", []string{"Sec-Fetch-Site: cross-site"}, 200}, // no answer can be read across origins
	} {
		send := body
		if c.method == "GET" {
			send = ""
		}
		a := r.do(c.method, "/v1/tasks", send, c.headers...)
		if a.StatusCode != c.status {
			t.Errorf("%s %v: %d, want %d", c.method, c.headers, a.StatusCode, c.status)
		}
		if c.status == 403 {
			r.wants(a, 403, task.CodeForbidden)
		}
	}
}

func TestTokens(t *testing.T) {
	r := newTestServer(t, server.Options{})
	rootSecret := r.token("ops", identity.Admin)
	root, alice := "Authorization: Bearer "+rootSecret, "Authorization: bearer "+r.token("alice", identity.Member)
	a := r.do("GET", "/v1/tasks", "")
	r.wants(a, 401, task.CodeUnauthenticated)
	if a.Header.Get("Www-Authenticate") == "" {
		t.Error("no WWW-Authenticate")
	}
	for _, wrong := range []string{rootSecret[:len(rootSecret)-1], rootSecret + "0", strings.ToUpper(rootSecret)} {
		r.wants(r.do("GET", "/v1/tasks", "", "Authorization: Bearer "+wrong), 401, task.CodeUnauthenticated)
	}
	r.wants(r.do("GET", "/v1/tasks", "", "Authorization: Basic "+rootSecret), 401, task.CodeUnauthenticated)
	for _, path := range []string{"/healthz", "/readyz", "/version", "/openapi.json"} {
		r.wants(r.do("GET", path, "", "Host: anywhere.example.org"), 200, "")
	}
	var got api.Task
	a = r.do("POST", "/v1/tasks", `{"type":"text"}`, root)
	a.json(t, &got)
	if got.Owner != "ops" {
		t.Errorf("owner %q", got.Owner)
	}
	r.wants(r.do("GET", "/v1/tasks/"+got.ID, "", alice), 404, task.CodeNotFound)
	a = r.do("POST", "/v1/tasks", `{"type":"text"}`, alice)
	a.json(t, &got)
	if got.Owner != "alice" {
		t.Errorf("owner %q", got.Owner)
	}
	r.wants(r.do("GET", "/v1/tasks/"+got.ID, "", "X-Auth-Token: "+rootSecret, "Host: anywhere.example.org"), 200, "")
	r.wants(r.do("POST", "/v1/executors/x/pause", "", alice), 403, task.CodeForbidden)
	r.wants(r.do("POST", "/v1/executors/x/pause", "", root), 200, "")
}

func TestTokensAreListedInPages(t *testing.T) {
	r := newTestServer(t, server.Options{})
	admin := "Authorization: Bearer " + r.token("ops", identity.Admin)
	for range 4 {
		r.token("ops", identity.Viewer)
	}
	all := r.access.Tokens()
	n := 0
	for path := "/v1/tokens?limit=2"; path != ""; {
		a := r.do("GET", path, "", admin)
		r.wants(a, 200, "")
		var page api.TokenList
		a.json(t, &page)
		for _, one := range page.Tokens {
			if n >= len(all) || one.ID != all[n].ID.String() {
				t.Fatalf("%s: the token %d is %s", path, n, one.ID)
			}
			n++
		}
		path = ""
		if page.Next != nil {
			path = "/v1/tokens?limit=2&cursor=" + *page.Next
			if want := "<" + "/v1/tokens?cursor=" + *page.Next + `&limit=2>; rel="next"`; a.Header.Get("Link") != want {
				t.Errorf("Link %s, want %s", a.Header.Get("Link"), want)
			}
		}
	}
	if n != 5 {
		t.Errorf("%d tokens in pages", n)
	}
}

func TestQueueFullSaysWhenToComeBack(t *testing.T) {
	r := newTestServer(t, server.Options{})
	r.wants(r.do("POST", "/v1/executors/x/pause", ""), 200, "")
	r.wants(r.do("POST", "/v1/tasks", `{"type":"crowded"}`), 202, "")
	a := r.do("POST", "/v1/tasks", `{"type":"crowded"}`)
	r.wants(a, 429, task.CodeQueueFull)
	if a.Header.Get("Retry-After") != "5" {
		t.Errorf("Retry-After %q", a.Header.Get("Retry-After"))
	}
	_, err := r.client.Submit(t.Context(), api.TaskRequest{Type: "crowded"}, client.SubmitOptions{})
	var e *task.Error
	if !errors.As(err, &e) || e.Code != task.CodeQueueFull || e.RetryAfter != 5*time.Second {
		t.Errorf("client: %#v", err)
	}
}

func TestTypes(t *testing.T) {
	r := newTestServer(t, server.Options{})
	a := r.do("GET", "/v1/types/greet", "")
	r.wants(a, 200, "")
	var typ api.Type
	a.json(t, &typ)
	if typ.Name != "greet" || *typ.Executor != "x" || !typ.Available || !strings.Contains(string(typ.Input), `"name"`) || typ.Limits.Timeout != "1h0m0s" || typ.Limits.MaxAttempts != 3 {
		t.Errorf("%s", a.body)
	}
	if got := fmt.Sprint(names(t, a.body)); got != "[name description input result revertible executor available paused limits origin counts]" {
		t.Errorf("fields %s", got)
	}
	r.wants(r.do("GET", "/v1/types/none", ""), 404, task.CodeNotFound)
}

func TestExecutors(t *testing.T) {
	r := newTestServer(t, server.Options{})
	a := r.do("GET", "/v1/executors/x", "")
	if got := fmt.Sprint(names(t, a.body)); got != "[name plugin version state reason last_error instances slots types nodes]" {
		t.Errorf("fields %s", got)
	}
	if !strings.Contains(string(a.body), `"instances":[],"slots":{"used":0,"max":50}`) {
		t.Errorf("%s", a.body)
	}
	r.wants(r.do("GET", "/v1/executors/none", ""), 404, task.CodeNotFound)
	if a := r.do("GET", "/v1/workers", ""); string(a.body) != "{\"workers\":[]}\n" {
		t.Errorf("%s", a.body)
	}
	r.wants(r.do("POST", "/v1/workers/none/drain", ""), 404, task.CodeNotFound)
}

func TestExecutorsArePausedAndResumed(t *testing.T) {
	r := newTestServer(t, server.Options{})
	var x api.Executor
	r.do("POST", "/v1/executors/x/pause", "").json(t, &x)
	if x.State != task.ExecutorPaused {
		t.Errorf("state %s", x.State)
	}
	id := r.submit(`{"type":"text"}`)
	if got, err := r.client.Get(t.Context(), id); err != nil || got.State != task.Pending || *got.Waiting != "executor" {
		t.Errorf("%v %+v", err, got)
	}
	r.submit(`{"type":"text","run_at":"2999-01-01T00:00:00Z"}`)
	r.wantCounts("text", api.Counts{Waiting: 2})
	r.wants(r.do("POST", "/v1/executors/x/resume", ""), 200, "")
	r.final(id)
	r.wantCounts("text", api.Counts{Waiting: 1})
	r.wants(r.do("POST", "/v1/executors/x/restart", ""), 409, task.CodeConflict)
	r.wants(r.do("POST", "/v1/executors/none/pause", ""), 404, task.CodeNotFound)
}

func TestVersion(t *testing.T) {
	r := newTestServer(t, server.Options{Version: "1.2.3"})
	if a := r.do("GET", "/version", ""); !strings.Contains(string(a.body), `"version":"1.2.3"`) {
		t.Errorf("%s", a.body)
	}
}

func TestHealth(t *testing.T) {
	r := newTestServer(t, server.Options{})
	if a := r.do("GET", "/healthz", ""); string(a.body) != "{\"status\":\"ok\"}\n" {
		t.Errorf("%s", a.body)
	}
	if a := r.do("GET", "/readyz", ""); string(a.body) != "{\"status\":\"ready\"}\n" {
		t.Errorf("%s", a.body)
	}
	if a := r.do("GET", "/readyz?verbose", ""); a.StatusCode != 200 || !strings.Contains(string(a.body), `"store":"ok"`) {
		t.Errorf("%s", a.body)
	}
	if err := r.engine.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	a := r.do("GET", "/readyz?verbose=true", "")
	p := r.wants(a, 503, task.CodeStoreUnavailable)
	if len(p.Checks) == 0 || a.Header.Get("Retry-After") == "" {
		t.Errorf("%s %v", a.body, a.Header)
	}
	r.wants(r.do("POST", "/v1/tasks", `{"type":"text"}`), 503, task.CodeStoreUnavailable)
	r.wants(r.do("GET", "/healthz", ""), 200, "")
}

// broken panics where it is asked for types, and fails without a code where it is
// asked for tasks. Nothing else of it is called: no real service does either.
type broken struct{ server.Service }

func (broken) Types(task.Scope) []task.TypeStatus { panic("a bug") }
func (broken) List(context.Context, task.Scope, task.Filter) (task.Page, error) {
	return task.Page{}, errors.New("secret detail")
}

func TestOurFaultsAreLoggedAndNotTold(t *testing.T) {
	r := &testServer{t: t, log: &syncBuffer{}}
	h := httptest.NewServer(server.NewHandler(broken{}, server.Options{Log: newLog(r.log)}))
	defer h.Close()
	r.addr = strings.TrimPrefix(h.URL, "http://")
	for _, path := range []string{"/v1/types", "/v1/tasks"} {
		a := r.do("GET", path, "")
		r.wants(a, 500, task.CodeInternal)
		if strings.Contains(string(a.body), "bug") || strings.Contains(string(a.body), "secret") {
			t.Errorf("the client is told %s", a.body)
		}
	}
	if log := r.log.String(); !strings.Contains(log, "a bug") || !strings.Contains(log, "secret detail") || !strings.Contains(log, "http_test.go") {
		t.Errorf("the log lacks a cause: %s", log)
	}
}

// raw speaks HTTP by hand.
func raw(t *testing.T, addr, text string) (net.Conn, *bufio.Reader) {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	return c, bufio.NewReader(c)
}

func TestSlowBodyIsCut(t *testing.T) {
	r := newTestServer(t, server.Options{BodyTimeout: 200 * time.Millisecond})
	_, rd := raw(t, r.addr, "POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"type\":")
	resp, err := http.ReadResponse(rd, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != 408 || !strings.Contains(string(body), `"code":"request_timeout"`) {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if _, err := rd.ReadByte(); err == nil {
		t.Error("the connection is still open")
	}
}

// TestBodyDeadlineDoesNotEndAHeldRequest: the body's deadline must be taken off
// once it is here, or the server believes that its client went away.
func TestBodyDeadlineDoesNotEndAHeldRequest(t *testing.T) {
	r := newTestServer(t, server.Options{BodyTimeout: 100 * time.Millisecond})
	a := r.do("POST", "/v1/tasks", `{"type":"gated"}`, "Prefer: wait=1")
	if a.StatusCode != 202 || a.Header.Get("Preference-Applied") != "wait=1" {
		t.Errorf("%d %s", a.StatusCode, a.body)
	}
}

func TestLargeBodies(t *testing.T) {
	r := newTestServer(t, server.Options{MaxBody: func() int64 { return 1 << 10 }, MaxBatch: 4 << 10})
	_, rd := raw(t, r.addr, "POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999999\r\n\r\n")
	resp, err := http.ReadResponse(rd, nil) // answered though the body never comes
	if err != nil || resp.StatusCode != 413 {
		t.Fatalf("%v %v", resp, err)
	}
	chunk := strings.Repeat("x", 0x500)
	_, rd = raw(t, r.addr, "POST /v1/tasks HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n500\r\n"+chunk+"\r\n0\r\n\r\n")
	if resp, err = http.ReadResponse(rd, nil); err != nil || resp.StatusCode != 413 {
		t.Fatalf("%v %v", resp, err)
	}
	in := strings.Repeat("y", 2<<10)
	r.wants(r.do("POST", "/v1/batches", `{"tasks":[{"type":"echo","input":"`+in+`"}]}`), 202, "")
	r.wants(r.do("POST", "/v1/batches", `{"tasks":[{"type":"echo","input":"`+in+in+`"}]}`), 413, task.CodeTooLarge)
}

// TestResultOfAnAbsentReader: who does not read a large result is cut.
func TestResultOfAnAbsentReader(t *testing.T) {
	r := newTestServer(t, server.Options{WriteTimeout: 200 * time.Millisecond})
	id := r.submit(`{"type":"binary"}`)
	r.final(id)
	c, err := net.Dial("tcp", r.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if err := c.(*net.TCPConn).SetReadBuffer(4 << 10); err != nil {
		t.Fatal(err)
	}
	for range 8 { // more than the sockets' buffers hold
		fmt.Fprintf(c, "GET /v1/tasks/%s/result HTTP/1.1\r\nHost: localhost\r\n\r\n", id)
	}
	end := time.Now().Add(20 * time.Second)
	for {
		if _, cut := r.closed.Load(c.LocalAddr().String()); cut {
			return
		}
		if time.Now().After(end) {
			t.Fatal("the server still waits for its reader")
		}
		time.Sleep(5 * time.Millisecond)
	}
}
