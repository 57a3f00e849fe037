package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

// onEachExecutor runs a test on hosts whose type journal is run by goroutines, by a plugin
// process, and by a fleet with one worker. more is more of the config.
func onEachExecutor(t *testing.T, more string, test func(t *testing.T, s *server)) {
	for _, c := range []struct{ name, bin, blocks string }{{"goroutines", os.Args[0], inProcess}, {"plugin process", "", ownProcess}} {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, c.bin, c.blocks+more)
			s.start()
			s.known()
			test(t, s)
			if err := s.stop(); err != nil {
				t.Error(err)
			}
		})
	}
	t.Run("fleet", func(t *testing.T) {
		s := newServer(t, "", fleet("")+more)
		w := s.worker("w1", "join = \""+s.data()+"\"")
		s.start()
		w.start()
		s.known()
		test(t, s)
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
}

// want sends a request and wants that status and, of an error, that code.
func (s *server) want(method, path, body string, status int, code task.Code) []byte {
	s.t.Helper()
	got, data, err := s.call(method, path, body)
	var p api.Problem
	if status >= 400 {
		_ = json.Unmarshal(data, &p)
	}
	if err != nil || got != status || p.Code != code {
		s.t.Errorf("%s %s: %d %s, %v, want %d %s\n%s", method, path, got, p.Code, err, status, code, data)
	}
	return data
}

func (s *server) task(id string) (t api.Task) {
	s.t.Helper()
	s.get("/v1/tasks/"+id, &t)
	return t
}

func (s *server) group(id string) (g api.Group) {
	s.t.Helper()
	s.get("/v1/groups/"+id, &g)
	return g
}

// final waits until a task is final.
func (s *server) final(id string) (t api.Task) {
	s.t.Helper()
	s.until("task "+id+" is final", func() bool {
		t = s.task(id)
		return t.State.Final()
	})
	return t
}

// states are the states of a task's history.
func (s *server) states(id string) string {
	s.t.Helper()
	var h api.History
	s.get("/v1/tasks/"+id+"/history", &h)
	var states []string
	for _, e := range h.Events {
		states = append(states, e.To.String())
	}
	return strings.Join(states, " ")
}

// TestShowSequenceSum is the demo of a classic task tracker: a type with its limits, a task
// with a name, its result, its history, its end.
func TestShowSequenceSum(t *testing.T) {
	const limits = "task_type \"sum\" {\n  timeout = \"60s\"\n  retain = \"600s\"\n  max_attempts = 4\n  max_lost = 3\n}\n"
	for _, where := range []string{"host", "fleet"} {
		t.Run(where, func(t *testing.T) {
			blocks := localOnly
			if where == "fleet" {
				blocks = fleet("")
			}
			s := newServer(t, "", blocks+limits)
			if where == "fleet" {
				w := s.worker("w1", "join = \""+s.data()+"\"")
				defer w.kill()
				s.start()
				w.start()
			} else {
				s.start()
			}
			s.knownType("sum")
			id := s.submit(`{"type":"sum","key":"Task001","input":[1,2,3,4,5]}`)
			var typ api.Type
			s.get("/v1/types/sum", &typ)
			if typ.Limits.Timeout != "1m0s" || typ.Limits.Retain != "10m0s" || typ.Limits.MaxLost != 3 {
				t.Errorf("the type's limits are %+v", typ.Limits)
			}
			s.want("POST", "/v1/tasks", `{"type":"sum","key":"Task001","input":[1]}`, http.StatusConflict, task.CodeConflict)
			var got api.Task
			s.until("the task is done", func() bool {
				s.get("/v1/tasks/by-key/sum/Task001", &got)
				return got.State == task.Succeeded
			})
			if got.ID != id || got.Result == nil || string(got.Result) != `"15.0"` || !strings.HasPrefix(*got.ResultType, "text/plain") || got.ExpiresAt.Sub(*got.FinishedAt) != 600*time.Second {
				t.Errorf("the task is %+v", got)
			}
			if data := s.want("GET", "/v1/tasks/"+id+"/result", "", 200, ""); string(data) != "15.0" {
				t.Errorf("the result is %q", data)
			}
			if h := s.states(id); !strings.HasSuffix(h, "running succeeded") {
				t.Errorf("its history is %q", h)
			}
			s.want("DELETE", "/v1/tasks/"+id, "", http.StatusNoContent, "")
			s.want("GET", "/v1/tasks/by-key/sum/Task001", "", http.StatusNotFound, task.CodeNotFound)
			if err := s.stop(); err != nil {
				t.Error(err)
			}
		})
	}
}

// A worker that dies three times in the midst of a task that may be lost twice: each time
// it is on record, and then the task has failed.
func TestShowWorkerLostThreeTimes(t *testing.T) {
	s := newServer(t, "", fleetWith("2s", ""))
	w := s.worker("w1", "join = \""+s.data()+"\"")
	s.start()
	w.start()
	s.known()
	id := s.submit(`{"type":"journal","input":{"seconds":600},"max_lost":2}`)
	for lost := range 3 {
		s.until(fmt.Sprintf("it runs, after %d were lost", lost), func() bool {
			got := s.task(id)
			return got.State == task.Running && got.Lost == lost && len(s.starts()) == lost+1
		})
		w.kill()
		w.start()
	}
	got := s.final(id)
	if got.State != task.Failed || got.Error == nil || got.Error.Code != "executor_lost" || got.Lost != 3 || got.Failures != 0 || len(s.starts()) != 3 {
		t.Errorf("%s with %+v after %d lost and %d failures", got.State, got.Error, got.Lost, got.Failures)
	}
	if h := s.states(id); strings.Count(h, "running") != 3 || !strings.HasSuffix(h, "failed") {
		t.Errorf("its history is %q", h)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// What Pulp's own tests ask of a task that is canceled or deleted, and of a group of tasks.
func TestShowPulpsCases(t *testing.T) {
	onEachExecutor(t, "", func(t *testing.T, s *server) {
		later := s.submit(`{"type":"journal","run_at":"2999-01-01T00:00:00Z"}`)
		s.want("DELETE", "/v1/tasks/"+later, "", http.StatusConflict, task.CodeNotFinal)
		s.want("POST", "/v1/tasks/"+later+"/cancel", "", http.StatusOK, "")
		if got := s.task(later); got.State != task.Canceled || got.StartedAt != nil || got.FinishedAt == nil || got.Attempt != 0 {
			t.Errorf("canceled while it waited, it is %s, started %v, finished %v", got.State, got.StartedAt, got.FinishedAt)
		}
		done := s.submit(`{"type":"journal"}`)
		if got := s.final(done); got.State != task.Succeeded {
			t.Fatalf("%s: %+v", got.State, got.Error)
		}
		s.want("POST", "/v1/tasks/"+done+"/cancel", "", http.StatusConflict, task.CodeAlreadyFinal)
		s.want("DELETE", "/v1/tasks/"+done, "", http.StatusNoContent, "")
		running := s.submit(`{"type":"journal","input":{"seconds":600}}`)
		s.until("it runs", func() bool { return s.task(running).State == task.Running })
		s.want("DELETE", "/v1/tasks/"+running, "", http.StatusConflict, task.CodeNotFinal)
		s.want("POST", "/v1/tasks/"+running+"/cancel", "", http.StatusAccepted, "")
		if got := s.final(running); got.State != task.Canceled || got.StartedAt == nil {
			t.Errorf("canceled while it ran, it is %s, started %v", got.State, got.StartedAt)
		}

		sleeping := strings.Repeat(`{"type":"journal","input":{"seconds":600}},`, 5)
		var made struct{ Group string }
		if err := json.Unmarshal(s.want("POST", "/v1/batches", `{"tasks":[`+strings.TrimSuffix(sleeping, ",")+`],"group":{"on_finished":{"type":"journal","labels":{"is":"finisher"}}}}`, 202, ""), &made); err != nil {
			t.Fatal(err)
		}
		id := strings.TrimPrefix(made.Group, "/v1/groups/")
		s.until("some run", func() bool { return s.group(id).Counts["running"] > 0 })
		s.want("DELETE", "/v1/groups/"+id, "", http.StatusConflict, task.CodeNotFinal)
		s.want("POST", "/v1/groups/"+id+"/cancel", "", http.StatusAccepted, "")
		var g api.Group
		s.until("the group is finished", func() bool { g = s.group(id); return g.State == "finished" })
		if g.Counts["canceled"] != 5 || g.Total != 5 || g.Done != 5 {
			t.Errorf("the group counts %v", g.Counts)
		}
		s.until("it has its finisher", func() bool { g = s.group(id); return g.OnFinished != nil })
		if got := s.final(strings.TrimPrefix(*g.OnFinished, "/v1/tasks/")); got.State != task.Succeeded || !strings.Contains(string(got.Input), id) {
			t.Errorf("the finisher is %s with the input %s", got.State, got.Input)
		}
		var list api.TaskList
		s.get("/v1/tasks?label=is%3Dfinisher", &list)
		if len(list.Tasks) != 1 {
			t.Errorf("%d finishers", len(list.Tasks))
		}
	})
}

// A task that was canceled is final within its bound, whatever became of whoever ran it: a
// script that does not listen, a plugin that is frozen, a worker that is dead, and a host
// that was killed meanwhile.
func TestCanceledTaskCannotStick(t *testing.T) {
	t.Parallel()
	const grace = "cancel_grace = \"2s\"\n"
	const deaf = `{"type":"journal","input":{"seconds":600,"deaf":true}}`
	const listens = `{"type":"journal","input":{"seconds":600}}`
	inHost := func(t *testing.T) (*server, *peer) { return newServer(t, os.Args[0], grace+inProcess), nil }
	process := func(t *testing.T) (*server, *peer) { return newServer(t, "", grace+ownProcess), nil }
	fleet := func(t *testing.T) (*server, *peer) {
		s := newServer(t, "", grace+fleet(""))
		return s, s.worker("w1", "join = \""+s.data()+"\"")
	}
	for _, c := range []struct {
		name, task string
		open       func(t *testing.T) (*server, *peer)
		// hurt is what becomes of whoever runs the task, before it is canceled.
		hurt func(s *server, worker *peer)
	}{
		{"goroutine that does not listen", deaf, inHost, nil},
		{"process that does not listen", deaf, process, nil},
		{"frozen process", listens, process, func(s *server, _ *peer) {
			for _, pid := range s.instances("own") {
				syscall.Kill(pid, syscall.SIGSTOP)
			}
		}},
		{"worker that does not listen", deaf, fleet, nil},
		{"dead worker", listens, fleet, func(_ *server, w *peer) { w.kill() }},
		{"frozen worker", listens, fleet, func(_ *server, w *peer) { w.cmd.Process.Signal(syscall.SIGSTOP) }},
	} {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, host killed %v", c.name, restart), func(t *testing.T) {
				s, w := c.open(t)
				s.start()
				if w != nil {
					w.start()
				}
				s.known()
				id := s.submit(c.task)
				s.until("it runs", func() bool { return s.task(id).State == task.Running && len(s.starts()) == 1 })
				if c.hurt != nil {
					c.hurt(s, w)
				}
				s.want("POST", "/v1/tasks/"+id+"/cancel", "", http.StatusAccepted, "")
				if restart {
					s.kill()
					s.start()
				}
				if got := s.final(id); got.State != task.Canceled || len(s.starts()) != 1 {
					t.Errorf("%s with %+v, after %d starts", got.State, got.Error, len(s.starts()))
				}
				s.kill() // a goroutine that does not listen would have a stop wait for it
			})
		}
	}
}
