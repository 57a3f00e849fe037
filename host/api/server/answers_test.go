package server_test

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/server"
	"github.com/taskhost/taskhost/host/group"
	"github.com/taskhost/taskhost/host/identity"
	"github.com/taskhost/taskhost/host/task"
)

// given are the answers that were given, each as its operation, status and code, such as
// "getTask 404 not_found".
type given map[string]bool

// record notes an answer, which must be as the document describes it.
func (g given) record(t *testing.T, a *answer) (what string) {
	t.Helper()
	op, err := theContract().check(a)
	if err != nil {
		t.Errorf("%s %s: %v", a.Request.Method, a.Request.URL, err)
	}
	what = fmt.Sprintf("%s %d", op, a.StatusCode)
	var p api.Problem
	if a.StatusCode >= 400 {
		a.json(t, &p)
		what += " " + string(p.Code)
	}
	g[what] = true
	return what
}

// wants sends requests until one is not answered as wanted: method and path, the body, and
// headers between bars.
func (g given) wants(r *testServer, rows [][2]string) {
	r.t.Helper()
	for _, row := range rows {
		parts := strings.Split(row[0], " | ")
		method, path, _ := strings.Cut(parts[0], " ")
		var headers []string
		body := ""
		for _, p := range parts[1:] {
			if strings.HasPrefix(p, "{") {
				body = p
			} else {
				headers = append(headers, p)
			}
		}
		if got := g.record(r.t, r.do(method, path, body, headers...)); got != row[1] {
			r.t.Errorf("%.200s: %s, want %s", row[0], got, row[1])
		}
	}
}

// described are the answers that the document has, as in given.
func described(c *contract) given {
	all := given{}
	eachOperation(c, func(method, path string, op map[string]any) {
		for status := range object(op["responses"]) {
			r, _ := c.at("paths", path, strings.ToLower(method), "responses", status)
			problem := object(object(r["content"])["application/problem+json"])
			if len(problem) == 0 {
				all[fmt.Sprintf("%s %s", op["operationId"], status)] = true
				continue
			}
			parts := object(problem["schema"])["allOf"].([]any)
			for _, code := range object(object(object(parts[1])["properties"])["code"])["enum"].([]any) {
				all[fmt.Sprintf("%s %d %s", op["operationId"], server.StatusOf(task.Code(code.(string))), code)] = true
			}
		}
	})
	return all
}

func eachOperation(c *contract, visit func(method, path string, op map[string]any)) {
	paths := object(c.doc["paths"])
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		item := object(paths[path])
		for _, method := range slices.Sorted(maps.Keys(item)) {
			visit(strings.ToUpper(method), path, object(item[method]))
		}
	}
}

const (
	someID    = "01990f4e-7f3a-7c55-a1b2-0123456789ab"
	someToken = "0123456789abcdef0123456789abcdef"

	someSecret = "taskhost_" + someToken + someToken
)

// sample is a request of an operation, about things that nobody has.
func sample(method, path string) (target, body string) {
	target = strings.NewReplacer("{id}", someID, "{name}", "none", "{type}", "none", "{key}", "none", "{token}", someToken).Replace(path)
	switch {
	case path == "/v1/tasks" && method == "POST":
		body = `{"type":"text"}`
	case path == "/v1/groups" && method == "POST":
		body = `{"name":"g"}`
	case path == "/v1/actions":
		body = `{"action":"cancel","filter":{}}`
	case path == "/v1/schedules" && method == "POST":
		body = `{"name":"s","cron":"@daily","task":{"type":"text"}}`
	case path == "/v1/types/{name}" && method == "PUT":
		body = `{}`
	case path == "/v1/board/claims" && method == "POST":
		body = `{"worker":"w","types":["outside"]}`
	case strings.HasSuffix(path, "/progress"):
		body = `{"done":1}`
	case strings.HasSuffix(path, "/log"):
		body = `{"lines":["a"]}`
	case strings.HasSuffix(path, "/fail"):
		body = `{"message":"m"}`
	case strings.HasSuffix(path, "/trash"):
		body = `{"reason":"r"}`
	case path == "/v1/tokens" && method == "POST":
		body = `{"name":"n","owner":"o","role":"admin"}`
	case method == "PATCH":
		body = `{"paused":true}`
	case path == "/v1/batches":
		body = `{"tasks":[{"type":"text"}]}`
	}
	return target, body
}

