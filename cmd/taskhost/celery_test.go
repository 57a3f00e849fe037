package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
)

// celeryServer is a server whose tasks the tests' app runs.
func celeryServer(t *testing.T, broker *queuetest.RabbitMQ, queue, types string, tasks ...string) *server {
	t.Helper()
	var names []string
	for _, name := range tasks {
		names = append(names, fmt.Sprintf("%s = \"proj.tasks.%s\"", name, name))
	}
	return newServer(t, "", fmt.Sprintf("executor \"celery\" {\n  plugin = \"remote-queue\"\n  slots = 100\n  config {\n    url = %q\n    protocol = \"celery\"\n"+
		"    queue = %q\n    lapse = \"5s\"\n    tasks = { %s }\n  }\n}\n%s", broker.URL(), queue, strings.Join(names, ", "), types))
}

// celeryWorker starts a worker of the tests' app.
func celeryWorker(t *testing.T, broker *queuetest.RabbitMQ, queue string) *queuetest.CeleryWorker {
	t.Helper()
	return queuetest.NewCeleryWorker(t, queue+"@test", "../../plugins/remote-queue/celery/testdata/proj.py",
		[]string{"BROKER=" + broker.URL() + "//", "QUEUE=" + queue, "TRACK=1"})
}

// listed waits until the worker is one that takes tasks.
func (s *server) listed(name string) {
	s.t.Helper()
	s.until("the worker is listed", func() bool {
		var page struct {
			Workers []struct{ Name, State string }
		}
		s.get("/v1/workers", &page)
		return len(page.Workers) == 1 && page.Workers[0].Name == name && page.Workers[0].State == "ready"
	})
}

// celeryTask is what a client sees of such a task.
type celeryTask struct {
	State, Waiting string
	Result         any
	Progress       struct {
		Done, Total int64
		Message     string
	}
	Error *struct {
		Code, Message string
		Details       map[string]any
	}
}

// A client of the host sees of a task that Celery runs what it sees of any other.
func TestCelery(t *testing.T) {
	t.Parallel()
	queuetest.NeedsCelery(t)
	broker := queuetest.SharedRabbitMQ(t)
	s := celeryServer(t, broker, "seen", "task_type \"fail\" { max_attempts = 1 }\n", "add", "fail", "flaky", "slow", "when")
	s.start()
	early := s.submit(`{"type":"add","input":{"args":[1,2]}}`)
	var task celeryTask
	if s.get("/v1/tasks/"+early, &task); task.State != "pending" || task.Waiting != "executor" {
		t.Errorf("without a worker the task is %s, waiting for %q", task.State, task.Waiting)
	}
	w := celeryWorker(t, broker, "seen")
	s.listed(w.Name)
	final := func(id string) (task celeryTask) {
		t.Helper()
		s.until("the task is final", func() bool {
			s.get("/v1/tasks/"+id, &task)
			return task.State == "succeeded" || task.State == "failed" || task.State == "canceled"
		})
		return task
	}
	if task := final(early); task.State != "succeeded" || task.Result != 3.0 {
		t.Errorf("what waited for the worker: %+v", task)
	}
	task = final(s.submit(`{"type":"fail","input":{"args":["no such thing"]}}`))
	if task.State != "failed" || task.Error.Message != "LookupError: no such thing" || task.Error.Details["type"] != "LookupError" ||
		!strings.Contains(fmt.Sprint(task.Error.Details["traceback"]), "raise LookupError") {
		t.Errorf("a task that fails: %+v, %+v", task, task.Error)
	}
	id := s.submit(`{"type":"flaky","input":{"args":[1]}}`)
	if task := final(id); task.State != "succeeded" {
		t.Errorf("a task that retries itself: %+v", task)
	}
	s.until("its own retry is in the log", func() bool {
		_, log, err := s.call("GET", "/v1/tasks/"+id+"/logs", "")
		return err == nil && strings.Contains(string(log), "Celery runs the task again by itself: ValueError: not yet")
	})
	at := time.Now().Add(3 * time.Second)
	task = final(s.submit(fmt.Sprintf(`{"type":"when","run_at":%q}`, at.Format(time.RFC3339Nano))))
	if began, _ := task.Result.(float64); began < float64(at.UnixMilli())/1000 {
		t.Errorf("a task for %d ran at %f", at.Unix(), began)
	}
	id = s.submit(fmt.Sprintf(`{"type":"slow","input":{"args":[%q]}}`, filepath.Join(s.dir, "never")))
	s.until("it tells how far it is", func() bool {
		s.get("/v1/tasks/"+id, &task)
		return task.State == "running" && task.Progress.Done > 1 && task.Progress.Total == 1000 && task.Progress.Message == "waiting"
	})
	if _, history, err := s.call("GET", "/v1/tasks/"+id+"/history", ""); err != nil || !strings.Contains(string(history), `"on `+w.Name) {
		t.Errorf("where it runs is not told: %s, %v", history, err)
	}
	if status, body, err := s.call("POST", "/v1/tasks/"+id+"/cancel", ""); err != nil || status != http.StatusAccepted && status != http.StatusOK {
		t.Fatalf("cancel: %d %s %v", status, body, err)
	}
	if task := final(id); task.State != "canceled" || task.Error.Details["confirmed"] != true {
		t.Errorf("a task that is canceled: %+v, %+v", task, task.Error)
	}
	if status, body, _ := s.call("POST", "/v1/tasks", `{"type":"add","max_lost":0,"input":{"args":[1,2]}}`); status != http.StatusBadRequest || !strings.Contains(string(body), "/max_lost") {
		t.Errorf("max_lost 0: %d %s", status, body)
	}
	if status, body, _ := s.call("POST", "/v1/tasks", `{"type":"add","input":[1,2]}`); status == http.StatusAccepted {
		t.Errorf("an input that is no call: %d %s", status, body)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// A promise that Celery cannot keep, and a type that stands in no tasks, are found in the file.
func TestCeleryConfig(t *testing.T) {
	s := newServer(t, "", "")
	for types, want := range map[string]string{
		"task_type \"add\" { timeout = \"1m\" }":  "",
		"task_type \"add\" { max_lost = 0 }":      "may run twice",
		"task_type \"ad\" { executor = \"app\" }": `Did you mean "add"?`,
	} {
		file := filepath.Join(s.dir, "app.hcl")
		text := "executor \"app\" {\n  plugin = \"remote-queue\"\n  config {\n    url = \"amqp://127.0.0.1\"\n    protocol = \"celery\"\n    tasks = { add = \"proj.add\" }\n  }\n}\n" + types + "\n"
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		stdout, stderr, code := s.cli(nil, "config", "validate", "--config", file)
		if said := stdout + stderr; (code == 0) != (want == "") || !strings.Contains(strings.Join(strings.Fields(said), " "), want) {
			t.Errorf("%s: exit code %d: %s", types, code, said)
		}
	}
}
