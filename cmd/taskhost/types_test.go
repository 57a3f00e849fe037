package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

// put says what holds for a type.
func (s *server) put(name, body string) api.Type {
	s.t.Helper()
	return s.typeAfter("PUT", "/v1/types/"+name, body)
}

func (s *server) typeAfter(method, path, body string) (out api.Type) {
	s.t.Helper()
	status, data, err := s.call(method, path, body)
	if err != nil || status != http.StatusOK && status != http.StatusCreated || json.Unmarshal(data, &out) != nil {
		s.t.Fatalf("%s %s: %d %v %s", method, path, status, err, data)
	}
	return out
}

// backOff submits a task, and again a moment later for as long as the queue is full. It
// says how often that was so.
func (s *server) backOff(body string) (id string, refused int) {
	s.until("the task is accepted", func() bool {
		status, data, err := s.call("POST", "/v1/tasks", body)
		var t apiTask
		switch {
		case err == nil && status == http.StatusAccepted && json.Unmarshal(data, &t) == nil:
			id = t.ID
		case err == nil && status == http.StatusTooManyRequests && strings.Contains(string(data), `"queue_full"`):
			refused++
		case err == nil && status != http.StatusServiceUnavailable:
			s.t.Errorf("submit: %d %s", status, data)
		}
		return id != ""
	})
	return id, refused
}

// atOnce is how many attempts were under way at once at the most, by what the script wrote
// down itself, of tasks that group puts together.
func (s *server) atOnce(group func(task string) string) map[string]int {
	s.t.Helper()
	data, err := os.ReadFile(s.journal())
	if err != nil {
		s.t.Fatal(err)
	}
	now, most := map[string]int{}, map[string]int{}
	for line := range strings.Lines(string(data)) {
		p := strings.Fields(line)
		if len(p) != 4 {
			continue
		}
		g := group(p[0])
		if p[3] == "start" {
			now[g]++
		} else {
			now[g]--
		}
		most[g] = max(most[g], now[g])
	}
	return most
}

