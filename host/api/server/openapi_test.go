package server_test

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/taskhost/taskhost/host/api/server"
)

// served are the routes of the API page that exist so far. The document and what
// is served both come from one list; this is the second opinion.
var served = []string{
	"DELETE /v1/groups/{id}", "DELETE /v1/schedules/{id}", "DELETE /v1/tasks/{id}", "DELETE /v1/tokens/{id}", "DELETE /v1/types/{name}", "GET /healthz", "GET /openapi.json", "GET /readyz", "GET /v1/attempts/{token}/checkpoint", "GET /v1/attempts/{token}/children", "GET /v1/attempts/{token}/input", "GET /v1/audit", "GET /v1/board/claims", "GET /v1/events", "GET /v1/executors", "GET /v1/executors/{name}", "GET /v1/groups", "GET /v1/groups/{id}", "GET /v1/quotas", "GET /v1/resources", "GET /v1/resources/{name}", "GET /v1/schedules", "GET /v1/schedules/{id}", "GET /v1/status", "GET /v1/tasks", "GET /v1/tasks/by-key/{type}/{key}", "GET /v1/tasks/{id}", "GET /v1/tasks/{id}/events", "GET /v1/tasks/{id}/history", "GET /v1/tasks/{id}/logs", "GET /v1/tasks/{id}/result", "GET /v1/tasks/{id}/tree", "GET /v1/tokens", "GET /v1/tokens/{id}", "GET /v1/types", "GET /v1/types/{name}", "GET /v1/whoami", "GET /v1/workers", "GET /v1/workers/{name}", "GET /version", "PATCH /v1/schedules/{id}", "POST /v1/actions", "POST /v1/batches", "POST /v1/board/claims", "POST /v1/board/claims/{token}/checkpoint", "POST /v1/board/claims/{token}/fail", "POST /v1/board/claims/{token}/finish", "POST /v1/board/claims/{token}/log", "POST /v1/board/claims/{token}/progress", "POST /v1/board/claims/{token}/release", "POST /v1/board/claims/{token}/renew", "POST /v1/board/claims/{token}/trash", "POST /v1/executors/{name}/drain", "POST /v1/executors/{name}/pause", "POST /v1/executors/{name}/restart", "POST /v1/executors/{name}/resume", "POST /v1/groups", "POST /v1/groups/{id}/cancel", "POST /v1/groups/{id}/close", "POST /v1/groups/{id}/retry", "POST /v1/schedules", "POST /v1/schedules/{id}/run", "POST /v1/tasks", "POST /v1/tasks/{id}/cancel", "POST /v1/tasks/{id}/pause", "POST /v1/tasks/{id}/resume", "POST /v1/tasks/{id}/retry", "POST /v1/tokens", "POST /v1/types/{name}/pause", "POST /v1/types/{name}/resume", "POST /v1/workers/{name}/drain", "POST /v1/workers/{name}/resume", "PUT /v1/attempts/{token}/result", "PUT /v1/types/{name}",
}

