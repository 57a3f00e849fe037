package fleet

import (
	"context"
	"crypto/rand"
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/plugins/remote-queue/worker"
	"github.com/taskhost/taskhost/sdk"
)

// The attempt's time begins with its start, and the worker keeps it.
func TestTimeoutOnTheWorker(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0"})
	g := queuetest.NewGates()
	gateWorker(t, g, worker.Options{URL: brokerURL(t, f)})
	queuetest.Serves(t, f, "gate")
	task := newTask("gate", `"k"`)
	task.Timeout = 20 * time.Millisecond
	if out := execute(t, f, task).wait(t, sdk.OutcomeFailed); out.Code != sdk.CodeTimeout {
		t.Errorf("the outcome is %+v", out)
	}
}

// A start that the host refuses to record is not made.
func TestStartRefused(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0"})
	g := queuetest.NewGates()
	gateWorker(t, g, worker.Options{URL: brokerURL(t, f)})
	queuetest.Serves(t, f, "gate")
	_, err := f.Execute(t.Context(), newTask("gate", `"k"`), sdk.NewReporter(sdk.ReporterFuncs{
		Started: func([]byte, string) error { return errors.New("somebody canceled it") }}))
	if !errors.Is(err, sdk.ErrReleased) {
		t.Errorf("the outcome is %v", err)
	}
	execute(t, f, newTask("quick", `1`)).wait(t, sdk.OutcomeSucceeded)
	if n := g.Count("k"); n > 0 {
		t.Errorf("it ran %d times", n)
	}
}

// What is asked to stop while its start is put on record has begun, once it is on record, and ends
// as an attempt that was told to stop.
func TestStopWhileTheStartIsRecorded(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0"})
	gateWorker(t, queuetest.NewGates(), worker.Options{URL: brokerURL(t, f)})
	queuetest.Serves(t, f, "gate")
	recording := make(chan func(error), 1)
	ctx, cancel := context.WithCancelCause(t.Context())
	task := newTask("gate", `"k"`)
	ended := make(chan error, 1)
	go func() {
		_, err := f.Execute(ctx, task, sdk.NewReporter(sdk.ReporterFuncs{
			StartedSoon: func(_ []byte, _ string, done func(error)) { recording <- done }}))
		ended <- err
	}()
	recorded := <-recording
	cancel(sdk.ErrCancel)
	queuetest.Eventually(t, "asked to stop", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return f.attempts[task.Token].stopCause != 0 })
	recorded(nil)
	if o := sdk.OutcomeOf(ctx, sdk.Result{}, <-ended); o.Kind != sdk.OutcomeCanceled {
		t.Errorf("the outcome is %s: %s", o.Kind, o.Message)
	}
}

// What comes twice runs once, and what makes no sense is counted and nothing else.
func TestDuplicatesAndGarbage(t *testing.T) {
	f := openFleet(t, t.TempDir(), map[string]any{"listen": "127.0.0.1:0"})
	url := brokerURL(t, f)
	g := queuetest.NewGates()
	gateWorker(t, g, worker.Options{URL: url})
	gateWorker(t, g, worker.Options{Name: "w2", URL: url})
	queuetest.Serves(t, f, "gate")
	a := execute(t, f, newTask("gate", `"k"`))
	<-g.Began
	body, _, _ := wire.AppendStart(nil, wire.ActionExecute, &a.task, f.maxMessage())
	subject := subjectsOf(f).Starts(wire.Lane{Route: wire.AnyRoute, Type: "gate"})
	for range 5 {
		if _, err := jetStream(t, f).Publish(t.Context(), subject, body); err != nil {
			t.Fatal(err)
		}
	}
	nc, err := nats.Connect(url, nats.UserInfo("w3", ""))
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	liar := wire.Peer{Name: "w3", Instance: "ABCDEFGHIJKLMNOP"}
	forged := wire.AppendItem([]byte{wire.FormatVersion}, &wire.Item{Kind: wire.KindFinished, Token: a.task.Token,
		Outcome: sdk.Outcome{Kind: sdk.OutcomeSucceeded, Result: sdk.Text("forged")}})
	junk := make([]byte, 300)
	_, _ = rand.Read(junk)
	for what, data := range map[string][]byte{wire.ChannelItems: junk, wire.ChannelHeartbeat: junk, "other": junk} {
		if err := nc.Publish(subjectsOf(f).Up(liar, what), data); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Publish(subjectsOf(f).Up(liar, wire.ChannelItems), forged); err != nil {
		t.Fatal(err)
	}
	if _, err := jetStream(t, f).Publish(t.Context(), subject, junk); err != nil {
		t.Fatal(err)
	}
	queuetest.Eventually(t, "counted", func() bool { return f.counters.garbled.Load() >= 3 && f.counters.refusedReports.Load() >= 1 })
	queuetest.Eventually(t, "the copies are gone", func() bool { return pending(t, f) == 0 })
	g.Release("k")
	if out := a.wait(t, sdk.OutcomeSucceeded); string(out.Result.Data) != `"through k"` {
		t.Errorf("the result is %s", out.Result.Data)
	}
	if n := g.Count("k"); n != 1 {
		t.Errorf("it ran %d times", n)
	}
	execute(t, f, newTask("quick", `1`)).wait(t, sdk.OutcomeSucceeded)
}
