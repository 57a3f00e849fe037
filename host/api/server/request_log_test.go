package server_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/api/server"
	"github.com/taskhost/taskhost/host/task"
)

// logged waits until the log has a line with all of these parts, and gives it: a request
// is logged after its answer was sent.
func (r *testServer) logged(parts ...string) string {
	r.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(time.Millisecond) {
		for line := range strings.Lines(r.log.String()) {
			found := true
			for _, p := range parts {
				found = found && strings.Contains(line, p)
			}
			if found {
				return line
			}
		}
		if time.Now().After(end) {
			r.t.Fatalf("no line with %q in\n%s", parts, r.log.String())
		}
	}
}

// Each request is a line at debug: what was asked, what was answered, how long it took.
func TestRequestsAreLogged(t *testing.T) {
	r := newTestServer(t, server.Options{})
	id := r.submit(`{"type":"gated"}`)
	r.started()
	r.logged("level=DEBUG", "msg=request", "method=POST path=/v1/tasks status=202 bytes=", "took=")
	r.wants(r.do("GET", "/v1/tasks?limit=x", ""), 400, task.CodeInvalidRequest)
	r.logged("level=DEBUG", `query="limit=x"`, "status=400", "code=invalid_request")
	r.wants(r.do("GET", "/v1/attempts/0123456789abcdef0123456789abcdef/input", ""), 404, task.CodeNotFound)
	r.logged("level=DEBUG", "path=/v1/attempts/{token}/input", "status=404")
	r.wants(r.do("GET", "/v1/attempts/0123456789abcdef/nothing", "", "Host: elsewhere.example"), 403, task.CodeForbidden)
	r.logged("level=DEBUG", "path=/v1/attempts/{token}/nothing", "status=403")
	r.wants(r.do("POST", "/v1/board/claims/0123456789abcdef0123456789abcdef/renew", ""), 409, task.CodeStaleClaim)
	r.logged("level=DEBUG", "path=/v1/board/claims/{token}/renew", "status=409")
	held, _ := raw(t, r.addr, "GET /v1/tasks/"+id+"?wait=60 HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if err := held.Close(); err != nil {
		t.Fatal(err)
	}
	r.logged("level=DEBUG", "client_gone=true")
	r.gate <- struct{}{}
	r.final(id)
	if log := r.log.String(); strings.Contains(log, "level=ERROR") || strings.Contains(log, "0123456789abcdef") {
		t.Error(log)
	}
}

// refuses answers a submit and a cancel with an error.
type refuses struct {
	server.Service
	err error
}

func (s refuses) Submit(context.Context, task.Scope, []task.Spec, *task.Idempotency) ([]task.Task, bool, error) {
	return nil, false, s.err
}

func (s refuses) Cancel(context.Context, task.Scope, task.ID) (task.Task, error) {
	return task.Task{}, s.err
}

// What clients are used to is no ERROR: an executor that is away, a host about to end, a
// full queue, a cancel that came too late. A store that fails is.
func TestOnlyOurFaultsAreErrors(t *testing.T) {
	io := context.DeadlineExceeded // any cause beneath will do
	for _, c := range []struct {
		err  *task.Error
		ours bool
	}{
		{task.Errorf(task.CodeExecutorUnavailable, "the executor is away"), false},
		{task.Errorf(task.CodeStoreUnavailable, "the host is shutting down"), false},
		{task.Errorf(task.CodeQueueFull, "too many wait"), false},
		{task.Errorf(task.CodeAlreadyFinal, "it is over"), false},
		{task.Errorf(task.CodeConflict, "it has changed"), false},
		{&task.Error{Code: task.CodeInvalidRequest, Message: "the body could not be read", Cause: io}, false},
		{&task.Error{Code: task.CodeStoreUnavailable, Message: "the store could not do it", Cause: io}, true},
		{&task.Error{Code: task.CodeStoreFull, Message: "the disk is full", Cause: io}, true},
		{task.Errorf(task.CodeInternal, "a rule is broken"), true},
	} {
		r := &testServer{t: t, log: &syncBuffer{}}
		h := httptest.NewServer(server.NewHandler(refuses{err: c.err}, server.Options{Log: newLog(r.log)}))
		r.addr = strings.TrimPrefix(h.URL, "http://")
		path, body := "/v1/tasks", `{"type":"x"}`
		if c.err.Code == task.CodeAlreadyFinal {
			path, body = path+"/01990f4e-7f3a-7c55-a1b2-0123456789ab/cancel", ""
		}
		resp, err := http.Post(h.URL+path, "application/json", strings.NewReader(body)) // not by do: a real route answers not all of these
		if err != nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		r.logged("level=DEBUG", "msg=request", "code="+string(c.err.Code))
		h.Close()
		if ours := strings.Contains(r.log.String(), "level=ERROR"); ours != c.ours {
			t.Errorf("%v is logged as an error: %v, want %v\n%s", c.err, ours, c.ours, r.log.String())
		}
	}
}
