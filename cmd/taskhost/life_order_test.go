package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

// TestResourcesInOrder: first come, first served, over types and executors, a process and a
// fleet among them, also if the host is killed in between.
func TestResourcesInOrder(t *testing.T) {
	s := newServer(t, "", ownProcess+localOnly+fleet(""))
	s.startFleet()
	t1 := s.submit(`{"type":"journal","executor":"own","input":{"seconds":1},"exclusive":["A"],"shared":["B"]}`)
	t2 := s.submit(`{"type":"sleep","executor":"local","input":{"seconds":0.3},"shared":["A"]}`)
	t3 := s.submit(`{"type":"journal","executor":"fleet","input":{"seconds":0.3},"shared":["A"]}`)
	t4 := s.submit(`{"type":"sleep","executor":"fleet","input":{"seconds":0.1},"exclusive":["A"]}`)
	t5 := s.submit(`{"type":"noop","executor":"local","exclusive":["B"]}`)
	s.until("the first runs", func() bool { return s.task(t1).State == task.Running })
	for _, id := range []string{t2, t3, t5} {
		if got := s.task(id); got.Waiting == nil || *got.Waiting != "resource" || len(got.BlockedBy) != 1 || got.BlockedBy[0] != t1 {
			t.Errorf("%s waits for %v, blocked by %v, want by %s", id, got.Waiting, got.BlockedBy, t1)
		}
	}
	var r api.Resource
	s.get("/v1/resources/A", &r)
	order := ""
	for _, c := range r.Queue {
		order += c.Task + " " + c.Mode + "\n"
	}
	if want := t2 + " shared\n" + t3 + " shared\n" + t4 + " exclusive\n"; order != want || len(r.Holders) != 1 || r.Holders[0].Task != t1 || r.Holders[0].Mode != "exclusive" {
		t.Errorf("resource A is held by %+v and waited for by\n%swant\n%s", r.Holders, order, want)
	}
	s.kill()
	s.start()
	done := map[string]api.Task{}
	for _, id := range []string{t1, t2, t3, t4, t5} {
		if done[id] = s.final(id); done[id].State != task.Succeeded {
			t.Fatalf("%s is %s: %+v", id, done[id].State, done[id].Error)
		}
	}
	after := func(later, earlier string) {
		t.Helper()
		if began, ended := *done[later].StartedAt, *done[earlier].FinishedAt; began.Before(ended) {
			t.Errorf("%s began at %s, before %s had ended at %s", later, began, earlier, ended)
		}
	}
	for _, id := range []string{t2, t3, t5} {
		after(id, t1)
	}
	after(t4, t2)
	after(t4, t3)
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// TestActionsOnAllThatMatch: each action over many tasks, more than a page has, with its
// count before, its progress, a host that is killed in between, and its own cancel.
func TestActionsOnAllThatMatch(t *testing.T) {
	many := 2500
	if os.Getenv("TASKHOST_SOAK") != "" {
		many = 100_000
	}
	s := newServer(t, "", localOnly+"executor \"other\" { plugin = \"eventlet-style\" }\n")
	s.start()
	batch := `{"tasks":[` + strings.TrimSuffix(strings.Repeat(`{"type":"noop","run_at":"2999-01-01T00:00:00Z"},`, 500), ",") + `]}`
	s.submit(`{"type":"noop"}`)
	for range many / 500 {
		s.want("POST", "/v1/batches", batch, http.StatusAccepted, "")
	}
	count := func(query string) (n int) {
		t.Helper()
		s.eachPage("/v1/tasks?type=noop&limit=1000&"+query, func(path string) *string {
			var page api.TaskList
			s.get(path, &page)
			n += len(page.Tasks)
			return page.Next
		})
		return n
	}
	act := func(body string) string { return s.post("/v1/actions", body) }
	done := func(id string, want int) {
		t.Helper()
		got := s.final(id)
		if said := fmt.Sprintf(`{"done":%d,"error":"","failed":0}`, want); got.State != task.Succeeded || string(got.Result) != said {
			t.Errorf("the action is %s, %s, want %s: %+v", got.State, got.Result, said, got.Error)
		}
		if got.Progress == nil || got.Progress.Done != int64(want) || got.Progress.Total != int64(want) {
			t.Errorf("the action's progress is %+v, want %d", got.Progress, want)
		}
	}
	if data := s.want("POST", "/v1/actions", `{"action":"cancel","filter":{"type":["noop"]},"dry_run":true}`, http.StatusOK, ""); strings.TrimSpace(string(data)) != fmt.Sprintf(`{"matched":%d}`, many) {
		t.Errorf("a dry run says %s", data)
	}
	done(act(`{"action":"priority","to":7,"filter":{"type":["noop"]}}`), many)
	done(act(`{"action":"move","to":"other","filter":{"type":["noop"]}}`), many)
	if n := count("executor=other&state=pending"); n != many {
		t.Errorf("%d were moved", n)
	}
	done(act(`{"action":"pause","filter":{"type":["noop"]}}`), many)
	var now api.Status
	s.get("/v1/status", &now)
	if len(now.Backlog) != 1 || now.Backlog[0].Waiting != "paused" || now.Backlog[0].Tasks != int64(many) {
		t.Errorf("the backlog is %+v", now.Backlog)
	}

	// Canceled, an action stops: what it has done stays.
	stopped := act(`{"action":"resume","filter":{"type":["noop"]}}`)
	s.until("it is under way", func() bool { got := s.task(stopped); return got.Progress != nil || got.State.Final() })
	status, _, err := s.call("POST", "/v1/tasks/"+stopped+"/cancel", "")
	got := s.final(stopped)
	if err != nil || got.State != task.Canceled && got.State != task.Succeeded { // it may have done all by then
		t.Errorf("the action's cancel is answered %d, %v, and it is %s", status, err, got.State)
	}
	s.get("/v1/status", &now)
	resumed := int64(0)
	for _, b := range now.Backlog {
		if b.Waiting == "scheduled" {
			resumed = b.Tasks
		}
	}
	if got.State == task.Canceled && (resumed == 0 || resumed == int64(many)) {
		t.Errorf("%d of %d are resumed by an action that was stopped", resumed, many)
	}

	// A host that is killed goes on with it.
	last := act(`{"action":"cancel","filter":{"type":["noop"]}}`)
	s.until("it is under way", func() bool { got := s.task(last); return got.Progress != nil || got.State.Final() })
	s.kill()
	s.start()
	if got := s.final(last); got.State != task.Succeeded {
		t.Errorf("the action is %s: %+v", got.State, got.Error)
	}
	if n := count("state=canceled"); n != many {
		t.Errorf("%d are canceled, want %d", n, many)
	}
	done(act(`{"action":"delete","filter":{"type":["noop"],"state":["canceled"]}}`), many)
	if n := count(""); n != 1 {
		t.Errorf("%d tasks are left", n)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// TestPausedTaskRests: a task that runs rests where its script agrees, on every executor and
// over a restart of the host, and goes on when it is resumed.
func TestPausedTaskRests(t *testing.T) {
	onEachExecutor(t, "", func(t *testing.T, s *server) {
		id := s.submit(`{"type":"journal","input":{"seconds":600}}`)
		s.until("it runs", func() bool { return s.task(id).State == task.Running })
		s.want("POST", "/v1/tasks/"+id+"/pause?wait=1m", "", http.StatusOK, "")
		rests := func() bool {
			got := s.task(id)
			return got.State == task.Pending && got.Waiting != nil && *got.Waiting == "paused"
		}
		s.until("it rests", rests)
		s.kill()
		s.start()
		s.known()
		if !rests() {
			t.Errorf("after a restart it is %s", s.task(id).State)
		}
		s.want("POST", "/v1/tasks/"+id+"/resume", "", http.StatusOK, "")
		s.until("it runs again", func() bool { return s.task(id).State == task.Running })
		if got := s.task(id); got.Failures != 0 || got.Lost != 0 {
			t.Errorf("the pause cost %d failures and %d lost", got.Failures, got.Lost)
		}
		s.want("POST", "/v1/tasks/"+id+"/cancel", "", http.StatusAccepted, "")
		if got := s.final(id); got.State != task.Canceled {
			t.Errorf("it is %s", got.State)
		}
	})
}
