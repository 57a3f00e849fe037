package fleet

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/taskhost/taskhost/plugins/remote-queue/broker"
	natsbroker "github.com/taskhost/taskhost/plugins/remote-queue/broker/nats"
	rabbitbroker "github.com/taskhost/taskhost/plugins/remote-queue/broker/rabbit"
	"github.com/taskhost/taskhost/plugins/remote-queue/config"
	"github.com/taskhost/taskhost/plugins/remote-queue/queuetest"
	"github.com/taskhost/taskhost/plugins/remote-queue/wire"
	"github.com/taskhost/taskhost/plugins/remote-queue/worker"
	"github.com/taskhost/taskhost/sdk"
)

// openFleet makes an executor in dir; the settings go on top of quick heartbeats. Tests that
// wait for a lapse set a short one, which other processes have to keep up with.
func openFleet(t *testing.T, dir string, settings map[string]any) *fleet {
	t.Helper()
	f, err := tryFleet(t, dir, settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := f.Close(); err != nil {
			t.Error(err)
		}
	})
	return f
}

func tryFleet(t *testing.T, dir string, settings map[string]any) (*fleet, error) {
	t.Helper()
	all := map[string]any{"heartbeat": "50ms", "lapse": "10s", "rejoin": "5s"}
	hostURL, _ := settings["rest"].(string)
	changed, _ := settings["changed"].(func())
	maps.Copy(all, settings)
	delete(all, "rest")
	delete(all, "changed")
	data, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	cfg := sdk.NewConfig("fleet", data, changed)
	cfg.DataDir, cfg.Log, cfg.HostURL = dir, queuetest.Log("host"), hostURL
	return openWith(cfg)
}

// openWith opens a fleet on the broker that its address names.
func openWith(cfg sdk.Config) (*fleet, error) {
	c, err := config.Parse(cfg)
	if err != nil {
		return nil, err
	}
	return Open(cfg, c, func(c broker.HostConnection, e broker.HostEvents) (Broker, error) {
		if onRabbitMQ(c.Config.URL) {
			return rabbitbroker.ConnectHost(c, e)
		}
		return natsbroker.ConnectHost(c, e)
	})
}

func onRabbitMQ(url string) bool {
	rabbit, err := config.OnRabbitMQ(url)
	return err == nil && rabbit
}

// openWorker makes a worker on the broker that its address names.
func openWorker(o worker.Options) (*worker.Worker, error) {
	return worker.New(o, func(c broker.WorkerConnection, e broker.WorkerEvents) (worker.Broker, error) {
		if onRabbitMQ(c.URL) {
			return rabbitbroker.ConnectWorker(c, e)
		}
		return natsbroker.ConnectWorker(c, e)
	})
}

// brokerURL is where the fleet's embedded broker listens.
func brokerURL(t testing.TB, f *fleet) string {
	t.Helper()
	j, err := config.ReadJoin(filepath.Join(f.cfg.DataDir, config.JoinFile))
	if err != nil {
		t.Fatal(err)
	}
	return j.URL
}

// brokerConn is the fleet's own connection to its broker.
func brokerConn(f *fleet) *nats.Conn { return f.broker.(*natsbroker.Host).Conn() }

// jetStream looks into the fleet's broker as the host may.
func jetStream(t testing.TB, f *fleet) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(brokerConn(f))
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func subjectsOf(f *fleet) natsbroker.Subjects { return natsbroker.Subjects{Queue: f.queueConfig.Queue} }

// peers are the workers that are here.
func peers(f *fleet) []wire.Peer {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Collect(maps.Keys(f.workers))
}

// told says whether every worker has heard its last offer, and whether it drains.
func told(f *fleet, drain bool) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, w := range f.workers {
		if w.lastHeartbeat.Offer != f.offerFor(w).ID || w.lastHeartbeat.Draining != drain {
			return false
		}
	}
	return len(f.workers) > 0
}

// testAttempt is one attempt that a test makes.
type testAttempt struct {
	f      *fleet
	task   sdk.Task
	cancel context.CancelCauseFunc
	begun  chan struct{}
	done   chan struct{}
	out    sdk.Outcome

	mu     sync.Mutex
	node   string
	handle []byte
	starts int
}

