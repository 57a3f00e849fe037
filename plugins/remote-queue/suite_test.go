package remotequeue

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"go.uber.org/goleak"

	"github.com/taskhost/taskhost/sdk"
	"github.com/taskhost/taskhost/sdk/sdktest"
)

func TestMain(m *testing.M) {
	if name := os.Getenv("REMOTEQUEUE_WORKER"); name != "" {
		workerProcess(name)
		return
	}
	goleak.VerifyTestMain(m,
		// go-plugin leaves these behind when a plugin is served in its host's process.
		goleak.IgnoreAnyFunction("github.com/hashicorp/go-plugin.copyChan"),
		goleak.IgnoreAnyFunction("github.com/hashicorp/go-plugin/internal/cmdrunner.pidWait"),
		// The server's libraries keep these for the life of a process.
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.init.0.func1"),
		// A stream that the server was still making when it was shut down keeps these.
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.(*fileStore).flushStreamStateLoop"),
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server/ats.Register.func1"))
}

// freeAddress is a loopback address that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

func testLog(t *testing.T, name string) hclog.Logger {
	level := hclog.Error
	if os.Getenv("REMOTEQUEUE_LOG") != "" {
		level = hclog.Trace
	}
	return hclog.New(&hclog.LoggerOptions{Name: name, Level: level, Output: os.Stderr})
}

// probeWorker runs the suite's scripts until the test ends.
func probeWorker(t *testing.T, o WorkerOptions) *Worker {
	t.Helper()
	scripts, err := sdk.NewScripts(sdktest.Scripts()...)
	if err != nil {
		t.Fatal(err)
	}
	if o.Name == "" {
		o.Name = "w1"
	}
	if o.Local == nil {
		o.Local = []Local{{Name: "local", Executor: scripts, Slots: 300}}
	}
	o.Log = testLog(t, o.Name)
	return runWorker(t, o)
}

func runWorker(t *testing.T, o WorkerOptions) *Worker {
	t.Helper()
	w, err := NewWorker(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = w.Run(ctx) // ends with ctx
	}()
	t.Cleanup(func() { cancel(); <-done })
	return w
}

// serves waits until e offers a type.
func serves(t *testing.T, e sdk.Executor, typ string) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		info, err := e.Describe(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, ti := range info.Types {
			if ti.Name == typ && !ti.Unavailable {
				return
			}
		}
	}
	t.Fatalf("no worker serves %q", typ)
}

func TestSuite(t *testing.T) {
	var address string
	sdktest.Run(t, sdktest.Harness{
		Plugin: Plugin("test"),
		Setup: func(t *testing.T) string {
			address = freeAddress(t)
			config, err := json.Marshal(map[string]any{"listen": address, "heartbeat": "200ms", "lapse": "5s"})
			if err != nil {
				t.Fatal(err)
			}
			return string(config)
		},
		Ready: func(t *testing.T, e sdk.Executor) {
			probeWorker(t, WorkerOptions{URL: "nats://" + address})
			serves(t, e, "probe.ok")
		},
		Probes: true,
	})
}
