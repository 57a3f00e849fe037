package server_test

import (
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/server"
	"github.com/taskhost/taskhost/host/task"
)

func TestPutTypeFieldByField(t *testing.T) {
	r := newTestServer(t, server.Options{})
	a := r.do("PUT", "/v1/types/later", `{"description":"what is to come","input":{"type":"object","required":["n"]},"result":{"type":"number"},"executor":"x","route":{"zone":"b"},"min_version":"1.4.0",
		"timeout":"90s","deadline":3600,"max_attempts":4,"max_lost":0,"backoff":{"initial":"2s","max":30},"retain":0,"queue_limit":64,
		"concurrency":[{"max":5},{"max":2,"by":"owner"},{"max":1,"by":"label:tenant"}],"rate":{"per_second":2.5,"burst":10},"priority":-3,"max_input":1000,"max_result":2000}`)
	r.wants(a, 201, "")
	var got api.Type
	a.json(t, &got)
	l := got.Limits
	if a.Header.Get("Location") != "/v1/types/later" || got.Description != "what is to come" || string(got.Input) != `{"type":"object","required":["n"]}` || string(got.Result) != `{"type":"number"}` ||
		*got.Executor != "x" || got.Available || got.Paused || l.Route["zone"] != "b" || *l.MinVersion != "1.4.0" || l.Timeout != "1m30s" || l.Deadline != "1h0m0s" || l.MaxAttempts != 4 || l.MaxLost != 0 ||
		l.Backoff != (api.BackoffLimits{Initial: "2s", Max: "30s"}) || l.Retain != "0s" || l.QueueLimit != 64 || len(l.Concurrency) != 3 || l.Concurrency[2] != (api.ConcurrencyLimit{Max: 1, By: "label:tenant"}) ||
		*l.Rate != (api.RateLimit{PerSecond: 2.5, Burst: 10}) || l.Priority != -3 || l.MaxInput != 1000 || l.MaxResult != 2000 {
		t.Errorf("%s", a.body)
	}
	for field, origin := range got.Origin {
		if origin != task.OriginAPI {
			t.Errorf("%s is of %s", field, origin)
		}
	}
	if len(got.Origin) != 18 {
		t.Errorf("origins of %d fields", len(got.Origin))
	}
	// Its tasks are accepted under its schema and limits, and wait for who offers the type.
	r.wants(r.do("POST", "/v1/tasks", `{"type":"later","input":{}}`), 422, task.CodeInvalidInput)
	var waits api.Task
	a = r.do("POST", "/v1/tasks", `{"type":"later","input":{"n":1}}`)
	r.wants(a, 202, "")
	a.json(t, &waits)
	if *waits.Waiting != "executor" || waits.WaitReason == nil || waits.Timeout != "1m30s" || waits.Deadline == nil || waits.Priority != -3 || waits.Retain != "0s" {
		t.Errorf("%s", a.body)
	}
	// A second PUT replaces all of the first, and what was declared comes through again.
	a = r.do("PUT", "/v1/types/flaky", `{"max_attempts":7,"timeout":"5s"}`)
	r.wants(a, 200, "")
	a.json(t, &got)
	if got.Limits.MaxAttempts != 2 || got.Origin["max_attempts"] != task.OriginConfig || got.Origin["timeout"] != task.OriginAPI || got.Origin["retain"] != task.OriginDefault || got.Origin["executor"] != task.OriginExecutor {
		t.Errorf("%s", a.body)
	}
	a = r.do("PUT", "/v1/types/flaky", `{"retain":null}`)
	a.json(t, &got)
	if got.Limits.Timeout != "1h0m0s" || got.Origin["timeout"] != task.OriginDefault {
		t.Errorf("%s", a.body)
	}
}

func TestPutTypeRefuses(t *testing.T) {
	r := newTestServer(t, server.Options{})
	for body, pointer := range map[string]string{
		`{"tiemout":"1s"}`: "/tiemout", `{"timeout":"0s"}`: "/timeout", `{"timeout":"never"}`: "/timeout", `{"max_attempts":0}`: "/max_attempts", `{"max_lost":-1}`: "/max_lost",
		`{"retain":"-1s"}`: "/retain", `{"backoff":{"initial":"0s"}}`: "/backoff/initial", `{"backoff":{"least":1}}`: "/backoff/least", `{"queue_limit":0}`: "/queue_limit",
		`{"concurrency":[{"max":0}]}`: "/concurrency/0/max", `{"concurrency":[{"by":"owner"}]}`: "/concurrency/0/max", `{"concurrency":[{"max":1,"by":"tenant"}]}`: "/concurrency",
		`{"concurrency":{"max":1}}`: "/concurrency", `{"rate":{"burst":2}}`: "/rate/per_second", `{"rate":{"per_second":0}}`: "/rate/per_second", `{"rate":3}`: "/rate",
		`{"priority":1001}`: "/priority", `{"executor":"nobody"}`: "/executor", `{"input":{"type":"nothing"}}`: "/input", `{"result":7}`: "/result", `{"route":{"a=b":"c"}}`: "/route/a=b",
		`{"description":1}`: "/description", `{"max_input":0}`: "/max_input", `{"max_result":1e99}`: "/max_result",
	} {
		a := r.do("PUT", "/v1/types/mine", body)
		r.wants(a, 400, task.CodeInvalidRequest)
		var p api.Problem
		a.json(t, &p)
		if len(p.Errors) != 1 || p.Errors[0].Pointer != pointer {
			t.Errorf("%s: %s", body, a.body)
		}
	}
	r.wants(r.do("PUT", "/v1/types/1st", `{}`), 400, task.CodeInvalidRequest)
	r.wants(r.do("GET", "/v1/types/mine", ""), 404, task.CodeNotFound)
}

