package fleet

import (
	"bytes"
	"context"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
	"github.com/taskhost/taskhost/plugins/remote-queue/worker"
	"github.com/taskhost/taskhost/sdk"
)

// scriptOf is a script of that name that returns when run does.
func scriptOf(name string, run func()) sdk.Script {
	return sdk.Script{TypeInfo: sdk.TypeInfo{Name: name}, Run: func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) { run(); return sdk.Result{}, nil }}
}

// On a worker scripts run beside one another, however many wait, while those that end at once come
// and go. A goroutine runs one after another: the stack of a new one would have to grow again.
func TestScriptsOfAWorker(t *testing.T) {
	const together = 60
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0", "lapse": "1m"})
	var came atomic.Int64
	met := make(chan struct{})
	var mu sync.Mutex
	goroutines := map[string]bool{}
	e, err := sdk.NewScripts(scriptOf("meet", func() {
		if came.Add(1) == together {
			close(met)
		}
		<-met
	}), scriptOf("who", func() {
		stack := make([]byte, 64)
		name, _, _ := bytes.Cut(stack[:runtime.Stack(stack, false)], []byte(" ["))
		mu.Lock()
		defer mu.Unlock()
		goroutines[string(name)] = true
	}))
	if err != nil {
		t.Fatal(err)
	}
	gateWorker(t, nil, worker.Options{URL: brokerURL(t, f), Local: []worker.Local{{Name: "local", Executor: e, Slots: 2 * together}}})
	queuetest.Serves(t, f, "meet")
	const apart = 40
	for range apart {
		execute(t, f, newTask("who", `1`)).wait(t, sdk.OutcomeSucceeded)
	}
	mu.Lock()
	if len(goroutines) > apart/2 {
		t.Errorf("%d attempts, one after another, ran in %d goroutines", apart, len(goroutines))
	}
	mu.Unlock()
	var all []*testAttempt
	for range together / 2 {
		all = append(all, execute(t, f, newTask("meet", `1`)), execute(t, f, newTask("who", `1`)), execute(t, f, newTask("meet", `1`)))
	}
	for _, a := range all {
		a.wait(t, sdk.OutcomeSucceeded)
	}
}
