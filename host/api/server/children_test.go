package server_test

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/client"
	"github.com/taskhost/taskhost/host/api/server"
	"github.com/taskhost/taskhost/host/identity"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// gatedTask submits a task that runs until it is let go, and gives its id and its attempt's token.
func (r *testServer) gatedTask(header ...string) (id, token string) {
	r.t.Helper()
	var parent api.Task
	r.do("POST", "/v1/tasks", `{"type":"gated"}`, header...).json(r.t, &parent)
	r.started()
	if err := openBeneath(r.t, r).QueryRow(`SELECT lower(hex(token)) FROM task WHERE token IS NOT NULL`).Scan(&token); err != nil {
		r.t.Fatal(err)
	}
	return parent.ID, token
}

// A running attempt submits children of its task under its token, each name once.
func TestSpawnOverREST(t *testing.T) {
	r := newTestServer(t, server.Options{})
	parent, token := r.gatedTask()
	bearer := "Authorization: Bearer " + token
	child := `{"type":"text","parent":"` + parent + `","name":"a"}`
	a := r.do("POST", "/v1/tasks", child, bearer, "Prefer: wait=20")
	r.wants(a, http.StatusOK, "") // final within the wait
	var first, again api.Task
	if a.json(t, &first); first.Parent == nil || *first.Parent != parent || first.Name == nil || *first.Name != "a" || first.Step != nil || first.State != task.Succeeded {
		t.Errorf("the child is %s", a.body)
	}
	a = r.do("POST", "/v1/tasks", child, bearer)
	r.wants(a, http.StatusAccepted, "")
	if a.json(t, &again); again.ID != first.ID || a.Header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("the child of that name is %s, and was %s", again.ID, first.ID)
	}
	a = r.do("POST", "/v1/batches", `{"tasks":[`+child+`,{"type":"text","parent":"`+parent+`"},{"type":"text","parent":"`+parent+`","name":"b"}]}`, bearer)
	r.wants(a, http.StatusAccepted, "")
	var batch api.BatchAnswer
	if a.json(t, &batch); len(batch.Tasks) != 3 || batch.Tasks[0].ID != first.ID || a.Header.Get("Idempotency-Replayed") != "" {
		t.Errorf("a batch with one that is there: %s", a.body)
	}
	if listed := r.listed("?parent=" + parent); len(listed) != 3 {
		t.Errorf("%d children are listed", len(listed))
	}
	other := r.submit(`{"type":"text"}`)
	for _, c := range []struct {
		body, header string
		status       int
		code         task.Code
	}{
		{child, "", 401, task.CodeUnauthenticated},
		{child, "Authorization: Bearer " + someToken, 401, task.CodeUnauthenticated},
		{child, "Authorization: Bearer secret", 401, task.CodeUnauthenticated},
		{`{"type":"text","parent":"` + other + `"}`, bearer, 403, task.CodeForbidden},
		{`{"type":"echo","parent":"` + parent + `","name":"a"}`, bearer, 409, task.CodeConflict},
		{`{"type":"text","parent":"` + parent + `","name":"` + strings.Repeat("n", 256) + `"}`, bearer, 400, task.CodeInvalidRequest},
		{`{"type":"text","name":"a"}`, "", 400, task.CodeInvalidRequest},
		{`{"type":"text"}`, bearer, 403, task.CodeForbidden},
		{`{"type":"text","parent":"x"}`, bearer, 400, task.CodeInvalidRequest},
	} {
		header := []string{}
		if c.header != "" {
			header = append(header, c.header)
		}
		r.wants(r.do("POST", "/v1/tasks", c.body, header...), c.status, c.code)
	}
	r.wants(r.do("POST", "/v1/batches", `{"group":{},"tasks":[`+child+`]}`, bearer), 400, task.CodeInvalidRequest)
	r.wants(r.do("POST", "/v1/batches", `{"tasks":[`+child+`,{"type":"text"}]}`, bearer), 403, task.CodeForbidden)
	r.wants(r.do("POST", "/v1/groups", `{"on_finished":`+child+`}`), 400, task.CodeInvalidRequest)
	r.wants(r.do("POST", "/v1/schedules", `{"name":"s","every":"1h","task":`+child+`}`), 400, task.CodeInvalidRequest)

	told := r.do("GET", "/v1/attempts/"+token+"/children", "")
	children, err := sdk.DecodeChildren(told.body)
	if err != nil || len(children) != 3 || children[0].Name != "a" || string(children[0].Result.Data) != "<15.0>" {
		t.Errorf("the attempt is told of %s, %v", told.body, err)
	}
	r.wants(r.do("DELETE", "/v1/tasks/"+first.ID, ""), 409, task.CodeNotFinal)
	r.gate <- struct{}{}
	r.final(parent)
	r.wants(r.do("POST", "/v1/tasks", child, bearer), 401, task.CodeUnauthenticated)

	tree, err := r.client.Tree(t.Context(), parent, 0)
	if err != nil || tree.Task.ID != parent || len(tree.Children) != 3 || tree.More || tree.Children[0].Task.ID != first.ID || len(tree.Children[0].Children) != 0 {
		t.Errorf("the tree is %+v, %v", tree, err)
	}
	if tree, err = r.client.Tree(t.Context(), parent[:30], 2); err != nil || len(tree.Children) != 1 || !tree.More {
		t.Errorf("two of it are %+v, %v", tree, err)
	}
	r.wants(r.do("GET", "/v1/tasks/"+parent+"/tree?limit=0", ""), 400, task.CodeInvalidRequest)
	r.wants(r.do("DELETE", "/v1/tasks/"+parent, ""), 204, "")
	if left := r.listed("?parent=" + parent); len(left) != 0 {
		t.Errorf("%d children are left", len(left))
	}
}