// TestEveryDescribedAnswerIsGiven has each operation give each answer that the document has
// for it. That no other is given is checked with every answer of every test.
func TestEveryDescribedAnswerIsGiven(t *testing.T) {
	all := given{}
	t.Run("any route", func(t *testing.T) { giveAnyRoute(t, all) })
	t.Run("tasks", func(t *testing.T) { giveTasks(t, all) })
	t.Run("groups", func(t *testing.T) { giveGroups(t, all) })
	t.Run("schedules", func(t *testing.T) { giveSchedules(t, all) })
	t.Run("types", func(t *testing.T) { giveTypes(t, all) })
	t.Run("attempts", func(t *testing.T) { giveAttempts(t, all) })
	t.Run("board", func(t *testing.T) { giveBoard(t, all) })
	t.Run("executors", func(t *testing.T) { giveExecutors(t, all) })
	t.Run("identity", func(t *testing.T) { giveIdentity(t, all) })
	t.Run("slow bodies", func(t *testing.T) { giveTimeouts(t, all) })
	t.Run("failures", func(t *testing.T) { giveFailures(t, all) })
	for _, never := range []string{
		"health 500 internal", "version 500 internal", "openapi 500 internal", // they ask nothing that could fail, but anything may
		"putAttemptResult 408 request_timeout", "checkpointClaim 408 request_timeout", "finishClaim 408 request_timeout", // after five minutes
	} {
		all[never] = true
	}
	want := described(theContract())
	for _, what := range slices.Sorted(maps.Keys(want)) {
		if !all[what] {
			t.Errorf("the document has %q, which was never given", what)
		}
	}
}

// giveAnyRoute has every operation refuse what it takes from nobody.
func giveAnyRoute(t *testing.T, all given) {
	open := serveAs(t, broken{}, server.Options{})
	tokens := newTestServer(t, server.Options{})
	tokens.token("ops", identity.Admin)
	guarded := serveAs(t, broken{}, server.Options{Access: tokens.access})
	timeless, err := identity.NewAccess(t.Context(), tokens.store, identity.Source{Now: func() time.Time { panic("a bug") }}, identity.Settings{})
	if err != nil {
		t.Fatal(err)
	}
	bewildered := serveAs(t, broken{}, server.Options{Access: timeless})
	eachOperation(theContract(), func(method, path string, op map[string]any) {
		target, body := sample(method, path)
		all.record(t, open.do(method, target, body)) // 500, where it asks anybody
		all.record(t, open.do(method, target, body, "Host: evil.example.org"))
		all.record(t, guarded.do(method, target, body))
		all.record(t, bewildered.do(method, target, body, "Authorization: Bearer "+someSecret))
		for _, head := range []string{" HTTP/1.1\r\n", " HTTP/1.1\r\nHost: localhost\r\nX: " + strings.Repeat("x", 40<<10) + "\r\n", " HTTP/9.1\r\n",
			" HTTP/1.1\r\nHost: localhost\r\nExpect: cake\r\n", " HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n"} {
			all.record(t, open.raw(method, target, head+"\r\n"))
		}
	})
}

