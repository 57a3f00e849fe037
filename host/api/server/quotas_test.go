package server_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/client"
	"github.com/taskhost/taskhost/host/api/server"
	"github.com/taskhost/taskhost/host/identity"
	"github.com/taskhost/taskhost/host/task"
)

// A refused task says which quota it is, how much of it is used and what to do, and when to come back.
func TestQuotaExceeded(t *testing.T) {
	r := newTestServer(t, server.Options{})
	r.quotas(task.Quota{Waiting: 1, Bytes: 100})
	r.wants(r.do("POST", "/v1/executors/x/pause", ""), 200, "")
	r.submit(`{"type":"text","input":"` + strings.Repeat("x", 58) + `"}`)
	a := r.do("POST", "/v1/tasks", `{"type":"text"}`)
	p := r.wants(a, 429, task.CodeQuotaExceeded)
	if a.Header.Get("Retry-After") != "5" || p.Detail != `the quota of owner "default" is 1 waiting tasks: 1 wait already, and 1 would come; try again when some have begun, or cancel some` {
		t.Errorf("Retry-After %q: %s", a.Header.Get("Retry-After"), p.Detail)
	}
	r.quotas(task.Quota{Bytes: 100})
	a = r.do("POST", "/v1/batches", `{"tasks":[{"type":"text","input":"`+strings.Repeat("x", 38)+`"},{"type":"text","input":1}]}`)
	p = r.wants(a, 429, task.CodeQuotaExceeded)
	if a.Header.Get("Retry-After") != "60" || p.Detail != `the quota of owner "default" is 100 bytes kept: 60 are kept already, and 41 would come; delete tasks that are final, or try again when some have been retired` {
		t.Errorf("Retry-After %q: %s", a.Header.Get("Retry-After"), p.Detail)
	}
	r.wants(r.do("POST", "/v1/tasks", `{"type":"text","input":"`+strings.Repeat("x", 99)+`"}`), 413, task.CodeTooLarge)
	_, err := r.client.Submit(t.Context(), api.TaskRequest{Type: "text", Input: []byte(`"` + strings.Repeat("x", 40) + `"`)}, client.SubmitOptions{})
	var e *task.Error
	if !errors.As(err, &e) || e.Code != task.CodeQuotaExceeded || e.RetryAfter != time.Minute {
		t.Errorf("the client says %+v", err)
	}
	// An action that makes room is not kept out.
	r.quotas(task.Quota{Waiting: 1, Running: 1, Bytes: 1})
	r.wants(r.do("POST", "/v1/executors/x/resume", ""), 200, "")
	var action api.Task
	r.do("POST", "/v1/actions", `{"action":"cancel","filter":{}}`).json(t, &action)
	if done := r.final(action.ID); done.State != task.Succeeded {
		t.Errorf("the action is %+v", done)
	}
}

func TestQuotasAreSeen(t *testing.T) {
	r := newTestServer(t, server.Options{})
	admin := r.clientOf(r.token("ops", identity.Admin))
	if who, err := admin.Whoami(t.Context()); err != nil || who.Quota != nil {
		t.Errorf("without quotas: %+v, %v", who.Quota, err)
	}
	if err := r.engine.SetQuotas(t.Context(), task.Quotas{Default: task.Quota{Waiting: 3}, Owners: map[string]task.Quota{"ops": {Waiting: task.Unlimited}, "zoe": {Running: 2, Bytes: 1000}}}); err != nil {
		t.Fatal(err)
	}
	zoe := r.clientOf(r.token("zoe", identity.Member))
	for range 2 {
		if _, err := zoe.Submit(t.Context(), api.TaskRequest{Type: "gated", Input: []byte(`12345`)}, client.SubmitOptions{}); err != nil {
			t.Fatal(err)
		}
		r.started()
	}
	third, err := zoe.Submit(t.Context(), api.TaskRequest{Type: "gated", Input: []byte(`12345`)}, client.SubmitOptions{})
	if err != nil {
		t.Fatal(err)
	}
	const reached = `the quota of owner "zoe" is reached: 2 attempts at once`
	if third.Waiting == nil || *third.Waiting != "queued" || third.WaitReason == nil || *third.WaitReason != reached {
		t.Errorf("the third waits: %+v", third)
	}
	status, err := zoe.Status(t.Context())
	if err != nil || len(status.Backlog) != 1 || *status.Backlog[0].Reason != reached || status.Backlog[0].Tasks != 1 {
		t.Errorf("the status says %+v, %v", status.Backlog, err)
	}
	who, err := zoe.Whoami(t.Context())
	if err != nil || who.Quota == nil || who.Quota.Waiting != (api.QuotaUse{Used: 1, Limit: who.Quota.Waiting.Limit}) || *who.Quota.Waiting.Limit != 3 ||
		who.Quota.Running.Used != 2 || *who.Quota.Running.Limit != 2 || who.Quota.Bytes == nil || *who.Quota.Bytes.Limit != 1000 || who.Quota.Bytes.Used < 15 {
		t.Errorf("zoe is told %+v, %v", who.Quota, err)
	}
	if who, err := admin.Whoami(t.Context()); err != nil || who.Quota != nil {
		t.Errorf("who has no bound is told %+v, %v", who.Quota, err)
	}
	if _, err := zoe.QuotasPage(t.Context(), "", 0); task.CodeOf(err) != task.CodeForbidden {
		t.Errorf("a member lists quotas: %v", err)
	}
	first, err := admin.QuotasPage(t.Context(), "", 1)
	if err != nil || len(first.Quotas) != 1 || first.Quotas[0].Owner != "ops" || first.Quotas[0].Waiting.Limit != nil || first.Next == nil {
		t.Fatalf("the first page is %+v, %v", first, err)
	}
	second, err := admin.QuotasPage(t.Context(), *first.Next, 1)
	if err != nil || len(second.Quotas) != 1 || second.Quotas[0].Owner != "zoe" || second.Quotas[0].Running.Used != 2 || second.Next != nil {
		t.Fatalf("the second page is %+v, %v", second, err)
	}
	close(r.gate)
}
