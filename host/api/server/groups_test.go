package server_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/server"
	"github.com/taskhost/taskhost/host/group"
	"github.com/taskhost/taskhost/host/task"
)

func TestGroupOverREST(t *testing.T) {
	r := newTestServer(t, server.Options{})
	a := r.do("POST", "/v1/groups", `{"name":"nightly","labels":{"a":"b"},"on_finished":{"type":"text"}}`)
	r.wants(a, 201, "")
	var g api.Group
	a.json(t, &g)
	if a.Header.Get("Location") != "/v1/groups/"+g.ID || g.State != group.Open || g.Name != "nightly" || g.Labels["a"] != "b" || g.Total != 0 || g.OnFinished != nil || g.ClosedAt != nil {
		t.Fatalf("created %s", a.body)
	}
	for range 3 {
		r.wants(r.do("POST", "/v1/tasks", fmt.Sprintf(`{"type":"text","group":%q}`, g.ID)), 202, "")
	}
	r.wants(r.do("DELETE", "/v1/groups/"+g.ID, ""), 409, task.CodeNotFinal)
	a = r.do("POST", "/v1/groups/"+g.ID+"/close", "")
	r.wants(a, 200, "")
	a.json(t, &g)
	if g.ClosedAt == nil {
		t.Fatalf("closed: %s", a.body)
	}
	r.wants(r.do("POST", "/v1/tasks", fmt.Sprintf(`{"type":"text","group":%q}`, g.ID)), 409, task.CodeConflict)
	r.until("the finisher is there", func() bool {
		r.do("GET", "/v1/groups/"+g.ID, "").json(t, &g)
		return g.OnFinished != nil
	})
	if g.State != group.Finished || g.Done != 3 || g.Progress != (group.Progress{Done: 3, Total: 3}) || g.Counts["succeeded"] != 3 || g.FinishedAt == nil || g.Tasks != "/v1/tasks?group="+g.ID {
		t.Fatalf("finished: %+v", g)
	}
	var members api.TaskList
	r.do("GET", g.Tasks, "").json(t, &members)
	if len(members.Tasks) != 3 || members.Tasks[0].Group == nil || *members.Tasks[0].Group != g.ID {
		t.Fatalf("members %+v", members)
	}
	var finisher api.Task
	r.do("GET", *g.OnFinished+"?wait=20s", "").json(t, &finisher)
	if !strings.Contains(string(finisher.Input), `"group":{"id":"`+g.ID) || finisher.State != task.Succeeded {
		t.Fatalf("the finisher is %s with %s", finisher.State, finisher.Input)
	}
	r.wants(r.do("DELETE", "/v1/groups/"+g.ID, ""), 204, "")
	r.wants(r.do("GET", "/v1/groups/"+g.ID, ""), 404, task.CodeNotFound)
}

// What is answered with 202 says where it goes on.
func TestAcceptedGroupSaysWhereItIs(t *testing.T) {
	r := newTestServer(t, server.Options{})
	var g api.Group
	r.do("POST", "/v1/groups", `{}`).json(t, &g)
	for _, verb := range []string{"cancel", "retry"} {
		a := r.do("POST", "/v1/groups/"+g.ID+"/"+verb, "")
		r.wants(a, 202, "")
		if a.json(t, &g); g.Group != "/v1/groups/"+g.ID {
			t.Errorf("%s: %s", verb, a.body)
		}
	}
}

