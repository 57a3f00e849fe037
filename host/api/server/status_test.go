package server_test

import (
	"strings"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/api/client"
	"github.com/taskhost/taskhost/host/api/server"
	"github.com/taskhost/taskhost/host/identity"
	"github.com/taskhost/taskhost/host/task"
)

// backlogOf is the part of a status that tells of what waits of a type, by why.
func backlogOf(s api.Status, taskType string) map[string]int64 {
	out := map[string]int64{}
	for _, b := range s.Backlog {
		if b.Type == taskType {
			why := b.Waiting
			if b.Reason != nil {
				why += ": " + *b.Reason
			}
			out[why] += b.Tasks
		}
	}
	return out
}

// statusWith is the status once it is so: slots come back a moment after their tasks' ends.
func (r *testServer) statusWith(what string, is func(api.Status) bool) api.Status {
	r.t.Helper()
	for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		s, err := r.client.Status(r.t.Context())
		if err != nil {
			r.t.Fatal(err)
		}
		if is(s) {
			return s
		}
		if time.Now().After(end) {
			r.t.Fatalf("still not so: %s\n%+v", what, s)
		}
	}
}

func TestStatus(t *testing.T) {
	r := newTestServer(t, server.Options{Version: "1.2.3"})
	running := r.submit(`{"type":"gated"}`)
	r.started()
	first := r.submit(`{"type":"flaky","input":[1]}`)
	r.final(first)
	second := r.submit(`{"type":"flaky"}`)
	r.final(second)
	r.wants(r.do("POST", "/v1/executors/x/pause", ""), 200, "")
	r.submit(`{"type":"text"}`)
	r.submit(`{"type":"text"}`)
	r.submit(`{"type":"text","run_at":"2999-01-01T00:00:00Z"}`)
	s := r.statusWith("one slot is used, and two have failed", func(s api.Status) bool { return s.Executors[0].Slots.Used == 1 && len(s.Failed) == 2 })
	if s.Status != api.StatusUnavailable || s.Reason == nil || !strings.Contains(*s.Reason, "paused") || s.Version != "1.2.3" || time.Since(s.StartedAt) > time.Hour || s.StartedAt.After(time.Now()) {
		t.Errorf("host: %+v", s)
	}
	if s.Store.State != api.StoreOK || s.Store.Place == nil || !strings.HasPrefix(*s.Store.Place, r.dir) || s.Store.Bytes <= 0 {
		t.Errorf("store: %+v", s.Store)
	}
	if s.Tasks != (api.Counts{Waiting: 3, Active: 1}) {
		t.Errorf("tasks: %+v", s.Tasks)
	}
	if got := backlogOf(s, "text"); len(got) != 2 || got[`executor: executor "x" is paused: paused by an operator`] != 2 || got["scheduled"] != 1 {
		t.Errorf("backlog: %v", got)
	}
	for _, b := range s.Backlog {
		if known := b.Oldest != nil && b.OldestAt != nil; known != (b.Waiting == "executor") {
			t.Errorf("the oldest of what waits is %v: %+v", b.Oldest, b)
		}
	}
	if len(s.Executors) != 1 || s.Executors[0].State != task.ExecutorPaused || s.Executors[0].Reason == nil {
		t.Errorf("executors: %+v", s.Executors)
	}
	if len(s.Failed) != 2 || s.Failed[0].ID != second || s.Failed[1].ID != first || s.Failed[1].Error.Message != "it broke" || s.Failed[1].Input != nil {
		t.Errorf("failed: %+v", s.Failed)
	}

	// What failed and is retried or gone, is not failed any more.
	if err := r.client.Delete(t.Context(), second); err != nil {
		t.Fatal(err)
	}
	if _, err := r.client.Retry(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	if s, err := r.client.Status(t.Context()); err != nil || len(s.Failed) != 0 {
		t.Errorf("failed: %+v, %v", s.Failed, err)
	}
	r.wants(r.do("POST", "/v1/executors/x/resume", ""), 200, "")
	r.gate <- struct{}{}
	r.final(running)
	if s, err := r.client.Status(t.Context()); err != nil || s.Status != api.StatusReady || s.Reason != nil {
		t.Errorf("resumed: %+v, %v", s, err)
	}
}

// Why what is queued does not run: the slots are in use, the workers are.
func TestStatusOfABusyHost(t *testing.T) {
	r := newTestServer(t, server.Options{})
	for range 53 {
		r.submit(`{"type":"gated"}`)
	}
	r.statusWith("three wait for a slot", func(s api.Status) bool {
		return backlogOf(s, "gated")[`queued: all 50 slots of executor "x" are in use`] == 3 && s.Tasks == api.Counts{Ready: 3, Active: 50}
	})
	fleet := &testServer{t: t, log: &syncBuffer{}}
	fleet.serve(&workers{drained: map[string]bool{}}, server.Options{})
	for range 12 { // two workers with four slots each, and a quarter more
		fleet.submit(`{"type":"import","route":{"zone":"x"}}`)
	}
	fleet.submit(`{"type":"import","route":{"zone":"y"}}`)
	fleet.statusWith("one waits for a worker that is free, and one for a worker with its label", func(s api.Status) bool {
		got := backlogOf(s, "import")
		return got[`queued: the workers of executor "x" that can run them are busy`] == 1 && got["dispatched"] == 11 && len(got) == 3 && len(s.Executors[0].Nodes) == 3
	})
}

// Who is no admin sees the host, and of tasks their own.
func TestStatusIsScoped(t *testing.T) {
	r := newTestServer(t, server.Options{})
	r.client = r.clientOf(r.token("ann", identity.Admin))
	bob := r.clientOf(r.token("bob", identity.Member))
	failed, err := r.client.Submit(t.Context(), api.TaskRequest{Type: "flaky"}, client.SubmitOptions{})
	if err != nil {
		t.Fatal(err)
	}
	r.final(failed.ID)
	later := time.Now().Add(time.Hour)
	for _, c := range []*client.Client{r.client, bob, bob} {
		if _, err := c.Submit(t.Context(), api.TaskRequest{Type: "text", RunAt: &later}, client.SubmitOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	all, err := r.client.Status(t.Context())
	if err != nil || len(all.Failed) != 1 || all.Tasks.Waiting != 3 {
		t.Errorf("an admin: %+v, %v", all, err)
	}
	own, err := bob.Status(t.Context())
	if err != nil || len(own.Failed) != 0 || own.Tasks.Waiting != 2 || own.Store.Place != nil || len(own.Executors) != 1 {
		t.Errorf("bob: %+v, %v", own, err)
	}
}
