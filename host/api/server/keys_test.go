package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/client"
	"github.com/taskhost/taskhost/host/api/server"
	"github.com/taskhost/taskhost/host/task"
)

// TestEveryKeyIsFound: whatever bytes a key has, it leads to its task, by path and in a list.
func TestEveryKeyIsFound(t *testing.T) {
	r := newTestServer(t, server.Options{})
	for _, key := range []string{"/", "//", "a/b", "/a", "a/", ".", "..", "../x", "a//b", "%2F", "a?b#c", "a b", "a+b", "ü", "a&b=c;d", "\x00"} {
		submitted, err := r.client.Submit(t.Context(), api.TaskRequest{Type: "text", Key: key, Labels: map[string]string{key: key + "=" + key}}, client.SubmitOptions{})
		if strings.Contains(key, "=") { // which no label's name may have
			submitted, err = r.client.Submit(t.Context(), api.TaskRequest{Type: "text", Key: key}, client.SubmitOptions{})
		}
		if err != nil {
			t.Errorf("%q: %v", key, err)
			continue
		}
		if got, err := r.client.ByKey(t.Context(), "text", key); err != nil || got.ID != submitted.ID {
			t.Errorf("%q by its key: %q, %v", key, got.ID, err)
		}
		filter := task.Filter{Key: key, Types: []string{"text"}, Labels: submitted.Labels}
		if page, err := r.client.ListPage(t.Context(), filter); err != nil || len(page.Tasks) != 1 || page.Tasks[0].ID != submitted.ID {
			t.Errorf("%q in a list: %+v, %v", key, page, err)
		}
	}
	for _, path := range []string{"", "/", "/text", "/text/", "/text/no", "/text/a/b/c"} {
		if a := r.do("GET", "/v1/tasks/by-key"+path, ""); a.StatusCode != http.StatusNotFound && a.StatusCode != http.StatusBadRequest && a.StatusCode != http.StatusTemporaryRedirect {
			t.Errorf("by-key%s: %d %s", path, a.StatusCode, a.body)
		}
	}
}

// TestOnConflict: what is asked for about a key that another task has, singly and in batches.
func TestOnConflict(t *testing.T) {
	r := newTestServer(t, server.Options{})
	of := func(a *answer) (got api.Task) { a.json(t, &got); return got }
	submit := func(body string) *answer { return r.do("POST", "/v1/tasks", body) }
	first := r.submit(`{"type":"gated","key":"k","on_conflict":"existing"}`)
	r.started()
	a := submit(`{"type":"gated","key":"k","on_conflict":"existing"}`)
	r.wants(a, 200, "")
	if got := of(a); got.ID != first || got.State != task.Running || a.Header.Get("Location") != "/v1/tasks/"+first {
		t.Errorf("the existing task: %s", a.body)
	}
	for _, on := range []string{`,"on_conflict":"refuse"`, ``, `,"on_conflict":null`, `,"on_conflict":"replace"`} {
		if p := r.wants(submit(`{"type":"gated","key":"k"`+on+`}`), 409, task.CodeConflict); !strings.Contains(p.Detail, first) || len(p.Errors) != 1 || p.Errors[0].Pointer != "/key" {
			t.Errorf("%s: %+v", on, p)
		}
	}
	for _, on := range []string{`{"type":"text","key":"k","on_conflict":"ignore"}`, `{"type":"text","on_conflict":"existing"}`, `{"type":"text","key":"k","on_conflict":""}`, `{"type":"text","key":"k","on_conflict":1}`} {
		if p := r.wants(submit(on), 400, task.CodeInvalidRequest); len(p.Errors) != 1 || p.Errors[0].Pointer != "/on_conflict" {
			t.Errorf("%s: %+v", on, p)
		}
	}

	waits := r.submit(`{"type":"text","key":"w","run_at":"2999-01-01T00:00:00Z"}`)
	a = r.do("POST", "/v1/batches", `{"tasks":[{"type":"text"},{"type":"gated","key":"k","on_conflict":"existing"},{"type":"text","key":"w","on_conflict":"replace","run_at":"2999-01-01T00:00:00Z"}]}`, "Idempotency-Key: b")
	r.wants(a, 202, "")
	var batch api.BatchAnswer
	a.json(t, &batch)
	if batch.Tasks[0].Existing || batch.Tasks[1].ID != first || !batch.Tasks[1].Existing || batch.Tasks[2].ID == waits || batch.Tasks[2].Existing {
		t.Errorf("the batch: %s", a.body)
	}
	if was := of(r.do("GET", "/v1/tasks/"+waits, "")); was.State != task.Canceled || was.Key != nil || was.StartedAt != nil {
		t.Errorf("what was replaced: %+v", was)
	}
	r.wants(r.do("DELETE", "/v1/tasks/"+r.final(batch.Tasks[0].ID).ID, ""), 204, "")
	again := r.do("POST", "/v1/batches", `{"tasks":[{"type":"text"},{"type":"gated","key":"k","on_conflict":"existing"},{"type":"text","key":"w","on_conflict":"replace","run_at":"2999-01-01T00:00:00Z"}]}`, "Idempotency-Key: b")
	r.wants(again, 202, "")
	var replay api.BatchAnswer
	again.json(t, &replay)
	for i := range batch.Tasks {
		if replay.Tasks[i].ID != batch.Tasks[i].ID {
			t.Errorf("sent again: %s, at first %s", again.body, a.body)
		}
	}
	p := r.wants(r.do("POST", "/v1/batches", `{"tasks":[{"type":"text"},{"type":"text","key":"w","on_conflict":"replace"},{"type":"text","key":"w","on_conflict":"replace"}]}`), 409, task.CodeConflict)
	if p.Errors[0].Pointer != "/tasks/2/key" {
		t.Errorf("two of a batch that replace one another: %+v", p)
	}
	r.wants(r.do("POST", "/v1/batches", `{"group":{},"tasks":[{"type":"text","key":"k","on_conflict":"existing"}]}`), 400, task.CodeInvalidRequest)
}

// TestReplayOfWhatWasDeleted: a request that was sent before is not done again when its task
// was deleted meanwhile.
func TestReplayOfWhatWasDeleted(t *testing.T) {
	r := newTestServer(t, server.Options{})
	for path, body := range map[string]string{"/v1/tasks": `{"type":"text"}`, "/v1/batches": `{"group":{"name":"g"},"tasks":[{"type":"text"}]}`} {
		header := "Idempotency-Key: " + path
		r.do("POST", path, body, header)
		for _, listed := range r.listed("") {
			r.final(listed.ID)
			r.wants(r.do("DELETE", "/v1/tasks/"+listed.ID, ""), 204, "")
		}
		r.wants(r.do("POST", path, body, header), 409, task.CodeConflict)
		if n := len(r.listed("")); n != 0 {
			t.Errorf("%s: %d tasks were made anew", path, n)
		}
	}
}
