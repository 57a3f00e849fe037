package server_test

import (
	"strings"
	"testing"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/server"
	"github.com/taskhost/taskhost/host/identity"
	"github.com/taskhost/taskhost/host/task"
)

// Who sees the resources of all owners in a list reads each of them, too.
func TestResourcesOfOtherOwners(t *testing.T) {
	r := newTestServer(t, server.Options{})
	r.token("ops", identity.Admin)
	ops, ann, bob := "Authorization: Bearer "+r.token("ops", identity.Operator), "Authorization: Bearer "+r.token("ann", identity.Member), "Authorization: Bearer "+r.token("bob", identity.Member)
	r.wants(r.do("POST", "/v1/executors/x/pause", "", ops), 200, "")
	for _, who := range []string{ann, bob} {
		r.wants(r.do("POST", "/v1/tasks", `{"type":"text","exclusive":["disk"]}`, who), 202, "")
	}
	r.wants(r.do("POST", "/v1/tasks", `{"type":"text","exclusive":["net"]}`, ann), 202, "")
	for _, c := range []struct{ path, who, owner string }{
		{"disk", ann, "ann"}, {"disk?owner=ann", ann, "ann"}, {"disk?owner=bob", ann, ""}, {"net", bob, ""}, {"net?owner=ann", bob, ""},
		{"net", ops, "ann"}, {"net?owner=ann", ops, "ann"}, {"net?owner=bob", ops, ""}, {"disk?owner=bob", ops, "bob"}, {"none", ops, ""},
	} {
		a := r.do("GET", "/v1/resources/"+c.path, "", c.who)
		if c.owner == "" {
			r.wants(a, 404, task.CodeNotFound)
			continue
		}
		r.wants(a, 200, "")
		var got api.Resource
		a.json(t, &got)
		if got.Owner != c.owner || got.Held != 1 {
			t.Errorf("%s: %s", c.path, a.body)
		}
	}
	a := r.do("GET", "/v1/resources/disk", "", ops)
	r.wants(a, 409, task.CodeConflict)
	if !strings.Contains(string(a.body), "ann, bob") {
		t.Errorf("of two owners: %s", a.body)
	}
}

func TestResourcesOverREST(t *testing.T) {
	r := newTestServer(t, server.Options{})
	first := r.submit(`{"type":"gated","exclusive":["disk/1"],"shared":["net"]}`)
	r.started()
	second := r.submit(`{"type":"gated","exclusive":["disk/1"]}`)
	var got api.Task
	r.do("GET", "/v1/tasks/"+second, "").json(t, &got)
	if got.Waiting == nil || *got.Waiting != "resource" || len(got.BlockedBy) != 1 || got.BlockedBy[0] != first || len(got.Exclusive) != 1 {
		t.Errorf("the second waits: %+v", got)
	}
	res, err := r.client.Resource(t.Context(), "disk/1", "")
	if err != nil || len(res.Holders) != 1 || res.Holders[0].Task != first || res.Holders[0].Mode != "exclusive" || len(res.Queue) != 1 || res.Queue[0].Task != second {
		t.Errorf("the resource: %+v, %v", res, err)
	}
	page, err := r.client.ResourcesPage(t.Context(), "", 1)
	if err != nil || len(page.Resources) != 1 || page.Resources[0].Name != "disk/1" || page.Next == nil {
		t.Fatalf("the first page: %+v, %v", page, err)
	}
	if page, err = r.client.ResourcesPage(t.Context(), *page.Next, 1); err != nil || len(page.Resources) != 1 || page.Resources[0].Name != "net" || page.Next != nil {
		t.Fatalf("the second page: %+v, %v", page, err)
	}
	r.gate <- struct{}{}
	r.started()
	r.gate <- struct{}{}
	r.final(second)
	r.wants(r.do("GET", "/v1/resources/net", ""), 404, task.CodeNotFound)
	for body, pointer := range map[string]string{
		`{"type":"text","exclusive":"a"}`:                  "/exclusive",
		`{"type":"text","exclusive":[""]}`:                 "/exclusive",
		`{"type":"text","exclusive":["a","a"]}`:            "/exclusive",
		`{"type":"text","exclusive":["a"],"shared":["a"]}`: "/exclusive",
		`{"type":"text","shared":[1]}`:                     "/shared/0",
	} {
		a := r.do("POST", "/v1/tasks", body)
		if a.StatusCode != 400 || !strings.Contains(string(a.body), `"pointer":"`+pointer+`"`) {
			t.Errorf("%s: %d %s", body, a.StatusCode, a.body)
		}
	}
}
