package server_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"

	"github.com/taskhost/taskhost/host/api/server"
)

// served are the routes of the API page that exist so far. The document and what
// is served both come from one list; this is the second opinion.
var served = []string{
	"DELETE /v1/groups/{id}", "DELETE /v1/schedules/{id}", "DELETE /v1/tasks/{id}", "GET /healthz", "GET /openapi.json", "GET /readyz", "GET /v1/attempts/{token}/checkpoint", "GET /v1/attempts/{token}/input", "GET /v1/executors", "GET /v1/executors/{name}", "GET /v1/groups", "GET /v1/groups/{id}", "GET /v1/resources", "GET /v1/resources/{name}", "GET /v1/schedules", "GET /v1/schedules/{id}", "GET /v1/tasks",
	"GET /v1/tasks/by-key/{type}/{key}", "GET /v1/tasks/{id}", "GET /v1/tasks/{id}/events", "GET /v1/tasks/{id}/history", "GET /v1/tasks/{id}/logs",
	"GET /v1/tasks/{id}/result", "GET /v1/types", "GET /v1/types/{name}", "GET /v1/workers", "GET /v1/workers/{name}", "GET /version", "PATCH /v1/schedules/{id}", "POST /v1/batches",
	"POST /v1/executors/{name}/drain", "POST /v1/executors/{name}/pause", "POST /v1/executors/{name}/restart", "POST /v1/executors/{name}/resume",
	"POST /v1/groups", "POST /v1/groups/{id}/cancel", "POST /v1/groups/{id}/close", "POST /v1/groups/{id}/retry",
	"POST /v1/schedules", "POST /v1/schedules/{id}/run", "POST /v1/tasks", "POST /v1/tasks/{id}/cancel", "POST /v1/tasks/{id}/retry", "POST /v1/workers/{name}/drain", "POST /v1/workers/{name}/resume",
	"PUT /v1/attempts/{token}/result",
}

type document struct {
	OpenAPI    string                                `json:"openapi"`
	Paths      map[string]map[string]json.RawMessage `json:"paths"`
	Components struct {
		Schemas map[string]any `json:"schemas"`
	} `json:"components"`
}

func TestDocumentNamesWhatIsServed(t *testing.T) {
	r := newTestServer(t, server.Options{})
	a := r.do("GET", "/openapi.json", "")
	r.wants(a, 200, "")
	var doc document
	a.json(t, &doc)
	if !strings.HasPrefix(doc.OpenAPI, "3.1.") {
		t.Errorf("openapi %q", doc.OpenAPI)
	}
	var got []string
	for path, item := range doc.Paths {
		for method, raw := range item {
			got = append(got, strings.ToUpper(method)+" "+path)
			var op struct {
				OperationID string                      `json:"operationId"`
				Responses   map[string]json.RawMessage  `json:"responses"`
				Parameters  []struct{ Name, In string } `json:"parameters"`
			}
			if err := json.Unmarshal(raw, &op); err != nil || op.OperationID == "" || op.Responses["500"] == nil {
				t.Errorf("%s %s: %v %s", method, path, err, raw)
			}
			for _, p := range op.Parameters {
				if p.In == "path" && !strings.Contains(path, "{"+p.Name+"}") {
					t.Errorf("%s has no {%s}", path, p.Name)
				}
			}
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, served) {
		t.Errorf("the document has\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(served, "\n"))
	}
	// Each of them is answered by its route, not by the one for what is unknown.
	for _, route := range got {
		method, path, _ := strings.Cut(route, " ")
		path = strings.NewReplacer("{id}", "01990f4e-7f3a-7c55-a1b2-0123456789ab", "{name}", "none", "{type}", "none", "{key}", "none", "{token}", "none").Replace(path)
		b := r.do(method, path, "")
		if b.StatusCode == 405 || strings.Contains(string(b.body), "there is nothing at") {
			t.Errorf("%s is in the document and not served: %s", route, b.body)
		}
	}
}

// TestAnswersMatchTheirSchemas checks real answers against the document.
func TestAnswersMatchTheirSchemas(t *testing.T) {
	r := newTestServer(t, server.Options{})
	var doc document
	a := r.do("GET", "/openapi.json", "")
	a.json(t, &doc)
	check := func(schema string, body []byte) {
		t.Helper()
		c := jsonschema.NewCompiler()
		c.DefaultDraft(jsonschema.Draft2020)
		var root any
		if err := json.Unmarshal(a.body, &root); err != nil {
			t.Fatal(err)
		}
		if err := c.AddResource("doc.json", root); err != nil {
			t.Fatal(err)
		}
		s, err := c.Compile("doc.json#/components/schemas/" + schema)
		if err != nil {
			t.Fatalf("%s: %v", schema, err)
		}
		v, err := jsonschema.UnmarshalJSON(strings.NewReader(string(body)))
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Validate(v); err != nil {
			t.Errorf("%v\n%s", err, body)
		}
	}
	running := r.submit(`{"type":"gated"}`)
	r.started()
	failed := r.submit(`{"type":"flaky","key":"k","labels":{"a":"b"}}`)
	r.final(failed)
	scheduled := r.submit(`{"type":"text","run_at":"2999-01-01T00:00:00Z"}`)
	for path, schema := range map[string]string{
		"/v1/tasks/" + running: "Task", "/v1/tasks/" + failed: "Task", "/v1/tasks/" + scheduled: "Task", "/v1/tasks": "TaskList",
		"/v1/tasks/" + failed + "/history": "History", "/v1/tasks/" + failed + "/logs": "LogList", "/v1/types": "TypeList", "/v1/types/greet": "Type",
		"/v1/executors": "ExecutorList", "/v1/executors/x": "Executor", "/v1/workers": "WorkerList", "/healthz": "Health", "/readyz?verbose": "Health",
		"/version": "VersionInfo", "/v1/types/none": "Problem", "/v1/tasks?state=x": "Problem",
	} {
		check(schema, r.do("GET", path, "").body)
	}
	check("BatchAnswer", r.do("POST", "/v1/batches", `{"tasks":[{"type":"text"}]}`).body)
	for _, req := range []string{`{"type":"x"}`, `{"type":"x","input":null,"timeout":"30s","retain":5.5,"run_at":"2026-01-01T00:00:00Z","labels":{"a":"b"}}`} {
		check("TaskRequest", []byte(req))
		check("BatchRequest", []byte(`{"tasks":[`+req+`]}`))
	}
	r.gate <- struct{}{}
}
