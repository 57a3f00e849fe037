package server_test

import (
	"context"
	"net/http"
	"net/http/httptest"
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
