package worker

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/sdk"
)

// silentBroker is one that is not there.
type silentBroker struct{ Broker }

func (silentBroker) MaxPayload() int64 { return 1 << 20 }

// Of scripts that are to begin at once each begins, also where those before it wait for it; and
// goroutines without a run end with the worker.
func TestScriptsBeginBesideOneAnother(t *testing.T) {
	const n = 100
	w, said := silentWorker(t)
	w.broker = silentBroker{}
	w.runnerWanted = make(chan struct{}, 1)
	w.ctx, w.cancel = context.WithCancel(t.Context())
	var came atomic.Int64
	met := make(chan struct{})
	e, err := sdk.NewScripts(sdk.Script{TypeInfo: sdk.TypeInfo{Name: "meet"}, Run: func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) {
		if came.Add(1) == n {
			close(met)
		}
		<-met
		return sdk.Result{}, nil
	}})
	if err != nil {
		t.Fatal(err)
	}
	l := &localExecutor{Local: Local{Executor: e}, slots: n, used: n}
	w.mu.Lock()
	for i := range uint64(n) {
		r := &run{executor: l, start: wire.Start{Action: wire.ActionExecute, Task: sdk.Task{Type: "meet", Token: queuetest.BenchToken(i + 1)}}}
		w.runs[r.start.Task.Token] = r
		w.startScript(r, 0)
	}
	w.callRunner()
	w.mu.Unlock()
	queuetest.Eventually(t, "all have met and rest", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.idleRunners == n && l.used == 0
	})
	if got := said()[wire.KindFinished]; len(got) != n {
		t.Errorf("the host was told of %d ends", len(got))
	}
	w.cancel()
	w.scripts.Wait()
}
