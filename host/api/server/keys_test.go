package server_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/client"
	"github.com/taskhost/taskhost/host/api/server"
	"github.com/taskhost/taskhost/host/task"
)

// TestEveryKeyIsFound: whatever bytes a key has, it leads to its task, by path and in a list.
func TestEveryKeyIsFound(t *testing.T) {
	r := newTestServer(t, server.Options{})
	for _, key := range []string{"/", "//", "a/b", "/a", "a/", ".", "..", "../x", "a//b", "%2F", "a?b#c", "a b", "a+b", "ü", "a&b=c;d", "\x00"} {
		submitted, err := r.client.Submit(t.Context(), api.TaskRequest{Type: "text", Key: key, Labels: map[string]string{key: key + "=" + key}}, client.SubmitOptions{})
		if strings.Contains(key, "=") { // which no label's name may have
			submitted, err = r.client.Submit(t.Context(), api.TaskRequest{Type: "text", Key: key}, client.SubmitOptions{})
		}
		if err != nil {
			t.Errorf("%q: %v", key, err)
			continue
		}
		if got, err := r.client.ByKey(t.Context(), "text", key); err != nil || got.ID != submitted.ID {
			t.Errorf("%q by its key: %q, %v", key, got.ID, err)
		}
		filter := task.Filter{Key: key, Types: []string{"text"}, Labels: submitted.Labels}
		if page, err := r.client.ListPage(t.Context(), filter); err != nil || len(page.Tasks) != 1 || page.Tasks[0].ID != submitted.ID {
			t.Errorf("%q in a list: %+v, %v", key, page, err)
		}
	}
	for _, path := range []string{"", "/", "/text", "/text/", "/text/no", "/text/a/b/c"} {
		if a := r.do("GET", "/v1/tasks/by-key"+path, ""); a.StatusCode != http.StatusNotFound && a.StatusCode != http.StatusBadRequest && a.StatusCode != http.StatusTemporaryRedirect {
			t.Errorf("by-key%s: %d %s", path, a.StatusCode, a.body)
		}
	}
}