func newTask(typ, input string) sdk.Task {
	t := sdk.Task{ID: rand.Text(), Type: typ, Attempt: 1, Input: json.RawMessage(input), Timeout: time.Minute}
	_, _ = rand.Read(t.Token[:])
	return t
}

// execute begins an attempt. It settles itself, as the host does.
func execute(t *testing.T, f *fleet, task sdk.Task) *testAttempt {
	t.Helper()
	a := &testAttempt{f: f, task: task, begun: make(chan struct{}), done: make(chan struct{})}
	var ctx context.Context
	ctx, a.cancel = context.WithCancelCause(context.Background())
	r := sdk.NewReporter(sdk.ReporterFuncs{Started: func(handle []byte, node string) error {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.handle, a.node = handle, node
		if a.starts++; a.starts == 1 {
			close(a.begun)
		}
		return nil
	}})
	go func() {
		defer close(a.done)
		res, err := f.Execute(ctx, task, r)
		if errors.Is(err, sdk.ErrDetach) {
			a.out = sdk.Outcome{Message: "detached"}
			return
		}
		a.out = sdk.OutcomeOf(ctx, res, err)
		f.Settled(task.Token)
	}()
	t.Cleanup(func() { a.cancel(sdk.ErrDetach); <-a.done })
	return a
}

func (a *testAttempt) wait(t *testing.T, kind sdk.OutcomeKind) sdk.Outcome {
	t.Helper()
	select {
	case <-a.done:
	case <-time.After(queuetest.Patience):
		t.Fatalf("no outcome within %s", queuetest.Patience)
	}
	if a.out.Kind != kind {
		t.Fatalf("the outcome is %s (%s), want %s", a.out.Kind, a.out.Message, kind)
	}
	return a.out
}

func (a *testAttempt) started(t *testing.T) {
	t.Helper()
	select {
	case <-a.begun:
	case <-a.done:
		t.Fatalf("ended before it started: %+v", a.out)
	case <-time.After(queuetest.Patience):
		t.Fatalf("did not start within %s", queuetest.Patience)
	}
}

// inBroker waits until the start of an attempt is in the broker.
func (a *testAttempt) inBroker(t *testing.T) {
	t.Helper()
	queuetest.Eventually(t, "in the broker", func() bool {
		a.f.mu.Lock()
		defer a.f.mu.Unlock()
		in := a.f.attempts[a.task.Token]
		return in != nil && in.message != nil && in.message.position > 0
	})
}

// detach has the host let go of the attempt and gives it as the next one finds it.
func (a *testAttempt) detach() sdk.Task {
	a.cancel(sdk.ErrDetach)
	<-a.done
	task := a.task
	task.Rejoin, task.Handle = true, a.handle
	return task
}

// gateWorker runs the scripts of g on a worker until the test ends.
func gateWorker(t *testing.T, g *queuetest.Gates, o worker.Options) *worker.Worker {
	t.Helper()
	if o.Name == "" {
		o.Name = "w1"
	}
	if o.Local == nil {
		o.Local = []worker.Local{{Name: "local", Executor: g.Executor(t), Slots: 10}}
	}
	o.Log = queuetest.Log(o.Name)
	return runWorker(t, o)
}

// reexec starts this test binary as a worker process.
func reexec(t *testing.T, url string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "REMOTEQUEUE_WORKER="+url)
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return cmd
}

// workerProcess is a worker as a process of its own: its script sleeps until it is
// told to stop, or says who it is.
func workerProcess(url string) {
	e, err := sdk.NewScripts(queuetest.Quick, sdk.Func("sleep", func(ctx context.Context, _ any, _ sdk.Reporter) (string, error) {
		<-ctx.Done()
		return "", ctx.Err()
	}))
	if err == nil {
		var w *worker.Worker
		if w, err = openWorker(worker.Options{Name: "proc", URL: url, Local: []worker.Local{{Name: "local", Executor: e}}}); err == nil {
			err = w.Run(context.Background())
		}
	}
	fmt.Fprintln(os.Stderr, "worker process:", err)
	os.Exit(1)
}

// runWorker runs a worker until the test ends.
func runWorker(t *testing.T, o worker.Options) *worker.Worker {
	t.Helper()
	w, err := openWorker(o)
	if err != nil {
		t.Fatal(err)
	}
	queuetest.RunUntilEnd(t, w)
	return w
}