// Where callers have tokens, that of an attempt is one too, for children of its task alone.
func TestSpawnAmongTokens(t *testing.T) {
	r := newTestServer(t, server.Options{})
	r.token("ops", identity.Admin)
	ann, bob := "Authorization: Bearer "+r.token("ann", identity.Member), "Authorization: Bearer "+r.token("bob", identity.Member)
	parent, token := r.gatedTask(ann)
	spawner := r.clientOf(token)
	c, err := spawner.Submit(t.Context(), api.TaskRequest{Type: "text", Parent: parent, Name: "a"}, client.SubmitOptions{IdempotencyKey: "k"})
	if err != nil || c.Owner != "ann" || c.Parent == nil || *c.Parent != parent {
		t.Fatalf("%+v, %v", c, err)
	}
	if again, err := spawner.Submit(t.Context(), api.TaskRequest{Type: "text", Parent: parent, Name: "a"}, client.SubmitOptions{IdempotencyKey: "k"}); err != nil || again.ID != c.ID {
		t.Errorf("%+v, %v", again, err)
	}
	_, err = spawner.Submit(t.Context(), api.TaskRequest{Type: "text"}, client.SubmitOptions{})
	if task.CodeOf(err) != task.CodeForbidden || !strings.Contains(err.Error(), "parent") {
		t.Errorf("a task of no parent: %v", err)
	}
	if _, err := spawner.SubmitGroup(t.Context(), api.BatchGroup{}, []api.TaskRequest{{Type: "text"}}, ""); task.CodeOf(err) != task.CodeForbidden {
		t.Errorf("a group: %v", err)
	}
	if _, err := spawner.Get(t.Context(), parent); task.CodeOf(err) != task.CodeUnauthenticated {
		t.Errorf("a look at the parent: %v", err)
	}
	child, err := json.Marshal(api.TaskRequest{Type: "text", Parent: parent})
	if err != nil {
		t.Fatal(err)
	}
	r.wants(r.do("POST", "/v1/tasks", string(child), ann), 401, task.CodeUnauthenticated)
	r.wants(r.do("POST", "/v1/tasks", string(child), "Authorization: Bearer "+someToken), 401, task.CodeUnauthenticated)
	r.wants(r.do("GET", "/v1/tasks/"+parent+"/tree", "", bob), 404, task.CodeNotFound)
	r.wants(r.do("GET", "/v1/tasks/"+parent+"/tree", "", ann), 200, "")
	r.gate <- struct{}{}
}
