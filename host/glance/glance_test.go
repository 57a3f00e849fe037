package glance_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/engine"
	"github.com/taskhost/taskhost/host/glance"
	"github.com/taskhost/taskhost/host/identity"
	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/sqlite"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// rig is the view before a real engine on a real store.
type rig struct {
	t      *testing.T
	engine *engine.Engine
	server *httptest.Server
	who    identity.Caller
	refuse error
	gate   chan struct{}
}

func newRig(t *testing.T, s glance.Settings) *rig {
	r := &rig{t: t, who: identity.Caller{Name: "u1", Owner: "p1", Role: identity.Admin}, gate: make(chan struct{})}
	store, err := sqlite.Open(t.Context(), t.TempDir(), sqlite.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	script := func(name string, run func(context.Context, sdk.Task) (sdk.Result, error)) sdk.Script {
		return sdk.Script{TypeInfo: sdk.TypeInfo{Name: name}, Run: func(ctx context.Context, t sdk.Task, _ sdk.Reporter) (sdk.Result, error) { return run(ctx, t) }}
	}
	exec, err := sdk.NewScripts(
		script("import", func(context.Context, sdk.Task) (sdk.Result, error) {
			return sdk.JSON(map[string]string{"image_id": "i1"})
		}),
		script("text", func(context.Context, sdk.Task) (sdk.Result, error) { return sdk.Text("15.0"), nil }),
		script("fail", func(context.Context, sdk.Task) (sdk.Result, error) {
			return sdk.Result{}, sdk.Permanent(errors.New("<it broke>"))
		}),
		script("gated", func(ctx context.Context, _ sdk.Task) (sdk.Result, error) {
			select {
			case <-r.gate:
				return sdk.JSON(1)
			case <-ctx.Done():
				return sdk.Result{}, context.Cause(ctx)
			}
		}))
	if err != nil {
		t.Fatal(err)
	}
	r.engine = engine.New(engine.Options{Store: store, CancelGrace: time.Second, DrainTimeout: time.Millisecond,
		Executors: []registry.Binding{{Name: "x", Plugin: "scripts", Slots: 50, Executor: exec}}, Types: map[string]task.TypeConfig{"full": {}}})
	if err := r.engine.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.engine.Close(context.Background()) })
	r.server = httptest.NewServer(glance.NewHandler(glance.Options{Settings: s, Service: r.engine, MaxBody: func() int64 { return 1 << 20 }, NewID: engine.NewID,
		Caller: func(*http.Request) (identity.Caller, error) { return r.who, r.refuse },
		Next:   http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusTeapot) })}))
	t.Cleanup(r.server.Close)
	return r
}

type answer struct {
	*http.Response
	body string
}

func (r *rig) do(method, path, body string, headers ...string) answer {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.server.URL+path, strings.NewReader(body))
	if err != nil {
		r.t.Fatal(err)
	}
	for _, h := range headers {
		k, v, _ := strings.Cut(h, ": ")
		req.Header.Set(k, v)
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusTeapot && !strings.HasPrefix(resp.Header.Get("X-Openstack-Request-Id"), "req-") {
		r.t.Errorf("%s %s: no request id", method, path)
	}
	return answer{resp, string(data)}
}

func (a *answer) fields(t *testing.T) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(a.body), &m); err != nil {
		t.Fatalf("%v: %s", err, a.body)
	}
	return m
}

func (r *rig) create(body string) map[string]any {
	r.t.Helper()
	a := r.do("POST", "/v2/tasks", body)
	if a.StatusCode != 201 {
		r.t.Fatalf("%s: %d %s", body, a.StatusCode, a.body)
	}
	return a.fields(r.t)
}

// final is a task once it has ended.
func (r *rig) final(made map[string]any) map[string]any {
	r.t.Helper()
	id, err := task.ParseID(fmt.Sprint(made["id"]))
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.engine.Wait(r.t.Context(), task.Scope{All: true}, id); err != nil {
		r.t.Fatal(err)
	}
	a := r.do("GET", "/v2/tasks/"+id.String(), "")
	return a.fields(r.t)
}

func keys(m map[string]any) string { return strings.Join(slices.Sorted(maps.Keys(m)), " ") }