func TestBatchThatIsAGroup(t *testing.T) {
	r := newTestServer(t, server.Options{})
	body := `{"group":{"name":"b"},"tasks":[{"type":"gated"},{"type":"gated"}]}`
	a := r.do("POST", "/v1/batches", body, "Idempotency-Key: k")
	r.wants(a, 202, "")
	var ref api.GroupRef
	a.json(t, &ref)
	again := r.do("POST", "/v1/batches", body, "Idempotency-Key: k")
	if string(again.body) != string(a.body) || again.Header.Get("Idempotency-Replayed") != "true" || a.Header.Get("Location") != ref.Group {
		t.Fatalf("sent again: %s, first %s", again.body, a.body)
	}
	var g api.Group
	r.do("GET", ref.Group, "").json(t, &g)
	if g.State != group.Closed || g.Total != 2 || g.Name != "b" {
		t.Fatalf("the group is %+v", g)
	}
	r.wants(r.do("POST", ref.Group+"/cancel", ""), 202, "")
	r.until("all are canceled", func() bool {
		r.do("GET", ref.Group, "").json(t, &g)
		return g.State == group.Finished && g.Counts["canceled"] == 2
	})
	open, err := r.client.SubmitGroup(t.Context(), api.BatchGroup{Open: true}, []api.TaskRequest{{Type: "flaky"}}, "")
	if err != nil || open.State != group.Open || open.Total != 1 {
		t.Fatalf("an open one: %+v, %v", open, err)
	}
	n := 0
	for _, err := range r.client.Groups(t.Context(), group.Filter{Limit: 1}) {
		if n++; err != nil {
			t.Fatal(err)
		}
	}
	if n != 2 {
		t.Errorf("%d groups are listed", n)
	}
}

func TestGroupsThatAreRefused(t *testing.T) {
	r := newTestServer(t, server.Options{})
	refused := func(path, body, pointer string) {
		t.Helper()
		a := r.do("POST", path, body)
		if a.StatusCode/100 != 4 || !strings.Contains(string(a.body), `"pointer":"`+pointer+`"`) {
			t.Errorf("%s %s: %d %s, want a fault at %s", path, body, a.StatusCode, a.body, pointer)
		}
	}
	for body, pointer := range map[string]string{
		`{"on_finished":{"type":"none"}}`:                    "/on_finished/type",
		`{"on_finished":{"type":"text","max_attempts":1e4}}`: "/on_finished/max_attempts",
		`{"labels":{"a=b":"c"}}`:                             "/labels/a=b",
		`{"nme":"x"}`:                                        "/nme",
		`{"open":true}`:                                      "/open",
		`{"name":1}`:                                         "/name",
		`{"on_finished":{}}`:                                 "/on_finished/type",
		`{"on_finished":{"type":"text","input":1}}`:          "/on_finished/input",
		`{"name":"` + strings.Repeat("x", 256) + `"}`:        "/name",
		`{"on_finished":{"type":"text","group":"nobody"}}`:   "/on_finished/group",
	} {
		refused("/v1/groups", body, pointer)
		if body != `{"open":true}` { // which a batch's may say
			refused("/v1/batches", `{"tasks":[{"type":"text"}],"group":`+body+`}`, "/group"+pointer)
			refused("/v1/batches", `{"tasks":[{"type":"text"},{"type":"text"}],"group":`+body+`}`, "/group"+pointer)
		}
	}
	refused("/v1/batches", `{"tasks":[{"type":"none"}],"group":{}}`, "/tasks/0/type")
	r.wants(r.do("POST", "/v1/groups", `{"name":null,"labels":null,"on_finished":{"type":"text","input":null,"key":null}}`), 201, "")
	r.wants(r.do("POST", "/v1/groups", `{"on_finished":{"type":"none"}}`), 422, task.CodeUnknownType)
	r.wants(r.do("POST", "/v1/tasks", `{"type":"text","group":"01990f4e-7f3a-7c55-a1b2-0123456789ab"}`), 404, task.CodeNotFound)
	r.wants(r.do("POST", "/v1/batches", `{"group":{},"tasks":[{"type":"text","group":"01990f4e-7f3a-7c55-a1b2-0123456789ab"}]}`), 400, task.CodeInvalidRequest)
	_, err := r.client.Group(t.Context(), "01990f4e-7f3a-7c55-a1b2-0123456789ab")
	if task.CodeOf(err) != task.CodeNotFound {
		t.Errorf("no such group: %v", err)
	}
}
