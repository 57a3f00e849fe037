package engine_test

import (
	"context"
	"sync"
	"testing"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// A goroutine that ran an attempt runs the next, and ends when nothing needs it.
func TestRunners(t *testing.T) {
	const together = 20
	var began sync.WaitGroup
	began.Add(together)
	r := scripts(t, together, nil, script("work", func(_ context.Context, st sdk.Task, _ sdk.Reporter) (sdk.Result, error) {
		if string(st.Input) == "1" {
			began.Done()
			began.Wait()
		}
		return sdk.Result{}, nil
	}))
	for range 3 * together {
		r.wait(r.submit(task.Spec{Input: []byte("0")}).ID)
	}
	if n := r.IdleRunners(); n >= together {
		t.Errorf("%d goroutines wait after attempts one after another", n)
	}
	var ids []task.ID
	for range together {
		ids = append(ids, r.submit(task.Spec{Input: []byte("1")}).ID)
	}
	for _, id := range ids {
		if got := r.wait(id); got.State != task.Succeeded {
			t.Errorf("task %s is %s", id, got.State)
		}
	}
	r.until("all end that nothing needs", func() bool {
		r.TrimRunners()
		return r.Attempts() == 0 && r.IdleRunners() == 0
	})
	if got := r.wait(r.submit(task.Spec{Input: []byte("0")}).ID); got.State != task.Succeeded {
		t.Errorf("a task after that is %s", got.State)
	}
	if err := r.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	r.until("the last ends with the engine", func() bool { return r.IdleRunners() == 0 })
}