// 100 tasks against a queue limit of 64 and limits on concurrency, from clients that back
// off: every one is done, and neither those who look nor the script ever see more than the
// limits, on whichever executor.
func TestLimitsOnEveryExecutor(t *testing.T) {
	for _, c := range []struct {
		name, bin, blocks string
		workers           func(s *server) []*peer
	}{
		{"goroutines", os.Args[0], inProcess, nil},
		{"plugin process", "", ownProcess, nil},
		{"fleet", "", fleet(""), func(s *server) []*peer {
			return []*peer{s.worker("w1", "join = \""+s.data()+"\""), s.worker("w2", "join = \""+s.data()+"\"")}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, c.bin, c.blocks)
			var workers []*peer
			if c.workers != nil {
				workers = c.workers(s)
			}
			s.start()
			for _, w := range workers {
				w.start()
			}
			s.put("journal", `{"queue_limit":64,"concurrency":[{"max":6},{"max":5,"by":"owner"},{"max":2,"by":"label:tenant"}]}`)
			s.limitsHold(100)
			if err := s.stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// limitsHold submits so many tasks from 20 clients under a queue limit of 64, and 5 at
// once, 2 of a tenant.
func (s *server) limitsHold(n int) {
	t := s.t
	tenants := map[string]string{}
	var mu sync.Mutex
	var clients sync.WaitGroup
	refused := 0
	for client := range 20 {
		clients.Go(func() {
			for i := client; i < n; i += 20 {
				tenant := fmt.Sprint(i % 4)
				id, full := s.backOff(`{"type":"journal","input":{"seconds":0.05},"labels":{"tenant":"` + tenant + `"}}`)
				var typ api.Type
				if status, data, err := s.call("GET", "/v1/types/journal", ""); err == nil && status == http.StatusOK && json.Unmarshal(data, &typ) == nil {
					if waits := typ.Counts.Ready + typ.Counts.Waiting; waits > 64 || typ.Counts.Active > 5 {
						t.Errorf("%+v", typ.Counts)
					}
				}
				mu.Lock()
				tenants[id] = tenant
				refused += full
				mu.Unlock()
			}
		})
	}
	clients.Wait()
	s.settle()
	for id := range tenants {
		var got apiTask
		if s.get("/v1/tasks/"+id, &got); got.State != "succeeded" {
			t.Errorf("task %s is %s: %+v", id, got.State, got.Error)
		}
	}
	all := s.atOnce(func(string) string { return "all" })["all"]
	by := s.atOnce(func(id string) string { return tenants[id] })
	t.Logf("refused %d times; at once %d, by tenant %v", refused, all, by)
	if all > 5 || all < 2 {
		t.Errorf("%d attempts were under way at once, the limit is 5", all)
	}
	for tenant, most := range by {
		if most > 2 {
			t.Errorf("%d attempts of tenant %s were under way at once, the limit is 2", most, tenant)
		}
	}
}

// 200 clients at once against a limit of 64, where nothing runs: 64 are accepted.
func TestQueueLimitIsExact(t *testing.T) {
	s := newServer(t, "", localOnly)
	s.start()
	s.put("later", `{"queue_limit":64}`)
	var mu sync.Mutex
	codes := map[int]int{}
	var clients sync.WaitGroup
	for i := range 200 {
		clients.Go(func() {
			path, body := "/v1/tasks", `{"type":"later"}`
			switch i % 4 {
			case 1:
				path, body = "/v1/batches", `{"tasks":[{"type":"later"}]}`
			case 2:
				path, body = "/v1/batches", `{"group":{"name":"g"},"tasks":[{"type":"later"}]}`
			}
			status, _, err := s.call("POST", path, body)
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			codes[status]++
			mu.Unlock()
		})
	}
	clients.Wait()
	var page struct{ Tasks []apiTask }
	s.get("/v1/tasks?type=later&state=pending&limit=1000", &page)
	if codes[http.StatusAccepted] != 64 || codes[http.StatusTooManyRequests] != 136 || len(page.Tasks) != 64 {
		t.Errorf("answered %v, %d wait", codes, len(page.Tasks))
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// A type that is put before anything offers it has its tasks wait for a worker, over a
// crash of the host, and run when one comes.
func TestTypeBeforeAnyWorker(t *testing.T) {
	s := newServer(t, "", fleet(""))
	w := s.worker("w1", "join = \""+s.data()+"\"")
	s.start()
	s.put("journal", `{"description":"to come","deadline":"1h","executor":"fleet"}`)
	id := s.submit(`{"type":"journal","input":{"seconds":0.01}}`)
	waits := func() api.Task {
		var got api.Task
		s.get("/v1/tasks/"+id, &got)
		return got
	}
	if got := waits(); got.Waiting == nil || *got.Waiting != "executor" || got.Deadline == nil {
		t.Errorf("%+v", got)
	}
	s.kill()
	s.start()
	if got := waits(); got.Waiting == nil || *got.Waiting != "executor" {
		t.Errorf("%+v", got)
	}
	var typ api.Type
	if s.get("/v1/types/journal", &typ); typ.Description != "to come" || typ.Limits.Deadline != "1h0m0s" || typ.Executor == nil || *typ.Executor != "fleet" {
		t.Errorf("after a crash %+v", typ)
	}
	w.start()
	s.until("it is done", func() bool { return waits().State == task.Succeeded })
	if status, _, err := s.call("DELETE", "/v1/types/journal", ""); err != nil || status != http.StatusConflict {
		t.Errorf("deleted while it has tasks: %d %v", status, err)
	}
	if status, data, err := s.call("DELETE", "/v1/types/journal?force=true", ""); err != nil || status != http.StatusNoContent {
		t.Errorf("not deleted: %d %v %s", status, err, data)
	}
	if status, _, _ := s.call("GET", "/v1/tasks/"+id, ""); status != http.StatusNotFound {
		t.Errorf("its task is there still: %d", status)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// A pause of a type outlasts the host; what runs finishes.
func TestPauseOfATypeOutlastsTheHost(t *testing.T) {
	s := newServer(t, "", ownProcess+localOnly)
	s.start()
	runs := s.submit(`{"type":"journal","input":{"seconds":0.5}}`)
	s.until("it runs", func() bool { var got apiTask; s.get("/v1/tasks/"+runs, &got); return got.State == "running" })
	if typ := s.typeAfter("POST", "/v1/types/journal/pause", ""); !typ.Paused {
		t.Errorf("%+v", typ)
	}
	waits := s.submit(`{"type":"journal"}`)
	for range 2 {
		s.submit(`{"type":"noop"}`) // others go on
		s.until("all that may run is done", func() bool {
			var page struct{ Tasks []apiTask }
			s.get("/v1/tasks?state=pending&state=running&limit=10", &page)
			return len(page.Tasks) == 1 && page.Tasks[0].ID == waits
		})
		var got api.Task
		s.get("/v1/tasks/"+waits, &got)
		if *got.Waiting != "paused" || *got.WaitReason != `task type "journal" is paused` {
			t.Errorf("%+v", got)
		}
		s.kill()
		s.start()
	}
	var done apiTask
	if s.get("/v1/tasks/"+runs, &done); done.State != "succeeded" || done.Lost != 0 {
		t.Errorf("%+v", done)
	}
	s.typeAfter("POST", "/v1/types/journal/resume", "")
	s.settle()
	if s.get("/v1/tasks/"+waits, &done); done.State != "succeeded" {
		t.Errorf("%+v", done)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// A rate holds in the long run, and over a crash of the host.
func TestRate(t *testing.T) {
	s := newServer(t, os.Args[0], inProcess)
	s.start()
	began := func(ids []string) (at []time.Time) {
		s.settle()
		for _, id := range ids {
			var got api.Task
			s.get("/v1/tasks/"+id, &got)
			at = append(at, *got.StartedAt)
		}
		slices.SortFunc(at, time.Time.Compare)
		return at
	}
	s.put("journal", `{"rate":{"per_second":20,"burst":3}}`)
	var ids []string
	for range 15 {
		ids = append(ids, s.submit(`{"type":"journal"}`))
	}
	at := began(ids)
	for i := range at {
		if least := time.Duration(i-2) * 50 * time.Millisecond; at[i].Sub(at[0]) < least-time.Millisecond {
			t.Errorf("attempt %d began %s after the first, want %s", i, at[i].Sub(at[0]), least)
		}
	}
	s.put("journal", `{"rate":{"per_second":0.5}}`)
	ids = []string{s.submit(`{"type":"journal"}`), s.submit(`{"type":"journal"}`)}
	s.until("the first is done", func() bool { var got apiTask; s.get("/v1/tasks/"+ids[0], &got); return got.State == "succeeded" })
	s.kill()
	s.start()
	if at := began(ids); at[1].Sub(at[0]) < 1999*time.Millisecond {
		t.Errorf("the second began %s after the first, over a restart", at[1].Sub(at[0]))
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// The file goes before the API, and that before the executor; a reload puts a limit of the
// file in force.
func TestOriginsOfATypesValues(t *testing.T) {
	images := filepath.Join(t.TempDir(), "images")
	s := newServer(t, "", ownProcess+"executor \"images\" {\n  plugin = \"import\"\n  config {\n    images_dir = \""+images+"\"\n    timeout = \"7m\"\n  }\n}\n")
	s.start()
	s.until("the type is known", func() bool { st, _, err := s.call("GET", "/v1/types/import", ""); return err == nil && st == 200 })
	s.rewrite("task_type \"import\" {\n  max_attempts = 7\n  concurrency = [{ max = 3 }]\n}\n")
	s.says("config reloaded", 1)
	typ := s.put("import", `{"max_attempts":4,"max_lost":9,"concurrency":[{"max":5}],"description":"ours"}`)
	for field, want := range map[string]task.Origin{"max_attempts": "config", "concurrency": "config", "max_lost": "api", "description": "api", "input": "executor", "executor": "executor",
		"timeout": "executor", "retain": "default"} {
		if typ.Origin[field] != want {
			t.Errorf("%s is of %s, want %s", field, typ.Origin[field], want)
		}
	}
	if l := typ.Limits; l.MaxAttempts != 7 || l.MaxLost != 9 || len(l.Concurrency) != 1 || l.Concurrency[0].Max != 3 || typ.Description != "ours" {
		t.Errorf("%+v", typ)
	}
	s.rewrite("task_type \"journal\" {\n  concurrency = [{ max = 1 }]\n}\n")
	s.says("config reloaded", 2)
	var got api.Type
	if s.get("/v1/types/import", &got); got.Limits.MaxAttempts != 4 || got.Origin["concurrency"] != task.OriginAPI {
		t.Errorf("%+v", got)
	}
	for range 10 {
		s.submit(`{"type":"journal","input":{"seconds":0.02}}`)
	}
	s.settle()
	if most := s.atOnce(func(string) string { return "" })[""]; most != 1 {
		t.Errorf("%d at once", most)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}