// raw sends a request by hand: the head follows the path.
func (r *testServer) raw(method, path, head string) *answer {
	r.t.Helper()
	_, rd := raw(r.t, r.addr, method+" "+path+head)
	resp, err := http.ReadResponse(rd, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	u, err := url.Parse("http://" + r.addr + path)
	if err != nil {
		r.t.Fatal(err)
	}
	resp.Request = &http.Request{Method: method, URL: u, Host: r.addr}
	return &answer{resp, body}
}

func giveTasks(t *testing.T, all given) {
	r := newTestServer(t, server.Options{MaxBody: func() int64 { return 4 << 10 }, MaxBatch: 4 << 10})
	big := strings.Repeat("x", 5<<10)
	all.wants(r, [][2]string{
		{`POST /v1/tasks | {"type":"text","key":"k"} | Prefer: wait=20 | Idempotency-Key: a`, "submitTask 200"},
		{`POST /v1/tasks | {"type":"text","key":"l"} | Idempotency-Key: a`, "submitTask 422 idempotency_mismatch"},
		{`POST /v1/tasks | {"type":"text","key":"k"}`, "submitTask 409 conflict"},
		{`POST /v1/tasks | {"type":"greet","input":{"name":1}}`, "submitTask 422 invalid_input"},
		{`POST /v1/tasks | {"type":"nobody"}`, "submitTask 422 unknown_type"},
		{`POST /v1/tasks | {"type":"text"} | Content-Type: text/plain`, "submitTask 415 unsupported_media_type"},
		{`POST /v1/tasks | {"type":"echo","input":"` + big + `"}`, "submitTask 413 too_large"},
		{`POST /v1/batches | {"tasks":[{"type":"text"}]}`, "submitBatch 202"},
		{`POST /v1/batches | {"tasks":[{"type":"text"}]} | Idempotency-Key: a`, "submitBatch 422 idempotency_mismatch"},
		{`POST /v1/batches | {"tasks":[{"type":"text","key":"k"}]}`, "submitBatch 409 conflict"},
		{`POST /v1/batches | {"tasks":[{"type":"greet","input":{"name":1}}]}`, "submitBatch 422 invalid_input"},
		{`POST /v1/batches | {"tasks":[{"type":"nobody"}]}`, "submitBatch 422 unknown_type"},
		{`POST /v1/batches | {"tasks":[{"type":"text"}]} | Content-Type: text/plain`, "submitBatch 415 unsupported_media_type"},
		{`POST /v1/batches | {"tasks":[{"type":"echo","input":"` + big + `"}]}`, "submitBatch 413 too_large"},
		{`GET /v1/tasks`, "listTasks 200"},
		{`GET /v1/tasks?format=jsonl | Accept: text/html`, "listTasks 406 not_acceptable"},
		{`GET /v1/tasks/by-key/text/k`, "getTaskByKey 200"},
		{`GET /v1/tasks/by-key/text/k | If-None-Match: *`, "getTaskByKey 304"},
		{`GET /v1/tasks/by-key/text/none`, "getTaskByKey 404 not_found"},
	})
	r.wants(r.do("POST", "/v1/executors/x/pause", ""), 200, "")
	r.submit(`{"type":"crowded"}`)
	all.wants(r, [][2]string{{`POST /v1/tasks | {"type":"crowded"}`, "submitTask 429 queue_full"}, {`POST /v1/batches | {"tasks":[{"type":"crowded"}]}`, "submitBatch 429 queue_full"}})
	r.quotas(task.Quota{Waiting: 1})
	all.wants(r, [][2]string{{`POST /v1/tasks | {"type":"text"}`, "submitTask 429 quota_exceeded"}, {`POST /v1/batches | {"tasks":[{"type":"text"}]}`, "submitBatch 429 quota_exceeded"}})
	r.quotas(task.Quota{})
	r.wants(r.do("POST", "/v1/executors/x/resume", ""), 200, "")

	running, done := r.submit(`{"type":"gated"}`), r.submit(`{"type":"text"}`)
	r.started()
	again := r.submit(`{"type":"gated"}`)
	r.started()
	r.final(done)
	later := r.submit(`{"type":"text","run_at":"2999-01-01T00:00:00Z"}`)
	rests := r.submit(`{"type":"text","run_at":"2999-01-01T00:00:00Z"}`)
	history := r.do("GET", "/v1/tasks/"+done+"/history", "")
	var h api.History
	history.json(t, &h)
	last := fmt.Sprint(h.Events[len(h.Events)-1].Seq)
	for _, sub := range [][2]string{{"", "getTask"}, {"/result", "getResult"}, {"/history", "getHistory"}, {"/logs", "getLogs"}, {"/events", "watchTask"}, {"/tree", "getTaskTree"}} {
		all.wants(r, [][2]string{{"GET /v1/tasks/" + done + sub[0], sub[1] + " 200"}, {"GET /v1/tasks/" + someID + sub[0], sub[1] + " 404 not_found"},
			{"GET /v1/tasks/" + done[:6] + sub[0], sub[1] + " 409 conflict"}}) // tasks of one hour begin alike
	}
	all.wants(r, [][2]string{
		{`POST /v1/tasks | {"type":"text"}`, "submitTask 202"},
		{"GET /v1/tasks/" + done + " | If-None-Match: *", "getTask 304"},
		{"GET /v1/tasks/" + running + "/result", "getResult 409 not_final"},
		{"GET /v1/tasks/" + done + "/logs?follow | Accept: text/html", "getLogs 406 not_acceptable"},
		{"GET /v1/tasks/" + done + "/events | Accept: text/html", "watchTask 406 not_acceptable"},
		{"GET /v1/tasks/" + done + "/events | Last-Event-ID: " + last, "watchTask 204"},
		{"GET /v1/events", "watchTasks 200"},
		{"GET /v1/events | Accept: text/html", "watchTasks 406 not_acceptable"},
		{"POST /v1/tasks/" + someID + "/cancel", "cancelTask 404 not_found"},
		{"POST /v1/tasks/" + later + "/cancel", "cancelTask 200"},
		{"POST /v1/tasks/" + later + "/cancel", "cancelTask 409 already_final"},
		{"POST /v1/tasks/" + someID + "/retry", "retryTask 404 not_found"},
		{"POST /v1/tasks/" + done + "/retry", "retryTask 409 conflict"},
		{"POST /v1/tasks/" + running + "/retry", "retryTask 409 not_final"},
		{"POST /v1/tasks/" + later + "/retry", "retryTask 202"},
		{"POST /v1/tasks/" + rests + "/pause", "pauseTask 200"},
		{"POST /v1/tasks/" + rests + "/resume", "resumeTask 200"},
		{"POST /v1/tasks/" + rests + "/resume", "resumeTask 409 conflict"},
		{"POST /v1/tasks/" + done + "/pause", "pauseTask 409 already_final"},
		{"POST /v1/tasks/" + done + "/resume", "resumeTask 409 already_final"},
		{"POST /v1/tasks/" + someID + "/pause", "pauseTask 404 not_found"},
		{"POST /v1/tasks/" + someID + "/resume", "resumeTask 404 not_found"},
		{"POST /v1/tasks/" + again + "/pause?wait=0s", "pauseTask 409 conflict"},
		{`POST /v1/actions | {"action":"retry","filter":{"type":["none"]}} | Idempotency-Key: act`, "submitAction 202"},
		{`POST /v1/actions | {"action":"cancel","filter":{}} | Idempotency-Key: act`, "submitAction 422 idempotency_mismatch"},
		{`POST /v1/actions | {"action":"cancel","filter":{},"dry_run":true}`, "submitAction 200"},
		{`POST /v1/actions | {"action":"cancel","filter":{"key":"` + big + `"}}`, "submitAction 413 too_large"},
		{`POST /v1/actions | {"action":"cancel","filter":{}} | Content-Type: text/plain`, "submitAction 415 unsupported_media_type"},
		{"DELETE /v1/tasks/" + someID, "deleteTask 404 not_found"},
		{"DELETE /v1/tasks/" + running, "deleteTask 409 not_final"},
		{"DELETE /v1/tasks/" + done, "deleteTask 204"},
		{"POST /v1/tasks/" + running + "/cancel", "cancelTask 202"},
	})
}

func giveGroups(t *testing.T, all given) {
	r := newTestServer(t, server.Options{MaxBody: func() int64 { return 1 << 10 }})
	var running, done api.Group
	for g, taskType := range map[*api.Group]string{&running: "gated", &done: "flaky"} {
		var ref api.GroupRef
		r.do("POST", "/v1/batches", `{"group":{},"tasks":[{"type":"`+taskType+`"}]}`).json(t, &ref)
		r.do("GET", ref.Group, "").json(t, g)
	}
	r.until("the group is finished", func() bool {
		r.do("GET", "/v1/groups/"+done.ID, "").json(t, &done)
		return done.State == group.Finished
	})
	all.wants(r, [][2]string{
		{`POST /v1/groups | {"name":"g"}`, "createGroup 201"},
		{`POST /v1/groups | {"on_finished":{"type":"nobody"}}`, "createGroup 422 unknown_type"},
		{`POST /v1/groups | {"name":"` + strings.Repeat("x", 2<<10) + `"}`, "createGroup 413 too_large"},
		{`POST /v1/groups | {} | Content-Type: text/plain`, "createGroup 415 unsupported_media_type"},
		{`POST /v1/tasks | {"type":"text","group":"` + someID + `"}`, "submitTask 404 not_found"},
		{`POST /v1/batches | {"tasks":[{"type":"text","group":"` + someID + `"}]}`, "submitBatch 404 not_found"},
		{"GET /v1/groups", "listGroups 200"},
		{"GET /v1/groups/" + done.ID, "getGroup 200"},
		{"POST /v1/groups/" + done.ID + "/retry", "retryGroup 202"},
		{"POST /v1/groups/" + running.ID + "/close", "closeGroup 200"},
		{"DELETE /v1/groups/" + running.ID, "deleteGroup 409 not_final"},
		{"POST /v1/groups/" + running.ID + "/cancel", "cancelGroup 202"},
		{"GET /v1/groups/" + someID, "getGroup 404 not_found"},
		{"DELETE /v1/groups/" + someID, "deleteGroup 404 not_found"},
	})
	for _, verb := range []string{"close", "cancel", "retry"} {
		all.wants(r, [][2]string{{"POST /v1/groups/" + someID + "/" + verb, verb + "Group 404 not_found"}})
	}
	r.until("the group is finished again", func() bool {
		r.do("GET", "/v1/groups/"+done.ID, "").json(t, &done)
		return done.State == group.Finished
	})
	r.submit(`{"type":"gated","exclusive":["disk"]}`)
	all.wants(r, [][2]string{
		{"DELETE /v1/groups/" + done.ID, "deleteGroup 204"},
		{"GET /v1/resources", "listResources 200"}, {"GET /v1/resources/disk", "getResource 200"}, {"GET /v1/resources/none", "getResource 404 not_found"},
	})
}

func giveSchedules(t *testing.T, all given) {
	r := newTestServer(t, server.Options{MaxBody: func() int64 { return 1 << 10 }})
	create := func(name, spec string) string {
		var s api.Schedule
		a := r.do("POST", "/v1/schedules", `{"name":"`+name+`","every":"1h","task":`+spec+`}`)
		r.wants(a, 201, "")
		a.json(t, &s)
		return "/v1/schedules/" + s.ID
	}
	var g api.Group
	r.do("POST", "/v1/groups", `{}`).json(t, &g)
	plain, crowded, late := create("plain", `{"type":"text"}`), create("crowded", `{"type":"crowded"}`), create("late", `{"type":"text","group":"`+g.ID+`"}`)
	big := strings.Repeat("x", 2<<10)
	all.wants(r, [][2]string{
		{`POST /v1/schedules | {"name":"s","cron":"@daily","task":{"type":"text","labels":{"a":"b"},"timeout":"1m","retain":5,"max_lost":0}}`, "createSchedule 201"},
		{`POST /v1/schedules | {"name":"plain","cron":"@daily","task":{"type":"text"}}`, "createSchedule 409 conflict"},
		{`POST /v1/schedules | {"name":"t","cron":"@daily","task":{"type":"nobody"}}`, "createSchedule 422 unknown_type"},
		{`POST /v1/schedules | {"name":"t","cron":"@daily","task":{"type":"greet","input":{"name":1}}}`, "createSchedule 422 invalid_input"},
		{`POST /v1/schedules | {"name":"` + big + `"}`, "createSchedule 413 too_large"},
		{`POST /v1/schedules | {} | Content-Type: text/plain`, "createSchedule 415 unsupported_media_type"},
		{"GET /v1/schedules?limit=1", "listSchedules 200"},
		{"GET " + plain + "?preview=3", "getSchedule 200"},
		{"GET /v1/schedules/" + someID, "getSchedule 404 not_found"},
		{"PATCH " + plain + ` | {"paused":true}`, "changeSchedule 200"},
		{"PATCH " + plain + ` | {"name":"crowded"}`, "changeSchedule 409 conflict"},
		{"PATCH " + plain + ` | {"task":{"type":"nobody"}}`, "changeSchedule 422 unknown_type"},
		{"PATCH " + plain + ` | {"task":{"type":"greet","input":{"name":1}}}`, "changeSchedule 422 invalid_input"},
		{"PATCH " + plain + ` | {"name":"` + big + `"}`, "changeSchedule 413 too_large"},
		{"PATCH " + plain + ` | {} | Content-Type: text/plain`, "changeSchedule 415 unsupported_media_type"},
		{"PATCH /v1/schedules/" + someID + ` | {"paused":true}`, "changeSchedule 404 not_found"},
		{"POST " + plain + "/run", "runSchedule 202"},
		{"POST /v1/schedules/" + someID + "/run", "runSchedule 404 not_found"},
		{"DELETE " + plain, "deleteSchedule 204"},
		{"DELETE /v1/schedules/" + someID, "deleteSchedule 404 not_found"},
	})
	r.wants(r.do("POST", "/v1/executors/x/pause", ""), 200, "")
	r.submit(`{"type":"crowded"}`)
	r.wants(r.do("POST", "/v1/groups/"+g.ID+"/close", ""), 200, "")
	all.wants(r, [][2]string{{"POST " + crowded + "/run", "runSchedule 429 queue_full"}, {"POST " + late + "/run", "runSchedule 409 conflict"}})
	r.quotas(task.Quota{Waiting: 1})
	all.wants(r, [][2]string{{"POST " + create("text", `{"type":"text"}`) + "/run", "runSchedule 429 quota_exceeded"}})
}

func giveAttempts(t *testing.T, all given) {
	r := newTestServer(t, server.Options{MaxBatch: 1 << 10})
	r.submit(`{"type":"gated","input":[1]}`)
	r.started()
	var token string
	if err := openBeneath(t, r).QueryRow(`SELECT lower(hex(token)) FROM task WHERE token IS NOT NULL`).Scan(&token); err != nil {
		t.Fatal(err)
	}
	all.wants(r, [][2]string{
		{"GET /v1/attempts/" + token + "/input", "attemptInput 200"},
		{"GET /v1/attempts/" + token + "/checkpoint", "attemptCheckpoint 200"},
		{"GET /v1/attempts/" + token + "/children", "attemptChildren 200"},
		{"GET /v1/attempts/" + someToken + "/children", "attemptChildren 404 not_found"},
		{"PUT /v1/attempts/" + token + `/result | {} | Content-Type: application/json`, "putAttemptResult 204"},
		{"PUT /v1/attempts/" + token + `/result | {"` + strings.Repeat("x", 2<<10) + `":1}`, "putAttemptResult 413 too_large"},
		{"GET /v1/attempts/" + someToken + "/input", "attemptInput 404 not_found"},
		{"GET /v1/attempts/" + someToken + "/checkpoint", "attemptCheckpoint 404 not_found"},
		{"PUT /v1/attempts/" + someToken + "/result | {}", "putAttemptResult 404 not_found"},
	})
	r.gate <- struct{}{}
}

func giveExecutors(t *testing.T, all given) {
	r := newTestServer(t, server.Options{})
	all.wants(r, [][2]string{
		{"GET /v1/executors", "listExecutors 200"}, {"GET /v1/executors/x", "getExecutor 200"}, {"GET /v1/executors/none", "getExecutor 404 not_found"},
		{"POST /v1/executors/none/pause", "pauseExecutor 404 not_found"}, {"POST /v1/executors/none/resume", "resumeExecutor 404 not_found"},
		{"POST /v1/executors/none/drain", "drainExecutor 404 not_found"}, {"POST /v1/executors/none/restart", "restartExecutor 404 not_found"},
		{"POST /v1/executors/x/drain", "drainExecutor 409 conflict"}, {"POST /v1/executors/x/restart", "restartExecutor 409 conflict"},
		{"GET /healthz", "health 200"}, {"GET /v1/status", "getStatus 200"}, {"GET /version", "version 200"}, {"GET /readyz?verbose", "ready 200"},
		{"GET /openapi.json", "openapi 200"}, {"GET /openapi.json | Accept: text/html", "openapi 406 not_acceptable"},
		{"POST /v1/executors/x/resume", "resumeExecutor 409 conflict"},
		{"POST /v1/executors/x/pause", "pauseExecutor 200"}, {"POST /v1/executors/x/pause", "pauseExecutor 409 conflict"}, {"GET /readyz?verbose", "ready 503 executor_unavailable"}, {"POST /v1/executors/x/resume", "resumeExecutor 200"},
	})
	fleet := &testServer{t: t, log: &syncBuffer{}}
	fleet.serve(&workers{drained: map[string]bool{}, controls: true}, server.Options{})
	all.wants(fleet, [][2]string{
		{"GET /v1/workers", "listWorkers 200"}, {"GET /v1/workers/a", "getWorker 200"}, {"GET /v1/workers/none", "getWorker 404 not_found"},
		{"POST /v1/workers/a/drain", "drainWorker 200"}, {"POST /v1/workers/none/drain", "drainWorker 404 not_found"},
		{"POST /v1/workers/a/resume", "resumeWorker 200"}, {"POST /v1/workers/none/resume", "resumeWorker 404 not_found"},
	})
	stubborn := &testServer{t: t, log: &syncBuffer{}}
	stubborn.serve(&workers{drained: map[string]bool{}}, server.Options{})
	all.wants(stubborn, [][2]string{{"POST /v1/workers/a/drain", "drainWorker 409 conflict"}, {"POST /v1/workers/a/resume", "resumeWorker 409 conflict"}})
	process := serveAs(t, obedient{}, server.Options{})
	all.wants(process, [][2]string{{"POST /v1/executors/x/drain", "drainExecutor 200"}, {"POST /v1/executors/x/restart", "restartExecutor 200"}})
}

func giveTypes(t *testing.T, all given) {
	r := newTestServer(t, server.Options{})
	big := strings.Repeat("x", 3<<20)
	all.wants(r, [][2]string{
		{"GET /v1/types", "listTypes 200"}, {"GET /v1/types/greet", "getType 200"}, {"GET /v1/types/none", "getType 404 not_found"},
		{`PUT /v1/types/mine | {"timeout":"1m","queue_limit":3,"concurrency":[{"max":2},{"max":1,"by":"label:a"}],"rate":{"per_second":5},"backoff":{"initial":1,"max":"2s"}}`, "putType 201"},
		{`PUT /v1/types/greet | {"retain":0,"max_lost":0}`, "putType 200"},
		{`PUT /v1/types/taskhost.action | {}`, "putType 409 conflict"},
		{`PUT /v1/types/mine | {"description":"` + big + `"}`, "putType 413 too_large"},
		{`PUT /v1/types/mine | {} | Content-Type: text/plain`, "putType 415 unsupported_media_type"},
		{"POST /v1/types/mine/pause", "pauseType 200"}, {"POST /v1/types/mine/pause", "pauseType 409 conflict"}, {"POST /v1/types/none/pause", "pauseType 404 not_found"},
		{"POST /v1/types/mine/resume", "resumeType 200"}, {"POST /v1/types/mine/resume", "resumeType 409 conflict"}, {"POST /v1/types/none/resume", "resumeType 404 not_found"},
		{`POST /v1/tasks | {"type":"mine"}`, "submitTask 202"},
		{"DELETE /v1/types/mine", "deleteType 409 conflict"}, {"DELETE /v1/types/mine?force=true", "deleteType 204"}, {"DELETE /v1/types/mine", "deleteType 404 not_found"},
	})
}

func giveIdentity(t *testing.T, all given) {
	r := newTestServer(t, server.Options{})
	admin := " | Authorization: Bearer " + r.token("ops", identity.Admin)
	ids := map[identity.Role]string{}
	r.token("ops", identity.Viewer)
	for _, token := range r.access.Tokens() {
		ids[token.Role] = token.ID.String()
	}
	all.wants(r, [][2]string{
		{"GET /v1/whoami" + admin, "whoami 200"}, {"GET /v1/quotas" + admin, "listQuotas 200"},
		{`POST /v1/tokens | {"name":"n","owner":"o","role":"member","expires_at":"2999-01-01T00:00:00Z"}` + admin, "createToken 201"},
		{`POST /v1/tokens | {"name":"n","owner":"o","role":"viewer"}` + admin, "createToken 409 conflict"},
		{`POST /v1/tokens | {"name":"` + strings.Repeat("x", 20<<10) + `"}` + admin, "createToken 413 too_large"},
		{`POST /v1/tokens | {} | Content-Type: text/plain` + admin, "createToken 415 unsupported_media_type"},
		{"GET /v1/tokens" + admin, "listTokens 200"}, {"GET /v1/tokens/" + ids[identity.Viewer] + admin, "getToken 200"}, {"GET /v1/tokens/" + someID + admin, "getToken 404 not_found"},
		{"DELETE /v1/tokens/" + ids[identity.Viewer] + admin, "revokeToken 204"}, {"DELETE /v1/tokens/" + someID + admin, "revokeToken 404 not_found"},
		{"DELETE /v1/tokens/" + ids[identity.Admin] + admin, "revokeToken 409 conflict"},
		{"GET /v1/audit" + admin, "listAudit 200"},
		{"POST /v1/executors/x/pause" + admin, "pauseExecutor 200"},
		{`POST /v1/tasks | {"type":"text","exclusive":["disk"]}` + admin, "submitTask 202"},
		{`POST /v1/tasks | {"type":"text","exclusive":["disk"]} | Authorization: Bearer ` + r.token("ann", identity.Member), "submitTask 202"},
		{"GET /v1/resources/disk" + admin, "getResource 409 conflict"},
	})
}

// refusing is a store of tokens that fails with err. It has two admins.
type refusing struct {
	identity.Store
	err error
}

func (s refusing) Tokens(context.Context) ([]identity.Token, error) {
	id, err := task.ParseID(someID)
	return []identity.Token{{ID: id, Role: identity.Admin}, {ID: task.ID{1}, Role: identity.Admin, Hash: [32]byte{1}}}, err
}
func (s refusing) InsertToken(context.Context, identity.Token) error { return s.err }
func (s refusing) DeleteToken(context.Context, task.ID) error        { return s.err }
func (s refusing) Events(context.Context, identity.Filter) (identity.Page, error) {
	return identity.Page{}, s.err
}
func (s refusing) AppendEvents(context.Context, []identity.Event) error { return nil }

// giveTimeouts sends bodies whose end does not come.
func giveTimeouts(t *testing.T, all given) {
	r := newTestServer(t, server.Options{BodyTimeout: 50 * time.Millisecond})
	const claim = "POST /v1/board/claims/" + someToken
	for _, target := range []string{"POST /v1/tasks", "POST /v1/batches", "POST /v1/actions", "POST /v1/groups", "POST /v1/tokens", "POST /v1/schedules", "PATCH /v1/schedules/" + someID, "PUT /v1/types/none",
		"POST /v1/board/claims", claim + "/progress", claim + "/log", claim + "/fail", claim + "/trash"} {
		method, path, _ := strings.Cut(target, " ")
		a := r.raw(method, path, " HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
		if what := all.record(t, a); !strings.HasSuffix(what, " 408 request_timeout") {
			t.Errorf("%s: %s", path, what)
		}
	}
}

// giveFailures has the service fail as a real one does when its disk is full, say: with
// the codes that only such a failure has, where the document has them.
func giveFailures(t *testing.T, all given) {
	for _, f := range []struct {
		code       task.Code
		operations []string // none: all that have it
	}{
		{task.CodeStoreUnavailable, nil},
		{task.CodeStoreFull, []string{"submitTask", "submitBatch", "submitAction", "pauseTask", "resumeTask", "cancelTask", "retryTask", "deleteTask", "pauseExecutor", "resumeExecutor", "putAttemptResult",
			"createGroup", "closeGroup", "cancelGroup", "retryGroup", "deleteGroup", "createSchedule", "changeSchedule", "deleteSchedule", "runSchedule", "putType", "pauseType", "resumeType", "deleteType", "createToken", "revokeToken", "checkpointClaim"}},
		{task.CodeExecutorUnavailable, []string{"submitTask", "submitBatch", "createGroup", "createSchedule", "changeSchedule", "runSchedule", "drainExecutor", "restartExecutor", "drainWorker", "resumeWorker"}},
		{task.CodeQueueFull, []string{"retryTask", "retryGroup"}}, {task.CodeQuotaExceeded, []string{"retryTask", "retryGroup"}}, // what failed comes into a queue that is full
		{task.CodeConflict, []string{"cancelTask", "submitAction", "putAttemptResult"}},                                                                 // a task that is reverted, an attempt that ends at this moment
		{task.CodeUnknownType, []string{"runSchedule"}}, {task.CodeInvalidInput, []string{"runSchedule"}}, {task.CodeTooLarge, []string{"runSchedule"}}, // what changed since
	} {
		err := task.Errorf(f.code, "no")
		r := serveAs(t, obedient{err: err}, server.Options{Access: newAccess(t, refusing{err: err}, identity.Settings{AnonymousLoopback: true})})
		eachOperation(theContract(), func(method, path string, op map[string]any) {
			id := op["operationId"].(string)
			want := fmt.Sprintf("%s %d %s", id, server.StatusOf(f.code), f.code)
			if !described(theContract())[want] || len(f.operations) > 0 && !slices.Contains(f.operations, id) {
				return
			}
			target, body := sample(method, path)
			if got := all.record(t, r.do(method, target, body)); got != want {
				t.Errorf("%s, want %s", got, want)
			}
		})
	}
}
