package server_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/server"
	"github.com/taskhost/taskhost/host/task"
)

// taskFields are those that clients rely on, in the order of the API page.
var taskFields = []string{"id", "type", "key", "owner", "labels", "state", "waiting", "waiting_reason", "executor", "attempt", "failures", "max_attempts", "lost", "max_lost", "priority",
	"route", "timeout", "deadline", "retain", "group", "flow", "step", "parent", "name", "input", "result", "result_type", "error", "progress", "created_at", "run_at", "started_at", "finished_at",
	"expires_at", "updated_at", "cancel_requested_at", "version"}

// names are the members of a JSON object in their order.
func names(t *testing.T, data []byte) []string {
	t.Helper()
	dec := json.NewDecoder(bytes.NewReader(data))
	var out []string
	if _, err := dec.Token(); err != nil {
		t.Fatal(err)
	}
	for dec.More() {
		k, err := dec.Token()
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, k.(string))
		var v json.RawMessage
		if err := dec.Decode(&v); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func TestSubmittedTaskHasEveryField(t *testing.T) {
	r := newTestServer(t, server.Options{})
	a := r.do("POST", "/v1/tasks", `{"type":"gated","input":{"n": 12345678901234567890, "s":"<&>"}}`)
	r.wants(a, http.StatusAccepted, "")
	if got, want := names(t, a.body), append(slices.Clone(taskFields), "task"); !slices.Equal(got, want) {
		t.Errorf("fields %v\nwant   %v", got, want)
	}
	var m map[string]json.RawMessage
	a.json(t, &m)
	self := strings.Trim(string(m["id"]), `"`)
	if got := names(t, r.do("GET", "/v1/tasks/"+self, "").body); !slices.Equal(got, taskFields) {
		t.Errorf("read, its fields are %v\nwant   %v", got, taskFields)
	}
	for name, want := range map[string]string{
		"task": `"/v1/tasks/` + self + `"`,
		"key":  "null", "owner": `"default"`, "labels": "{}", "state": `"running"`, "waiting": "null", "executor": `"x"`, "attempt": "1", "failures": "0", "max_attempts": "3",
		"route": "{}", "timeout": `"1h0m0s"`, "deadline": "null", "retain": `"48h0m0s"`,
		"lost": "0", "max_lost": "3", "priority": "0", "group": "null", "flow": "null", "step": "null", "parent": "null",
		"input": `{"n":12345678901234567890,"s":"<&>"}`, "result": "null", "result_type": "null", "error": "null", "progress": "null",
		"finished_at": "null", "expires_at": "null", "cancel_requested_at": "null", "version": "1",
	} {
		if string(m[name]) != want {
			t.Errorf("%s is %s, want %s", name, m[name], want)
		}
	}
	for _, name := range []string{"created_at", "run_at", "started_at", "updated_at"} {
		var s string
		if err := json.Unmarshal(m[name], &s); err != nil || !strings.HasSuffix(s, "Z") {
			t.Errorf("%s is %s, want a time in UTC", name, m[name])
		}
		if _, err := time.Parse(time.RFC3339Nano, s); err != nil {
			t.Error(err)
		}
	}
	var id string
	_ = json.Unmarshal(m["id"], &id)
	if got := a.Header.Get("Location"); got != "/v1/tasks/"+id {
		t.Errorf("Location %q", got)
	}
	r.started()
	r.gate <- struct{}{}
	r.final(id)
}

func TestSubmitAsAsked(t *testing.T) {
	r := newTestServer(t, server.Options{})
	runAt := time.Now().Add(time.Hour).UTC().Format(time.RFC3339Nano)
	deadline := time.Date(2100, 1, 2, 3, 4, 5, 678000000, time.UTC)
	a := r.do("POST", "/v1/tasks", `{"type":"echo","input":[1],"key":"k/1","executor":"x","priority":7,"run_at":"`+runAt+`","labels":{"team":"a"},`+
		`"timeout":"90s","deadline":"2100-01-02T04:04:05.678+01:00","max_attempts":5,"max_lost":0,"route":{"zone":"b"},"retain":60}`)
	r.wants(a, http.StatusAccepted, "")
	var got api.Task
	a.json(t, &got)
	if *got.Key != "k/1" || got.Priority != 7 || got.MaxAttempts != 5 || got.MaxLost != 0 || got.Labels["team"] != "a" ||
		got.State != task.Pending || *got.Waiting != "scheduled" || got.RunAt.Format(time.RFC3339Nano)[:23] != runAt[:23] {
		t.Errorf("got %s", a.body)
	}
	for _, back := range []api.Task{got, r.listed("?key=k%2F1")[0]} {
		if back.Route["zone"] != "b" || back.Timeout != "1m30s" || back.Deadline == nil || !back.Deadline.Equal(deadline) || back.Retain != "1m0s" {
			t.Errorf("read back as %+v", back)
		}
	}
	b := r.do("GET", "/v1/tasks/by-key/echo/k%2F1", "")
	r.wants(b, http.StatusOK, "")
	if !strings.Contains(string(b.body), got.ID) {
		t.Errorf("by key: %s", b.body)
	}
	p := r.wants(r.do("POST", "/v1/tasks", `{"type":"echo","input":1,"key":"k/1"}`), http.StatusConflict, task.CodeConflict)
	if !strings.Contains(p.Detail, got.ID) {
		t.Errorf("the conflict does not name the first: %s", p.Detail)
	}
	if len(p.Errors) != 1 || p.Errors[0].Pointer != "/key" {
		t.Errorf("the conflict points at %v, want /key", p.Errors)
	}
}

func TestSubmitRefusals(t *testing.T) {
	r := newTestServer(t, server.Options{MaxBody: func() int64 { return 4 << 10 }})
	for _, c := range []struct {
		body    string
		status  int
		code    task.Code
		pointer string // of the first field; "-" for none
	}{
		{``, 400, task.CodeInvalidRequest, "-"},
		{`{`, 400, task.CodeInvalidRequest, "-"},
		{`{"type":"echo"} {}`, 400, task.CodeInvalidRequest, "-"},
		{"{\"type\":\"ec\xffho\"}", 400, task.CodeInvalidRequest, "-"},
		{`[]`, 400, task.CodeInvalidRequest, ""},
		{`{}`, 400, task.CodeInvalidRequest, "/type"},
		{`{"type":""}`, 400, task.CodeInvalidRequest, "/type"},
		{`{"type":null}`, 400, task.CodeInvalidRequest, "/type"},
		{`{"type":7}`, 400, task.CodeInvalidRequest, "/type"},
		{`{"Type":"echo"}`, 400, task.CodeInvalidRequest, "/Type"},
		{`{"type":"echo","type":"text"}`, 400, task.CodeInvalidRequest, "/type"},
		{`{"type":"echo","inptu":1}`, 400, task.CodeInvalidRequest, "/inptu"},
		{`{"type":"echo","a/b~c":null}`, 400, task.CodeInvalidRequest, "/a~1b~0c"},
		{`{"type":"echo","priority":1.5}`, 400, task.CodeInvalidRequest, "/priority"},
		{`{"type":"echo","priority":1001}`, 400, task.CodeInvalidRequest, "/priority"},
		{`{"type":"echo","priority":99999999999}`, 400, task.CodeInvalidRequest, "/priority"},
		{`{"type":"echo","max_attempts":0}`, 400, task.CodeInvalidRequest, "/max_attempts"},
		{`{"type":"echo","max_lost":-1}`, 400, task.CodeInvalidRequest, "/max_lost"},
		{`{"type":"echo","timeout":"soon"}`, 400, task.CodeInvalidRequest, "/timeout"},
		{`{"type":"echo","timeout":-1}`, 400, task.CodeInvalidRequest, "/timeout"},
		{`{"type":"echo","timeout":1e300}`, 400, task.CodeInvalidRequest, "/timeout"},
		{`{"type":"echo","retain":true}`, 400, task.CodeInvalidRequest, "/retain"},
		{`{"type":"echo","run_at":"tomorrow"}`, 400, task.CodeInvalidRequest, "/run_at"},
		{`{"type":"echo","run_at":"9999-12-31T23:59:59-01:00"}`, 400, task.CodeInvalidRequest, "/run_at"},
		{`{"type":"echo","run_at":"0000-01-01T00:00:00+01:00"}`, 400, task.CodeInvalidRequest, "/run_at"},
		{`{"type":"echo","deadline":"9999-12-31T23:59:59-01:00"}`, 400, task.CodeInvalidRequest, "/deadline"},
		{`{"type":"echo","input":1e-999999}`, 400, task.CodeInvalidRequest, "-"},
		{`{"type":"echo","input":[` + strings.Repeat("7", 1001) + `]}`, 400, task.CodeInvalidRequest, "-"},
		{`{"type":"echo","input":` + strings.Repeat("[", 200) + strings.Repeat("]", 200) + `}`, 400, task.CodeInvalidRequest, "-"},
		{`{"type":"echo","deadline":"2001-01-01T00:00:00Z"}`, 400, task.CodeInvalidRequest, "/deadline"},
		{`{"type":"echo","labels":[]}`, 400, task.CodeInvalidRequest, "/labels"},
		{`{"type":"echo","labels":{"a":1}}`, 400, task.CodeInvalidRequest, "/labels/a"},
		{`{"type":"echo","labels":{"a":"1","a":"2"}}`, 400, task.CodeInvalidRequest, "/labels/a"},
		{`{"type":"echo","labels":{"a=b":"1"}}`, 400, task.CodeInvalidRequest, "/labels/a=b"},
		{`{"type":"echo","route":{"a=b":"1"}}`, 400, task.CodeInvalidRequest, "/route/a=b"},
		{`{"type":"echo","key":"` + strings.Repeat("k", 256) + `"}`, 400, task.CodeInvalidRequest, "/key"},
		{`{"type":"nobody"}`, 422, task.CodeUnknownType, "-"},
		{`{"type":"greet","input":{"name":1}}`, 422, task.CodeInvalidInput, "/input/name"},
		{`{"type":"echo","input":"` + strings.Repeat("x", 5<<10) + `"}`, 413, task.CodeTooLarge, "-"},
	} {
		a := r.do("POST", "/v1/tasks", c.body)
		p := r.wants(a, c.status, c.code)
		switch {
		case c.pointer == "-":
		case len(p.Errors) == 0:
			t.Errorf("%.60s: no field is named in %s", c.body, a.body)
		case p.Errors[0].Pointer != c.pointer:
			t.Errorf("%.60s: pointer %q, want %q", c.body, p.Errors[0].Pointer, c.pointer)
		}
	}
	a := r.do("GET", "/v1/tasks", "")
	if !strings.HasPrefix(string(a.body), `{"tasks":[]`) {
		t.Errorf("something was accepted: %s", a.body)
	}
}

func TestAllFaultsAreToldAtOnce(t *testing.T) {
	r := newTestServer(t, server.Options{})
	p := r.wants(r.do("POST", "/v1/tasks", `{"wat":1,"priority":"x"}`), 400, task.CodeInvalidRequest)
	var got []string
	for _, f := range p.Errors {
		got = append(got, f.Pointer)
	}
	if fmt.Sprint(got) != "[/wat /priority /type]" {
		t.Errorf("pointers %v", got)
	}
}

func TestResults(t *testing.T) {
	r := newTestServer(t, server.Options{})
	for _, c := range []struct{ body, result, contentType string }{
		{`{"type":"echo","input": {"b": "<>", "a":1.0}}`, `{"b":"<>","a":1.0}`, "application/json"},
		{`{"type":"text"}`, `"<15.0>"`, "text/plain; charset=utf-8"},
		{`{"type":"binary"}`, `null`, "image/png"},
	} {
		a := r.do("POST", "/v1/tasks", c.body, "Prefer: respond-async, wait=20")
		r.wants(a, http.StatusOK, "")
		if got := a.Header.Get("Preference-Applied"); got != "wait=20" {
			t.Errorf("Preference-Applied %q", got)
		}
		var got api.Task
		a.json(t, &got)
		if got.State != task.Succeeded || string(got.Result) != c.result || *got.ResultType != c.contentType || got.FinishedAt == nil || got.ExpiresAt == nil {
			t.Errorf("%s: %.500s", c.body, a.body)
		}
		b := r.do("GET", "/v1/tasks/"+got.ID+"/result", "")
		r.wants(b, http.StatusOK, "")
		if ct := b.Header.Get("Content-Type"); ct != c.contentType {
			t.Errorf("content type %q, want %q", ct, c.contentType)
		}
		want := map[string]int{"image/png": 2 << 20, "text/plain; charset=utf-8": 6, "application/json": len(`{"b": "<>", "a":1.0}`)}[c.contentType]
		if len(b.body) != want {
			t.Errorf("%s: %d bytes, want %d", c.contentType, len(b.body), want)
		}
	}
	id := r.submit(`{"type":"gated"}`)
	r.wants(r.do("GET", "/v1/tasks/"+id+"/result", ""), 409, task.CodeNotFinal)
	failed := r.submit(`{"type":"flaky"}`)
	r.final(failed)
	r.wants(r.do("GET", "/v1/tasks/"+failed+"/result", ""), 404, task.CodeNotFound)
	r.wants(r.do("POST", "/v1/tasks/"+id+"/cancel", ""), 202, "")
	r.final(id)
}

func TestPreferWaitThatEnds(t *testing.T) {
	r := newTestServer(t, server.Options{})
	a := r.do("POST", "/v1/tasks", `{"type":"gated"}`, "Prefer: wait=1")
	r.wants(a, http.StatusAccepted, "")
	if a.Header.Get("Preference-Applied") != "wait=1" {
		t.Errorf("header %v", a.Header)
	}
	if a = r.do("POST", "/v1/tasks", `{"type":"gated"}`, "Prefer: wait=soon"); a.StatusCode != 202 || a.Header.Get("Preference-Applied") != "" {
		t.Errorf("a preference that cannot be read was applied: %v", a.Header)
	}
}

// forgetful accepts a task and cannot tell of it again: it was deleted at its end, or the
// store fails.
type forgetful struct {
	instant
	err error
}

func (f forgetful) Wait(context.Context, task.Scope, task.ID) (task.Task, error) {
	return task.Task{}, f.err
}

// What was accepted is never answered with an error, or it would be submitted again.
func TestPreferWaitForWhatIsGone(t *testing.T) {
	for _, code := range []task.Code{task.CodeNotFound, task.CodeStoreUnavailable} {
		r := &testServer{t: t}
		r.listen(server.NewHandler(forgetful{err: task.Errorf(code, "gone")}, server.Options{}), nil)
		a := r.do("POST", "/v1/tasks", `{"type":"text"}`, "Prefer: wait=20")
		r.wants(a, http.StatusAccepted, "")
		if !strings.Contains(string(a.body), `"state":"pending"`) || a.Header.Get("Location") == "" {
			t.Errorf("%s: %v %s", code, a.Header, a.body)
		}
	}
}

func TestIdempotency(t *testing.T) {
	r := newTestServer(t, server.Options{})
	body := `{"type":"echo","input":1}`
	first := r.do("POST", "/v1/tasks", body, "Idempotency-Key: a")
	r.wants(first, 202, "")
	again := r.do("POST", "/v1/tasks", body, "Idempotency-Key: a")
	r.wants(again, 202, "")
	var t1, t2 api.Task
	first.json(t, &t1)
	again.json(t, &t2)
	if t1.ID != t2.ID || again.Header.Get("Idempotency-Replayed") != "true" || first.Header.Get("Idempotency-Replayed") != "" {
		t.Errorf("%s and %s, header %v", t1.ID, t2.ID, again.Header)
	}
	r.wants(r.do("POST", "/v1/tasks", `{"type":"echo","input":2}`, "Idempotency-Key: a"), 422, task.CodeIdempotencyMismatch)
	r.wants(r.do("POST", "/v1/tasks", body, "Idempotency-Key: "+strings.Repeat("k", 256)), 400, task.CodeInvalidRequest)

	batch := `{"tasks":[{"type":"echo","input":1},{"type":"text"}]}`
	b1, b2 := r.do("POST", "/v1/batches", batch, "Idempotency-Key: b"), r.do("POST", "/v1/batches", batch, "Idempotency-Key: b")
	r.wants(b1, 202, "")
	if !bytes.Equal(b1.body, b2.body) {
		t.Errorf("%s and %s", b1.body, b2.body)
	}
	r.wants(r.do("POST", "/v1/batches", batch, "Idempotency-Key: a"), 422, task.CodeIdempotencyMismatch)
}

func TestBatches(t *testing.T) {
	r := newTestServer(t, server.Options{})
	a := r.do("POST", "/v1/batches", `{"tasks":[{"type":"echo","input":1},{"type":"text"}]}`)
	r.wants(a, 202, "")
	var got api.BatchAnswer
	a.json(t, &got)
	if len(got.Tasks) != 2 || got.Tasks[1].Href != "/v1/tasks/"+got.Tasks[1].ID {
		t.Fatalf("%s", a.body)
	}
	if done := r.final(got.Tasks[0].ID); done.Type != "echo" || string(done.Result) != "1" {
		t.Errorf("first task %+v", done)
	}
	for _, c := range []struct {
		body    string
		status  int
		code    task.Code
		pointer string
	}{
		{`{}`, 400, task.CodeInvalidRequest, "/tasks"},
		{`{"tasks":[]}`, 400, task.CodeInvalidRequest, "/tasks"},
		{`{"tasks":{}}`, 400, task.CodeInvalidRequest, "/tasks"},
		{`{"tasks":[],"group":{"name":"g"}}`, 400, task.CodeInvalidRequest, "/tasks"},
		{`{"tasks":[{"type":"text"},{"x":1}]}`, 400, task.CodeInvalidRequest, "/tasks/1/x"},
		{`{"tasks":[{"type":"text"},7]}`, 400, task.CodeInvalidRequest, "/tasks/1"},
		{`{"tasks":[{"type":"text"},{"type":"text","priority":5000}]}`, 400, task.CodeInvalidRequest, "/tasks/1/priority"},
		{`{"tasks":[{"type":"text","priority":5000}]}`, 400, task.CodeInvalidRequest, "/tasks/0/priority"},
		{`{"tasks":[{"type":"greet","input":{}}]}`, 422, task.CodeInvalidInput, "/tasks/0/input"},
		{`{"tasks":[` + strings.Repeat(`{"type":"text"},`, 10_000) + `{"type":"text"}]}`, 400, task.CodeInvalidRequest, "/tasks"},
	} {
		a := r.do("POST", "/v1/batches", c.body)
		p := r.wants(a, c.status, c.code)
		if len(p.Errors) == 0 || p.Errors[0].Pointer != c.pointer {
			t.Errorf("%.60s: %.300s, want pointer %s", c.body, a.body, c.pointer)
		}
	}
	p := r.wants(r.do("POST", "/v1/batches", `{"tasks":[{"type":"text","key":"k"},{"type":"text","key":"k"}]}`), 409, task.CodeConflict)
	if len(p.Errors) != 1 || p.Errors[0].Pointer != "/tasks/1/key" || !strings.HasPrefix(p.Detail, "/tasks/1: key ") {
		t.Errorf("the conflict is told as %+v", p)
	}
	var list api.TaskList
	r.do("GET", "/v1/tasks", "").json(t, &list)
	if len(list.Tasks) != 2 {
		t.Errorf("%d tasks, a refused batch left some", len(list.Tasks))
	}
}

func TestGetWaitsAndKnowsWhatChanged(t *testing.T) {
	r := newTestServer(t, server.Options{})
	id := r.submit(`{"type":"gated"}`)
	r.started()
	a := r.do("GET", "/v1/tasks/"+id, "")
	r.wants(a, 200, "")
	tag := a.Header.Get("Etag")
	if tag == "" {
		t.Fatal("no ETag")
	}
	held := make(chan *answer, 1)
	go func() { held <- r.do("GET", "/v1/tasks/"+id+"?wait=20s", "") }()
	r.gate <- struct{}{}
	done := <-held
	var got api.Task
	done.json(t, &got)
	if got.State != task.Succeeded || done.Header.Get("Etag") == tag {
		t.Errorf("held answer %s, ETag %s", done.body, done.Header.Get("Etag"))
	}
	tag = done.Header.Get("Etag")
	if b := r.do("GET", "/v1/tasks/"+id+"?wait=1", "", `If-None-Match: "no", W/`+tag); b.StatusCode != 304 || len(b.body) != 0 || b.Header.Get("Etag") != tag {
		t.Errorf("status %d, %s", b.StatusCode, b.body)
	}
	for _, n := range []int{1, 30} {
		if b := r.do("GET", "/v1/tasks/"+id[:n], ""); b.StatusCode != 200 || b.Header.Get("Content-Location") != "/v1/tasks/"+id {
			t.Errorf("by prefix: %d %s", b.StatusCode, b.body)
		}
	}
	r.wants(r.do("GET", "/v1/tasks/"+id+"?wait=long", ""), 400, task.CodeInvalidRequest)
	r.wants(r.do("GET", "/v1/tasks/01990f4e-7f3a-7c55-a1b2-0123456789ab", ""), 404, task.CodeNotFound)
	r.wants(r.do("GET", "/v1/tasks/zzzz", ""), 404, task.CodeNotFound)
	r.wants(r.do("GET", "/v1/tasks/by-key/echo/none", ""), 404, task.CodeNotFound)
}

func TestCancelRetryDelete(t *testing.T) {
	r := newTestServer(t, server.Options{})
	id := r.submit(`{"type":"gated"}`)
	r.started()
	r.wants(r.do("DELETE", "/v1/tasks/"+id, ""), 409, task.CodeNotFinal)
	r.wants(r.do("POST", "/v1/tasks/"+id+"/retry", ""), 409, task.CodeNotFinal)
	r.wants(r.do("POST", "/v1/tasks/"+id+"/cancel", `{"force":true}`), 400, task.CodeInvalidRequest)
	a := r.do("POST", "/v1/tasks/"+id+"/cancel", "{}")
	r.wants(a, 202, "")
	var got api.Task
	a.json(t, &got)
	if got.State != task.Canceling || got.CancelAt == nil {
		t.Errorf("canceling: %s", a.body)
	}
	if done := r.final(id); done.State != task.Canceled || done.Error.Code != "canceled" || done.Error.Details["confirmed"] != true {
		t.Errorf("canceled: %+v", done)
	}
	r.wants(r.do("POST", "/v1/tasks/"+id+"/cancel", ""), 409, task.CodeAlreadyFinal)
	r.wants(r.do("POST", "/v1/tasks/"+id+"/retry", ""), 202, "")
	r.started()
	r.gate <- struct{}{}
	if done := r.final(id); done.State != task.Succeeded || done.Attempt != 2 || done.Error != nil {
		t.Errorf("after the retry: %+v", done)
	}
	r.wants(r.do("POST", "/v1/tasks/"+id+"/retry", ""), 409, task.CodeConflict)
	r.wants(r.do("DELETE", "/v1/tasks/"+id, ""), 204, "")
	for _, path := range []string{"", "/history", "/logs", "/result", "/events"} {
		r.wants(r.do("GET", "/v1/tasks/"+id+path, ""), 404, task.CodeNotFound)
	}
	waiting := r.submit(`{"type":"echo","input":1,"run_at":"` + time.Now().Add(time.Hour).Format(time.RFC3339) + `"}`)
	a = r.do("POST", "/v1/tasks/"+waiting+"/cancel", "")
	r.wants(a, 200, "")
	a.json(t, &got)
	if got.State != task.Canceled {
		t.Errorf("a waiting task is canceled at once: %s", a.body)
	}
}

func TestFailureIsTold(t *testing.T) {
	r := newTestServer(t, server.Options{})
	id := r.submit(`{"type":"flaky"}`)
	done := r.final(id)
	if done.State != task.Failed || done.Error == nil || done.Error.Code != "script_failed" || done.Error.Message != "it broke" || done.Error.Attempt != 2 || done.Failures != 2 {
		t.Errorf("%+v", done)
	}
	a := r.do("GET", "/v1/tasks/"+id+"/history", "")
	r.wants(a, 200, "")
	var h struct {
		Events []json.RawMessage `json:"events"`
	}
	a.json(t, &h)
	if got := names(t, h.Events[0]); fmt.Sprint(got) != "[seq at from to attempt by message]" {
		t.Errorf("event's fields %v", got)
	}
	if !strings.Contains(string(h.Events[0]), `"from":null,"to":"running","attempt":1`) {
		t.Errorf("first event %s", h.Events[0])
	}
	var events api.History
	a.json(t, &events)
	var path []string
	for i, e := range events.Events {
		path = append(path, e.To.String())
		if i > 0 && e.Seq <= events.Events[i-1].Seq {
			t.Error("seq does not rise")
		}
	}
	if got := strings.Join(path, " "); got != "running pending running failed" {
		t.Errorf("history %s", got)
	}
}
