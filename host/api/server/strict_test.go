package server_test

import (
	"strings"
	"testing"

	"github.com/taskhost/taskhost/host/api/server"
	"github.com/taskhost/taskhost/host/task"
)

// Whatever a route does, it does not do it where the query has what it does not declare, or
// cannot be read: the service here fails whoever asks it.
func TestNoRouteTakesAnUndeclaredQuery(t *testing.T) {
	r := serveAs(t, broken{}, server.Options{})
	eachOperation(theContract(), func(method, path string, _ map[string]any) {
		target, body := sample(method, path)
		a := r.do(method, target+"?nonsense=1", body)
		r.wants(a, 400, task.CodeInvalidRequest)
		if !strings.Contains(string(a.body), `"pointer":"/nonsense"`) {
			t.Errorf("%s %s: %s", method, target, a.body)
		}
		r.wants(r.do(method, target+"?a;b", body), 400, task.CodeInvalidRequest)
	})
}

// An empty filter is no filter, and refused: what is empty by mistake would show everything.
func TestEmptyFiltersAreRefused(t *testing.T) {
	r := serveAs(t, broken{}, server.Options{})
	n := 0
	eachOperation(theContract(), func(method, path string, op map[string]any) {
		params, _ := op["parameters"].([]any)
		for _, p := range params {
			p := object(p)
			name := p["name"].(string)
			if schema := object(p["schema"]); p["in"] != "query" || schema["minLength"] == nil && schema["format"] == nil || name == "cursor" {
				continue
			}
			n++
			target, body := sample(method, path)
			r.wants(r.do(method, target+"?"+name+"=", body), 400, task.CodeInvalidRequest)
		}
	})
	if n < 20 {
		t.Errorf("%d parameters select", n)
	}
}

// What can be no id is nothing's, and answered as an id that nothing has.
func TestPathsWithoutAnID(t *testing.T) {
	r := serveAs(t, broken{}, server.Options{})
	n := 0
	eachOperation(theContract(), func(method, path string, _ map[string]any) {
		if !strings.Contains(path, "{id}") {
			return
		}
		n++
		_, body := sample(method, path)
		for _, id := range []string{"nope", "g1990f4e-7f3a-7c55-a1b2-0123456789ab", "01990f4e-7f3a-7c55-a1b2-0123456789ab0", "-"} {
			r.wants(r.do(method, strings.Replace(path, "{id}", id, 1), body), 404, task.CodeNotFound)
		}
	})
	if n < 20 {
		t.Errorf("%d operations have an id in their path", n)
	}
	r.wants(r.do("POST", "/v1/board/claims/nope/renew", ""), 409, task.CodeStaleClaim)
	r.wants(r.do("GET", "/v1/attempts/nope/input", ""), 404, task.CodeNotFound)
}
