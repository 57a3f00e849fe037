package sdk

import (
	"bytes"
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// runOf has c make so many attempts at a type, all at once, and waits for their ends.
func runOf(t *testing.T, c *connection, taskType string, n int) {
	t.Helper()
	var all sync.WaitGroup
	for range n {
		all.Go(func() {
			task := Task{Type: taskType, Token: randomToken()}
			if _, err := c.Execute(t.Context(), task, NewReporter(ReporterFuncs{})); err != nil {
				t.Error(err)
			}
			c.Settled(task.Token)
		})
	}
	all.Wait()
}

// Attempts run beside one another, however many wait, while those that end at once come and go.
func TestAttemptsRunBesideOneAnother(t *testing.T) {
	const n = 500
	var together atomic.Int64
	met := make(chan struct{})
	script := func(name string, run func()) Script {
		return Script{TypeInfo: TypeInfo{Name: name}, Run: func(context.Context, Task, Reporter) (Result, error) { run(); return Result{}, nil }}
	}
	s := newServer(Plugin{New: Scripts(script("noop", func() {}), script("meet", func() {
		if together.Add(1) == n {
			close(met)
		}
		<-met
	}))})
	c := connectTest(t, serveTest(t, s), HostOptions{})
	var both sync.WaitGroup
	both.Go(func() { runOf(t, c, "noop", n) })
	both.Go(func() { runOf(t, c, "meet", n) })
	both.Wait()
	runOf(t, c, "noop", 10) // on goroutines that rest
	drained(t, c, s)
}

// A goroutine runs one attempt after another: the stack of a new one would have to grow again.
func TestGoroutinesAreUsedAgain(t *testing.T) {
	const n = 200
	var mu sync.Mutex
	goroutines := map[string]bool{}
	s := newServer(Plugin{New: Scripts(Script{TypeInfo: TypeInfo{Name: "who"}, Run: func(context.Context, Task, Reporter) (Result, error) {
		stack := make([]byte, 64)
		name, _, _ := bytes.Cut(stack[:runtime.Stack(stack, false)], []byte(" ["))
		mu.Lock()
		defer mu.Unlock()
		goroutines[string(name)] = true
		return Result{}, nil
	}})})
	c := connectTest(t, serveTest(t, s), HostOptions{})
	for range n {
		runOf(t, c, "who", 1)
	}
	if len(goroutines) > n/2 {
		t.Errorf("%d attempts, one after another, ran in %d goroutines", n, len(goroutines))
	}
	drained(t, c, s)
}