const (
	newKeys   = "created_at id input message owner request_id result schema self status type updated_at user_id"
	finalKeys = "created_at expires_at id input message owner request_id result schema self status type updated_at user_id"
)

func TestTaskAsGlanceShowsIt(t *testing.T) {
	r := newRig(t, glance.Settings{})
	a := r.do("POST", "/v2/tasks", `{"type":"import","input":{"import_from":"https://example.org/x"},"owner":"other","status":"success"}`)
	made := a.fields(t)
	if a.StatusCode != 201 || keys(made) != newKeys || made["status"] != "pending" || made["message"] != "" || made["result"] != nil || made["owner"] != "p1" || made["user_id"] != "u1" ||
		made["self"] != fmt.Sprint("/v2/tasks/", made["id"]) || made["schema"] != "/v2/schemas/task" || fmt.Sprint(made["input"]) != "map[import_from:https://example.org/x]" ||
		made["request_id"] != a.Header.Get("X-Openstack-Request-Id") || a.Header.Get("Location") != r.server.URL+fmt.Sprint(made["self"]) {
		t.Errorf("made: %s\n%s", a.Header, a.body)
	}
	if at, err := time.Parse("2006-01-02T15:04:05Z", fmt.Sprint(made["created_at"])); err != nil || time.Since(at) > time.Minute {
		t.Errorf("created_at %v: %v", made["created_at"], err)
	}
	if got := r.final(made); keys(got) != finalKeys || got["status"] != "success" || fmt.Sprint(got["result"]) != "map[image_id:i1]" {
		t.Errorf("ended: %v", got)
	}
	if got := r.final(r.create(`{"type":"fail","input":null}`)); got["status"] != "failure" || got["message"] != "<it broke>" || got["result"] != nil || got["input"] != nil {
		t.Errorf("failed: %v", got)
	}
	if got := r.final(r.create(`{"type":"text","input":{}}`)); fmt.Sprint(got["result"]) != "map[result:15.0]" {
		t.Errorf("a result that is no object: %v", got)
	}
	gated := r.create(`{"type":"gated","input":{"image_id":"i7"}}`)
	if gated["image_id"] != "i7" {
		t.Errorf("with an image: %v", gated)
	}
	id, _ := task.ParseID(fmt.Sprint(gated["id"]))
	if _, err := r.engine.Cancel(t.Context(), task.Scope{All: true}, id); err != nil {
		t.Fatal(err)
	}
	if got := r.final(gated); got["status"] != "failure" || got["message"] == "" {
		t.Errorf("canceled: %v", got)
	}
	of := r.do("GET", "/v2/images/i7/tasks", "")
	if list := of.fields(t)["tasks"].([]any); len(list) != 1 || list[0].(map[string]any)["id"] != gated["id"] || of.StatusCode != 200 {
		t.Errorf("of an image: %s", of.body)
	}
	array, _, err := r.engine.Submit(t.Context(), task.Scope{Owner: "p1"}, []task.Spec{{Type: "text", Input: []byte(`[1]`)}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := r.do("GET", "/v2/tasks/"+array[0].ID.String(), ""); fmt.Sprint(got.fields(t)["input"]) != "map[input:[1]]" {
		t.Errorf("an input that is no object: %s", got.body)
	}
}

func TestRefusals(t *testing.T) {
	r := newRig(t, glance.Settings{DisallowedHosts: []string{"bad.example.org"}})
	for _, c := range []struct {
		method, path, body string
		status             int
		says               string
	}{
		{"POST", "/v2/tasks", `{}`, 400, "Task 'type' is required"},
		{"POST", "/v2/tasks", `{"type":"text"}`, 400, "Task 'input' is required"},
		{"POST", "/v2/tasks", `{"type":"nope","input":{}}`, 400, "Provided object does not match schema 'task': 'nope' is not one of ['fail', 'gated', 'import', 'text']"},
		{"POST", "/v2/tasks", `{"type":1,"input":{}}`, 400, "Provided object does not match schema 'task'"},
		{"POST", "/v2/tasks", `{"type":"text","input":{},"x":1}`, 400, "Provided object does not match schema 'task': Additional properties are not allowed ('x' was unexpected)"},
		{"POST", "/v2/tasks", `{"type":"text","input":[1]}`, 400, "Provided object does not match schema 'task'"},
		{"POST", "/v2/tasks", `[1]`, 400, "Provided object does not match schema 'task'"},
		{"POST", "/v2/tasks", `{"type":`, 400, "Malformed JSON in request body."},
		{"POST", "/v2/tasks", strings.Repeat(`[`, 100_000), 400, "Malformed JSON in request body."},
		{"POST", "/v2/tasks", ``, 400, "Body expected in request."},
		{"POST", "/v2/tasks", ` `, 400, "Body expected in request."},
		{"POST", "/v2/tasks", `{"type":"text","input":{"x":"` + strings.Repeat("x", 1<<20) + `"}}`, 413, "1048576 bytes"},
		{"POST", "/v2/tasks", `{"type":"import","input":{"import_from":"file:///etc/passwd"}}`, 400, "File based imports are not allowed. Please use a non-local source of image data."},
		{"POST", "/v2/tasks", `{"type":"import","input":{"import_from":"FILE:///etc/passwd"}}`, 400, "File based imports are not allowed."},
		{"POST", "/v2/tasks", `{"type":"import","input":{"import_from":"ftp://example.org/x"}}`, 400, "want one of http, https"},
		{"POST", "/v2/tasks", `{"type":"import","input":{"import_from":"images/x"}}`, 400, "want one of http, https"},
		{"POST", "/v2/tasks", `{"type":"import","input":{"import_from":"https://BAD.example.org./x"}}`, 400, "not imported from the host"},
		{"GET", "/v2/tasks/nope", "", 404, "Could not find task nope"},
		{"GET", "/v2/tasks/01990f4e-7f3a-7c55-a1b2-0123456789ab", "", 404, "Could not find task 01990f4e-7f3a-7c55-a1b2-0123456789ab"},
		{"GET", "/v2/tasks?limit=x", "", 400, "limit param must be an integer"},
		{"GET", "/v2/tasks?limit=-1", "", 400, "limit param must be positive"},
		{"GET", "/v2/tasks?marker=x", "", 400, "Invalid marker format"},
		{"GET", "/v2/tasks?marker=01990f4e-7f3a-7c55-a1b2-0123456789ab", "", 404, "Could not find task"},
		{"GET", "/v2/tasks?sort_dir=x", "", 400, "Invalid sort direction: x"},
		{"GET", "/v2/tasks?sort_key=x", "", 400, "Sort key supplied was not valid."},
		{"GET", "/v2/tasks?status=x", "", 400, "Invalid status value: x"},
		{"DELETE", "/v2/tasks/nope", "", 405, "expires_at"},
		{"PATCH", "/v2/tasks/nope", "", 405, "expires_at"},
		{"PUT", "/v2/tasks", "", 405, "not allowed"},
		{"GET", "/v2/tasks/", "", 404, "could not be found"},
		{"GET", "/v2/images", "", 404, "could not be found"},
		{"GET", "/v2/schemas/none", "", 404, "could not be found"},
	} {
		a := r.do(c.method, c.path, c.body, "Accept: application/json")
		var said struct{ Message, Code, Title string }
		if err := json.Unmarshal([]byte(a.body), &said); err != nil || a.StatusCode != c.status || !strings.Contains(said.Message, c.says) || !strings.HasPrefix(said.Code, fmt.Sprint(c.status)) {
			t.Errorf("%s %s %.60s: %d %.300s, want %d %q", c.method, c.path, c.body, a.StatusCode, a.body, c.status, c.says)
		}
		html := r.do(c.method, c.path, c.body)
		if html.StatusCode != c.status || !strings.HasPrefix(html.Header.Get("Content-Type"), "text/html") || !strings.HasPrefix(html.body, "<html>") {
			t.Errorf("%s %s in HTML: %d %s", c.method, c.path, html.StatusCode, html.body)
		}
		if want := map[string]string{"DELETE": "GET", "PATCH": "GET", "PUT": "GET, POST"}[c.method]; a.Header.Get("Allow") != want {
			t.Errorf("%s %s: Allow %q, want %q", c.method, c.path, a.Header.Get("Allow"), want)
		}
	}
	if a := r.do("GET", "/v1/tasks", ""); a.StatusCode != http.StatusTeapot {
		t.Errorf("another path is answered %d", a.StatusCode)
	}
}

func TestWhoMayUseTheTasks(t *testing.T) {
	closed, open := newRig(t, glance.Settings{}), newRig(t, glance.Settings{MembersToo: true})
	for _, c := range []struct {
		r                *rig
		role             identity.Role
		makes, sees, all int
	}{
		{closed, identity.Admin, 201, 200, 1}, {closed, identity.Operator, 403, 403, 0}, {closed, identity.Member, 403, 403, 0}, {closed, identity.Viewer, 403, 403, 0},
		{open, identity.Admin, 201, 200, 1}, {open, identity.Member, 201, 200, 0}, {open, identity.Viewer, 403, 200, 0},
	} {
		c.r.who = identity.Caller{Name: "other", Owner: "p2", Role: identity.Admin}
		others := c.r.create(`{"type":"text","input":{}}`)
		c.r.who = identity.Caller{Name: "u1", Owner: "p1", Role: c.role}
		made, list := c.r.do("POST", "/v2/tasks", `{"type":"text","input":{}}`), c.r.do("GET", "/v2/tasks?owner=p2", "")
		if made.StatusCode != c.makes || list.StatusCode != c.sees || strings.Contains(list.body, fmt.Sprint(others["id"])) != (c.all == 1) {
			t.Errorf("%s: makes %d, lists %d %s", c.role, made.StatusCode, list.StatusCode, list.body)
		}
		if made.StatusCode == 403 && !strings.Contains(made.body, "You are not authorized to complete tasks_api_access action.") {
			t.Errorf("%s is told %s", c.role, made.body)
		}
		if one := c.r.do("GET", fmt.Sprint(others["self"]), ""); c.sees == 200 && (one.StatusCode == 200) != (c.all == 1) {
			t.Errorf("%s: another's task is %d", c.role, one.StatusCode)
		}
	}
	closed.refuse = task.Errorf(task.CodeUnauthenticated, "say who you are")
	if a := closed.do("GET", "/v2/tasks", ""); a.StatusCode != 401 {
		t.Errorf("nobody: %d", a.StatusCode)
	}
	if a := closed.do("GET", "/versions", ""); a.StatusCode != 300 || !strings.Contains(a.body, `"status":"CURRENT"`) {
		t.Errorf("versions for nobody: %d %s", a.StatusCode, a.body)
	}
	closed.refuse = task.Errorf(task.CodeForbidden, "no project")
	if a := closed.do("GET", "/v2/tasks", ""); a.StatusCode != 403 {
		t.Errorf("a caller without a project: %d", a.StatusCode)
	}
}

func TestLists(t *testing.T) {
	r := newRig(t, glance.Settings{TimeToLive: time.Hour})
	var made []string
	for i := range 7 {
		one := r.create(`{"type":"` + []string{"text", "fail"}[i%2] + `","input":{}}`)
		r.final(one)
		made = append(made, fmt.Sprint(one["id"]))
	}
	ids := func(path string) (ids []string, m map[string]any) {
		t.Helper()
		a := r.do("GET", path, "", "Content-Type: application/octet-stream")
		if a.StatusCode != 200 {
			t.Fatalf("%s: %d %s", path, a.StatusCode, a.body)
		}
		m = a.fields(t)
		for _, one := range m["tasks"].([]any) {
			one := one.(map[string]any)
			if got := keys(one); got != "created_at expires_at id owner schema self status type updated_at" {
				t.Errorf("%s: an item has %s", path, got)
			}
			ids = append(ids, fmt.Sprint(one["id"]))
		}
		return ids, m
	}
	newest := slices.Clone(made)
	slices.Reverse(newest)
	texts, fails := []string{made[0], made[2], made[4], made[6]}, []string{made[1], made[3], made[5]}
	down := func(s []string) []string { s = slices.Clone(s); slices.Reverse(s); return s }
	for path, want := range map[string][]string{
		"/v2/tasks": newest, "/v2/tasks?sort_dir=asc": made, "/v2/tasks?type=text": down(texts), "/v2/tasks?status=failure": down(fails), "/v2/tasks?status=pending": nil,
		"/v2/tasks?limit=0": nil, "/v2/tasks?limit=100000": newest, "/v2/tasks?owner=p1": newest, "/v2/tasks?owner=p2": nil, "/v2/tasks?type=none": nil,
		"/v2/tasks?sort_key=type&sort_dir=asc": append(down(fails), down(texts)...), "/v2/tasks?sort_key=type": append(down(texts), down(fails)...),
		"/v2/tasks?sort_key=status&sort_dir=asc": append(down(fails), down(texts)...), "/v2/tasks?sort_key=id&sort_dir=asc": made,
	} {
		got, m := ids(path)
		first := path
		if _, query, ok := strings.Cut(path, "?"); ok {
			parts := strings.Split(query, "&")
			slices.Sort(parts)
			first = "/v2/tasks?" + strings.Join(parts, "&")
		}
		if !slices.Equal(got, want) || m["next"] != nil || m["first"] != first || m["schema"] != "/v2/schemas/tasks" {
			t.Errorf("%s: %v, first %v, next %v; want %v", path, got, m["first"], m["next"], want)
		}
	}
	for _, query := range []string{"limit=3", "limit=3&sort_dir=asc", "limit=2&sort_key=status&type=text", "limit=7", "limit=3&sort_key=updated_at"} {
		want, _ := ids("/v2/tasks?" + strings.ReplaceAll(query, "limit=", "limit=1000&x="))
		var got []string
		for next := "/v2/tasks?" + query; next != ""; {
			page, m := ids(next)
			got = append(got, page...)
			next, _ = m["next"].(string)
			if next != "" && (!strings.HasPrefix(next, "/v2/tasks?limit=") || !strings.Contains(next, "marker="+page[len(page)-1])) {
				t.Fatalf("%s: next is %s", query, next)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: the pages have %v, want %v", query, got, want)
		}
	}
}

func TestSchemas(t *testing.T) {
	r := newRig(t, glance.Settings{})
	for path, name := range map[string]string{"task": "task", "tasks": "tasks", "image": "image", "images": "images", "metadefs/namespace": "namespace", "metadefs/resource_type": "resource_type_association"} {
		a := r.do("GET", "/v2/schemas/"+path, "")
		if m := a.fields(t); a.StatusCode != 200 || m["name"] != name || m["properties"] == nil {
			t.Errorf("%s: %d %s", path, a.StatusCode, a.body)
		}
	}
	a := r.do("GET", "/v2/schemas/task", "")
	p := a.fields(t)["properties"].(map[string]any)
	if got := fmt.Sprint(p["type"].(map[string]any)["enum"]); got != "[fail gated import text]" {
		t.Errorf("the types are %s", got)
	}
	if keys(p) != "created_at expires_at id image_id input message owner request_id result schema self status type updated_at user_id" {
		t.Errorf("the properties are %s", keys(p))
	}
	if images := r.do("GET", "/v2/schemas/image", ""); strings.Contains(images.body, `"stores"`) {
		t.Error("the schema of images has stores")
	}
}

// What a quota refuses is 413, as Glance answers who is over a limit of its own.
func TestQuota(t *testing.T) {
	r := newRig(t, glance.Settings{})
	if err := r.engine.SetQuotas(t.Context(), task.Quotas{Owners: map[string]task.Quota{"p1": {Running: 1, Waiting: 1}}}); err != nil {
		t.Fatal(err)
	}
	for _, want := range []int{201, 201, 413} {
		a := r.do("POST", "/v2/tasks", `{"type":"gated","input":{}}`)
		if a.StatusCode != want {
			t.Fatalf("status %d, want %d: %s", a.StatusCode, want, a.body)
		}
		if want == 413 && (!strings.Contains(a.body, "413 Request Entity Too Large") || !strings.Contains(a.body, "is 1 waiting tasks") || a.Header.Get("Retry-After") != "5") {
			t.Errorf("refused with %s, Retry-After %q", a.body, a.Header.Get("Retry-After"))
		}
	}
	r.who.Owner = "p2"
	if a := r.do("POST", "/v2/tasks", `{"type":"text","input":{}}`); a.StatusCode != 201 {
		t.Errorf("another project: %d %s", a.StatusCode, a.body)
	}
	close(r.gate)
}
