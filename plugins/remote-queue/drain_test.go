package remotequeue

import (
	"context"
	"testing"
	"time"

	"github.com/taskhost/taskhost/sdk"
)

// A script that does not listen to its context holds up neither a drain nor the end of
// its worker, and the host hears that it was interrupted: it may have run in part.
func TestDeafScript(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0", "lapse": "1m"})
	for name, end := range map[string]func(t *testing.T, w *Worker, stop func()){
		"drain out of time": func(t *testing.T, w *Worker, _ func()) {
			ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
			defer cancel()
			if err := w.Drain(ctx); err == nil {
				t.Error("the drain says that all has finished")
			}
		},
		"drain canceled": func(t *testing.T, w *Worker, _ func()) {
			ctx, cancel := context.WithCancel(t.Context())
			cancel()
			if err := w.Drain(ctx); err == nil {
				t.Error("the drain says that all has finished")
			}
		},
		"stopped": func(_ *testing.T, w *Worker, stop func()) { stop() },
	} {
		t.Run(name, func(t *testing.T) {
			began, hang, through := make(chan struct{}), make(chan struct{}), make(chan struct{})
			e, err := sdk.NewScripts(sdk.Script{TypeInfo: sdk.TypeInfo{Name: "deaf"}, Run: func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) {
				defer close(through)
				close(began)
				<-hang
				return sdk.Result{}, nil
			}})
			if err != nil {
				t.Fatal(err)
			}
			w, err := NewWorker(WorkerOptions{Name: "w1", URL: f.broker.srv.ClientURL(), Local: []Local{{Name: "local", Executor: e}}, Log: testLog(t, "w1")})
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			ran := make(chan struct{})
			go func() { defer close(ran); _ = w.Run(ctx) }()
			serves(t, f, "deaf")
			a := execute(t, f, newTask("deaf", `1`))
			<-began
			ended := make(chan struct{})
			go func() { defer close(ended); end(t, w, stop) }()
			for _, c := range []chan struct{}{ended, ran} {
				select {
				case <-c:
				case <-time.After(patience):
					t.Error("the worker does not end")
				}
			}
			close(hang)
			<-through
			a.wait(t, sdk.OutcomeInterrupted)
			eventually(t, "the worker is gone", func() bool { return f.present(t) == 0 })
		})
	}
}