func TestTypesPageByName(t *testing.T) {
	r := newTestServer(t, server.Options{})
	whole, err := r.client.Types(t.Context())
	if err != nil || len(whole) < 3 {
		t.Fatalf("%d types, %v", len(whole), err)
	}
	var names []string
	for next, cursor := new(string), ""; next != nil; {
		page, err := r.client.TypesPage(t.Context(), cursor, 2)
		if err != nil || len(page.Types) == 0 || len(page.Types) > 2 {
			t.Fatalf("a page of %d types, %v", len(page.Types), err)
		}
		for i := range page.Types {
			names = append(names, page.Types[i].Name)
		}
		if next = page.Next; next != nil {
			cursor = *next
		}
	}
	if !slices.IsSorted(names) || !slices.EqualFunc(names, whole, func(name string, t api.Type) bool { return name == t.Name }) {
		t.Errorf("in pages: %v", names)
	}
	r.wants(r.do("GET", "/v1/types?cursor=!", ""), 400, task.CodeInvalidRequest)
	r.wants(r.do("GET", "/v1/types?limit=0", ""), 400, task.CodeInvalidRequest)
}

func TestDeleteType(t *testing.T) {
	r := newTestServer(t, server.Options{})
	r.wants(r.do("DELETE", "/v1/types/greet", ""), 409, task.CodeConflict) // an executor's own
	r.wants(r.do("PUT", "/v1/types/gated", `{"max_attempts":9}`), 200, "")
	running := r.submit(`{"type":"gated"}`)
	r.started()
	waits := r.submit(`{"type":"gated","run_at":"2100-01-01T00:00:00Z"}`)
	r.wants(r.do("DELETE", "/v1/types/gated?force=false", ""), 409, task.CodeConflict)
	if err := r.client.DeleteType(t.Context(), "gated", true); err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{running, waits} {
		r.wants(r.do("GET", "/v1/tasks/"+id, ""), 404, task.CodeNotFound)
	}
	typ, err := r.client.Type(t.Context(), "gated") // which an executor offers
	if err != nil || typ.Limits.MaxAttempts != 3 || typ.Origin["max_attempts"] != task.OriginDefault {
		t.Errorf("%+v, %v", typ, err)
	}
}

// Under a limit of 64, 200 clients at once never have 65 waiting, and each that is refused
// is told when to come again.
func TestQueueLimitUnderManyClients(t *testing.T) {
	const limit, clients = 64, 200
	r := newTestServer(t, server.Options{})
	if _, err := r.client.PutType(t.Context(), "gated", api.TypeRequest{QueueLimit: limit, Concurrency: []api.ConcurrencyLimit{{Max: 1}}}); err != nil {
		t.Fatal(err)
	}
	var accepted, refused atomic.Int64
	var clientsDone sync.WaitGroup
	for range clients {
		clientsDone.Go(func() {
			a := r.do("POST", "/v1/tasks", `{"type":"gated"}`)
			switch {
			case a.StatusCode == http.StatusAccepted:
				accepted.Add(1)
			case a.StatusCode == http.StatusTooManyRequests && a.Header.Get("Retry-After") != "":
				refused.Add(1)
			default:
				t.Errorf("%d: %s", a.StatusCode, a.body)
			}
			if typ, err := r.client.Type(t.Context(), "gated"); err != nil || typ.Counts.Ready+typ.Counts.Waiting > limit || typ.Counts.Active > 1 {
				t.Errorf("%+v, %v", typ.Counts, err)
			}
		})
	}
	clientsDone.Wait()
	if n := accepted.Load(); n != limit+1 && n != limit { // the first that comes may begin at once
		t.Errorf("%d were accepted and %d refused", n, refused.Load())
	}
	typ, err := r.client.Type(t.Context(), "gated")
	if err != nil || typ.Counts.Ready+typ.Counts.Waiting+typ.Counts.Active != accepted.Load() {
		t.Errorf("%+v, %v", typ.Counts, err)
	}
}

func TestTaskSaysWhichLimitKeepsIt(t *testing.T) {
	r := newTestServer(t, server.Options{})
	r.wants(r.do("PUT", "/v1/types/gated", `{"concurrency":[{"max":1,"by":"label:tenant"}]}`), 200, "")
	r.submit(`{"type":"gated","labels":{"tenant":"a"}}`)
	r.started()
	id := r.submit(`{"type":"gated","labels":{"tenant":"a"}}`)
	var waits api.Task
	a := r.do("GET", "/v1/tasks/"+id, "")
	a.json(t, &waits)
	if *waits.Waiting != "queued" || waits.WaitReason == nil || *waits.WaitReason != `the concurrency limit of task type "gated" is reached: 1 at once by label "tenant" ("a")` {
		t.Errorf("%s", a.body)
	}
	// One with another value begins, and the end of the first has the next begin.
	r.submit(`{"type":"gated","labels":{"tenant":"b"}}`)
	r.started()
	r.wants(r.do("POST", "/v1/types/gated/pause", ""), 200, "")
	a = r.do("GET", "/v1/tasks/"+id, "")
	a.json(t, &waits)
	if *waits.Waiting != "paused" || *waits.WaitReason != `task type "gated" is paused` {
		t.Errorf("%s", a.body)
	}
	r.gate <- struct{}{}
	r.gate <- struct{}{}
	r.wants(r.do("POST", "/v1/types/gated/resume", ""), 200, "")
	r.started()
	r.gate <- struct{}{}
	done, err := r.client.Wait(t.Context(), id)
	if err != nil || done.State != task.Succeeded {
		t.Errorf("%+v, %v", done, err)
	}
}
