// Package sdktest is the conformance suite for executors: the host relies on every
// case of it. An author's test is
//
//	func TestConformance(t *testing.T) {
//		sdktest.Run(t, sdktest.Harness{Plugin: mine, Type: "greet", Input: `{"name":"you"}`})
//	}
//
// Each case runs twice, once with the executor called directly, as a built-in is,
// and once through gRPC and go-plugin, as a plugin process is. Cases that need more
// than the harness offers are skipped, and say what is missing: name a task for each thing
// that your scripts do (a checkpoint, say), and the suite holds them to it.
//
// What is the executor's business rather than a script's is tried with scripts of the
// suite's own. An executor that hosts scripts is loaded with [Scripts] and sets Probes, and
// all cases apply. The executors of sdk.Scripts and sdk.NewScripts pass all of them.
package sdktest

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"

	"github.com/taskhost/taskhost/sdk"
)

// Harness is what the suite must know of an executor. Plugin, Type and Input are
// enough to begin with.
type Harness struct {
	Plugin sdk.Plugin
	// Config is a valid config of the executor block, as one JSON object; empty
	// means {}.
	Config string
	// Setup, if set, runs before an executor is made, once for each of the two
	// ways, and returns its config instead of Config: to find a free port, say.
	Setup func(t *testing.T) string
	// Ready, if set, runs when the executor has been made and before the first
	// attempt: to start a worker and wait until it is there. e is the executor as
	// the cases use it.
	Ready func(t *testing.T, e sdk.Executor)
	// Type and Input are a task that succeeds soon; Result, if set, checks what it
	// leaves.
	Type   string
	Input  string
	Result func(t *testing.T, res sdk.Result)
	// Block is a task that runs until it is told to stop.
	Block Case
	// Fail is a task that fails, so that a retry might help; Permanent one for
	// which it can't.
	Fail, Permanent Case
	// Progress is a task that reports progress; Log one that logs.
	Progress, Log Case
	// Checkpoint is a task that saves checkpoints. It is told to stop at the first, and run
	// again from the last, when it must succeed.
	Checkpoint Case
	// Large is a task whose result has more than 256 KiB, and so travels in chunks.
	Large Case
	// Panic is a task whose code panics.
	Panic Case
	// Yield is a task that rests: until a time, until its children are final, or until it is resumed.
	Yield Case
	// Spawn is a task that spawns children and rests until they are final. It is run twice, as
	// after a host that died before it answered: both times it must name the same ones.
	Spawn Case
	// Probes says that the executor runs Scripts: what is left out above is one of them.
	Probes bool
	// Many is how many attempts run at once in the case of many; 0 means 1,000.
	Many int
	// Patience bounds each wait; 0 means 30 seconds.
	Patience time.Duration
}

// Case is a task: a type and its input, as JSON. The zero Case is one that the
// harness does not offer.
type Case struct {
	Type, Input string
	// Result, if set, checks what the task leaves when it succeeds.
	Result func(t *testing.T, res sdk.Result)
}

func (h Harness) complete() Harness {
	if h.Config == "" {
		h.Config = "{}"
	}
	if h.Many == 0 {
		h.Many = 1000
	}
	if h.Patience == 0 {
		h.Patience = 30 * time.Second
	}
	if h.Probes && h.Type == "" {
		h.Type, h.Input = probeOK, `{"say":"hello"}`
		h.Result = func(t *testing.T, res sdk.Result) {
			var out okInput
			if err := json.Unmarshal(res.Data, &out); err != nil || out.Say != "ok:hello" {
				t.Errorf("the result is %q (%v), want ok:hello", res.Data, err)
			}
		}
	}
	for _, c := range []struct {
		own   *Case
		probe Case
	}{
		{&h.Block, Case{Type: probeBlock, Input: "null"}},
		{&h.Fail, Case{Type: probeFail, Input: `{"how":"plain"}`}},
		{&h.Permanent, Case{Type: probeFail, Input: `{"how":"permanent"}`}},
		{&h.Progress, Case{Type: probeProgress, Input: "null"}},
		{&h.Log, Case{Type: probeLog, Input: "null"}},
		{&h.Checkpoint, Case{Type: probeCheckpoint, Input: "null"}},
		{&h.Large, Case{Type: probeLarge, Input: "3145728"}},
		{&h.Panic, Case{Type: probePanic, Input: "null"}},
		{&h.Yield, Case{Type: probeYield, Input: `{"how":"until"}`}},
		{&h.Spawn, Case{Type: probeSpawn, Input: `{"how":"two"}`}},
	} {
		if h.Probes && c.own.Type == "" {
			*c.own = c.probe
		}
	}
	return h
}

