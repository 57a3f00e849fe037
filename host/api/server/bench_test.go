package server_test

import (
	"context"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/api/server"
	"github.com/taskhost/taskhost/host/task"
)

// instant accepts every task at once, so that what is measured is the API alone.
type instant struct{ server.Service }

func (instant) Submit(_ context.Context, s task.Scope, specs []task.Spec, _ *task.Idempotency) ([]task.Task, bool, error) {
	now := time.Now()
	t, err := task.New(task.ID{1}, s.Owner, specs[0], task.DefaultLimits(), now)
	return []task.Task{t}, false, err
}

// BenchmarkSubmit is what one submit costs besides the engine and the socket.
func BenchmarkSubmit(b *testing.B) {
	h := server.NewHandler(instant{}, server.Options{})
	const body = `{"type":"sum","input":[1,2,3],"labels":{"team":"a"}}`
	b.ReportAllocs()
	for b.Loop() {
		req := httptest.NewRequest(http.MethodPost, "http://localhost/v1/tasks", strings.NewReader(body))
		req.Header.Set("Content-Type", "application/json")
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, req); w.Code != http.StatusAccepted {
			b.Fatal(w.Body.String())
		}
	}
}

// thousands lists so many pages of finished tasks.
type thousands struct {
	server.Service
	page  []task.Task
	pages int
}

func (l *thousands) List(context.Context, task.Scope, task.Filter) (task.Page, error) {
	l.pages--
	if l.pages <= 0 {
		return task.Page{Tasks: l.page}, nil
	}
	return task.Page{Tasks: l.page, Next: task.ID{1}}, nil
}

// BenchmarkTaskLines is what a task costs in a list as lines, besides the store and the socket.
func BenchmarkTaskLines(b *testing.B) {
	done, err := task.New(task.ID{1}, "default", task.Spec{Type: "noop", Labels: map[string]string{"team": "a"}}, task.DefaultLimits(), time.Now())
	if err != nil {
		b.Fatal(err)
	}
	done.State = task.Succeeded
	list := &thousands{page: slices.Repeat([]task.Task{done}, 250), pages: (b.N + 249) / 250}
	b.ReportAllocs()
	b.ResetTimer()
	w := httptest.NewRecorder()
	w.Body = nil
	server.NewHandler(list, server.Options{}).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "http://localhost/v1/tasks?format=jsonl", nil))
	if w.Code != http.StatusOK {
		b.Fatal(w.Code)
	}
}
