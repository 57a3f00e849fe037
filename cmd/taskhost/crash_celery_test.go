package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
)

// kill -9 of the host, of Celery's worker and of RabbitMQ while 1,000 tasks are on their way:
// each is run by the app, which knows nothing of it, and each ends well.
func TestCrashCelery(t *testing.T) {
	t.Parallel()
	queuetest.NeedsCelery(t)
	broker := queuetest.OwnRabbitMQ(t).RabbitMQ
	s := celeryServer(t, broker, "crash", "task_type \"append\" {\n  timeout = \"20s\"\n  max_lost = 20\n  max_attempts = 20\n}\n", "append")
	w := celeryWorker(t, broker, "crash")
	s.start()
	s.listed(w.Name)
	broker.Settle()
	trace := filepath.Join(s.dir, "trace")
	const tasks = 1000
	ids := make([]string, tasks)
	var submitting sync.WaitGroup
	for part := range 4 {
		submitting.Go(func() {
			for n := part; n < tasks; n += 4 {
				ids[n] = s.submit(fmt.Sprintf(`{"type":"append","input":{"args":[%q,"%d"]}}`, trace, n))
			}
		})
	}
	crash := []func(){
		func() { s.kill(); s.start() },
		func() { w.Kill(); w.Start() },
		func() { broker.Kill(); broker.Start(t) },
	}
	for round := range rounds(2) * len(crash) {
		before := ran(t, trace)
		s.until("the app runs tasks", func() bool { return ran(t, trace) > before+20 || ran(t, trace) >= tasks })
		crash[round%len(crash)]()
	}
	submitting.Wait()
	for end := time.Now().Add(5 * time.Minute); time.Now().Before(end); time.Sleep(time.Second) {
		var page struct{ Tasks []apiTask }
		s.get("/v1/tasks?state=pending&state=running&state=canceling&limit=1", &page)
		if len(page.Tasks) == 0 {
			break
		}
	}
	lost := 0
	for _, id := range ids {
		var task apiTask
		s.get("/v1/tasks/"+id, &task)
		if task.State != "succeeded" {
			t.Errorf("task %s is %s: %+v", id, task.State, task.Error)
		}
		lost += task.Lost
	}
	if n := ran(t, trace); n != tasks {
		t.Errorf("%d of %d tasks ran", n, tasks)
	}
	t.Logf("%d attempts were lost", lost)
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// ran is how many different lines the app's tasks have written.
func ran(t *testing.T, trace string) int {
	t.Helper()
	text, err := os.ReadFile(trace)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	lines := map[string]bool{}
	for _, line := range strings.Fields(string(text)) {
		lines[line] = true
	}
	return len(lines)
}