// isProbe says whether a type is one of Scripts, of which more is known than of an author's.
func isProbe(taskType string) bool { return strings.HasPrefix(taskType, "probe.") }

// way is one of the two ways to reach an executor.
type way struct {
	name string
	grpc bool
	make func(t *testing.T, p sdk.Plugin, config string) (sdk.Executor, error)
}

var ways = [...]way{
	{"direct", false, direct},
	{"grpc", true, overGRPC},
}

func configFor(t *testing.T, config string) sdk.Config {
	cfg := sdk.NewConfig("suite", []byte(config), nil)
	cfg.DataDir = t.TempDir()
	cfg.Log = hclog.NewNullLogger()
	return cfg
}

func direct(t *testing.T, p sdk.Plugin, config string) (sdk.Executor, error) {
	if p.New == nil {
		return nil, errors.New("Plugin.New is nil")
	}
	e, err := p.New(configFor(t, config))
	if err == nil {
		closeAfter(t, e)
	}
	return e, err
}

func closeAfter(t *testing.T, e sdk.Executor) {
	if c, ok := e.(io.Closer); ok {
		t.Cleanup(func() {
			if err := c.Close(); err != nil {
				t.Errorf("close the executor: %v", err)
			}
		})
	}
}

// stopWait is how long a server that was told to stop by its client may take. Stopping it
// by its context as well, while it stops, is a data race within go-plugin.
const stopWait = 10 * time.Second

// overGRPC serves the plugin as its process would, but within this one, and
// connects to it as the host does.
func overGRPC(t *testing.T, p sdk.Plugin, config string) (sdk.Executor, error) {
	made := p.New
	p.New = func(cfg sdk.Config) (sdk.Executor, error) {
		e, err := made(cfg)
		if err == nil {
			closeAfter(t, e)
		}
		return e, err
	}
	ctx, stop := context.WithCancel(context.Background())
	attach, closed := make(chan *plugin.ReattachConfig, 1), make(chan struct{})
	go plugin.Serve(&plugin.ServeConfig{
		HandshakeConfig: sdk.Handshake(),
		Plugins:         sdk.PluginSide(p),
		GRPCServer:      sdk.PluginGRPCServer,
		Logger:          hclog.NewNullLogger(),
		Test:            &plugin.ServeTestConfig{Context: ctx, ReattachConfigCh: attach, CloseCh: closed},
	})
	connected := false
	t.Cleanup(func() {
		defer stop()
		if connected { // and so told to stop by the client's Close
			select {
			case <-closed:
				return
			case <-time.After(stopWait):
			}
		}
		stop()
		<-closed
	})
	cfg := configFor(t, config)
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  sdk.Handshake(),
		Plugins:          sdk.HostSide(sdk.HostOptions{Config: cfg, Epoch: 1}),
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		GRPCDialOptions:  sdk.HostDialOptions(),
		Reattach:         <-attach,
		Logger:           hclog.New(&hclog.LoggerOptions{Level: hclog.Off}),
	})
	t.Cleanup(client.Kill)
	protocol, err := client.Client()
	if err != nil {
		t.Fatalf("connect to the plugin: %v", err)
	}
	connected = true
	// Registered after Kill and so run before it: it says by itself that it speaks no more.
	t.Cleanup(func() { _ = protocol.Close() })
	raw, err := protocol.Dispense(sdk.PluginKey)
	if err != nil {
		return nil, err
	}
	c := raw.(sdk.HostConnection)
	t.Cleanup(func() { _ = c.Close() })
	return c, nil
}