func TestDocumentNamesWhatIsServed(t *testing.T) {
	r := newTestServer(t, server.Options{})
	r.wants(r.do("GET", "/openapi.json", ""), 200, "")
	c := theContract()
	if v, _ := c.doc["openapi"].(string); !strings.HasPrefix(v, "3.1.") {
		t.Errorf("openapi %q", v)
	}
	if servers, _ := c.doc["servers"].([]any); len(servers) == 0 {
		t.Error("it names no server")
	}
	var got []string
	eachOperation(c, func(method, path string, _ map[string]any) {
		got = append(got, method+" "+path)
		// It is answered by its route, not by the one for what is unknown.
		target, _ := sample(method, path)
		a := r.do(method, target, "")
		if a.StatusCode == 405 || strings.Contains(string(a.body), "there is nothing at") {
			t.Errorf("%s %s is in the document and not served: %s", method, path, a.body)
		}
	})
	slices.Sort(got)
	slices.Sort(served)
	if !slices.Equal(got, served) {
		t.Errorf("the document has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(served, "\n"))
	}
}

// TestDocumentDescribesAll: whatever has a name in the document is described in words.
func TestDocumentDescribesAll(t *testing.T) {
	c := theContract()
	tags := map[string]bool{}
	for _, tag := range c.doc["tags"].([]any) {
		tags[object(tag)["name"].(string)] = true
		wantText(t, fmt.Sprint("tag ", object(tag)["name"]), tag, "description")
	}
	operations := map[string]bool{}
	eachOperation(c, func(method, path string, op map[string]any) {
		name := method + " " + path
		wantText(t, name, op, "operationId", "summary", "description")
		id, _ := op["operationId"].(string)
		if operations[id] {
			t.Errorf("two operations are %s", id)
		}
		operations[id] = true
		used, _ := op["tags"].([]any)
		if len(used) != 1 || !tags[used[0].(string)] {
			t.Errorf("%s has the tags %v", name, used)
		}
		var inPath []string
		parameters, _ := op["parameters"].([]any)
		for _, p := range parameters {
			wantText(t, name+": a parameter", p, "name", "description")
			if object(p)["in"] == "path" {
				inPath = append(inPath, "{"+object(p)["name"].(string)+"}")
			}
		}
		if want := regexp.MustCompile(`\{\w+\}`).FindAllString(path, -1); !slices.Equal(inPath, want) {
			t.Errorf("%s has the path's parameters %v", name, inPath)
		}
		for status := range object(op["responses"]) {
			r, _ := c.at("paths", path, strings.ToLower(method), "responses", status)
			wantText(t, name+" "+status, r, "description")
			for h, header := range object(r["headers"]) {
				wantText(t, name+" "+status+" "+h, header, "description")
			}
		}
	})
	for name, s := range object(object(c.doc["components"])["schemas"]) {
		wantText(t, name, s, "description")
		wantFields(t, name, s)
	}
}

// wantFields checks that the fields of a schema, and of those in it, are described.
func wantFields(t *testing.T, name string, schema any) {
	t.Helper()
	for field, p := range object(object(schema)["properties"]) {
		wantText(t, name+"."+field, p, "description")
		wantFields(t, name+"."+field, p)
	}
}

func wantText(t *testing.T, name string, of any, fields ...string) {
	t.Helper()
	for _, f := range fields {
		if text, _ := object(of)[f].(string); text == "" {
			t.Errorf("%s has no %s", name, f)
		}
	}
}

// TestRequestsMatchTheirSchemas: what the document says of a request is what is read.
func TestRequestsMatchTheirSchemas(t *testing.T) {
	for name, want := range server.RequestFields() {
		fields, _ := theContract().at("components", "schemas", name, "properties")
		if got := slices.Sorted(maps.Keys(fields)); !slices.Equal(got, want) {
			t.Errorf("the document has the fields %v of a %s, read are %v", got, name, want)
		}
	}
	r := newTestServer(t, server.Options{})
	for req, good := range map[string]bool{
		`{"type":"text"}`: true, `{}`: false, `{"type":""}`: false, `{"type":"text","typ":1}`: false, `{"type":null}`: false,
		`{"type":"text","input":null,"timeout":"30s","retain":5.5,"run_at":"2026-01-01T00:00:00Z","labels":{"a":"b"}}`:                                                                                   true,
		`{"type":"text","key":null,"timeout":null,"retain":null,"run_at":null,"labels":null,"route":null,"priority":null,"max_lost":null,"executor":null,"deadline":null,"group":null,"exclusive":null}`: true,
		`{"type":"text","max_attempts":0}`: false, `{"type":"text","priority":1001}`: false, `{"type":"text","labels":{"a":1}}`: false, `{"type":"text","run_at":"soon"}`: false,
	} {
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(req))
		if err != nil {
			t.Fatal(err)
		}
		if err := theContract().validate(v, "components", "schemas", "TaskRequest"); (err == nil) != good {
			t.Errorf("%s: the schema says %v", req, err)
		}
		batch := map[string]any{"tasks": []any{v}, "group": nil}
		if err := theContract().validate(batch, "components", "schemas", "BatchRequest"); (err == nil) != good {
			t.Errorf("%s in a batch: the schema says %v", req, err)
		}
		if a := r.do("POST", "/v1/tasks", req); (a.StatusCode == 202) != good {
			t.Errorf("%s: %s", req, a.body)
		}
	}
}
