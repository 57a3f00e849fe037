package python_test

import (
	"context"
	"os/exec"
	"strings"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"

	"github.com/taskhost/taskhost/sdk"
	"github.com/taskhost/taskhost/sdk/sdktest"
)

// remote is the plugin process as an executor: what the host has of it.
type remote struct {
	sdk.HostConnection
	client *plugin.Client
}

func (r *remote) Close() error {
	err := r.HostConnection.Close()
	r.client.Kill()
	return err
}

func connect(cfg sdk.Config) (sdk.Executor, error) {
	client := plugin.NewClient(&plugin.ClientConfig{
		Cmd: exec.Command("/usr/bin/python3", "shout.py"), AutoMTLS: true,
		HandshakeConfig: sdk.Handshake(), Plugins: sdk.HostSide(sdk.HostOptions{Config: cfg, Epoch: 1}),
		GRPCDialOptions: sdk.HostDialOptions(), AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		Logger: hclog.New(&hclog.LoggerOptions{Level: hclog.Off}),
	})
	protocol, err := client.Client()
	if err == nil {
		var conn any
		if conn, err = protocol.Dispense(sdk.PluginKey); err == nil {
			return &remote{conn.(sdk.HostConnection), client}, nil
		}
	}
	client.Kill()
	return nil, err
}

// The suite that executors in Go pass holds for one in Python, too.
func TestConformance(t *testing.T) {
	needsPython(t)
	long := `{"text":"` + strings.Repeat("a", 10_000) + `"}`
	sdktest.Run(t, sdktest.Harness{
		Plugin: sdk.Plugin{Name: "shout.py", Version: "1.0.0", New: connect},
		Type:   "shout", Input: `{"text":"hi"}`, Many: 100,
		Block:     sdktest.Case{Type: "shout", Input: long},
		Permanent: sdktest.Case{Type: "shout", Input: `{"text":""}`},
		Progress:  sdktest.Case{Type: "shout", Input: `{"text":"hi"}`},
		Log:       sdktest.Case{Type: "shout", Input: `{"text":"hi"}`},
		Spawn:     sdktest.Case{Type: "choir", Input: `{"lines":["one","two"]}`},
		Result: func(t *testing.T, res sdk.Result) {
			if got, want := string(res.Data), `{"text": "HI!"}`; got != want {
				t.Errorf("shouts %s, want %s", got, want)
			}
		},
	})
}

// What the suite asks only of executors that run its own scripts.
func TestPauseAndSize(t *testing.T) {
	needsPython(t)
	e, err := connect(sdk.NewConfig("python", nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	conn := e.(*remote)
	defer func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}()
	execute := func(t *testing.T, token byte, letters int) sdk.Outcome {
		ctx, cancel := context.WithCancelCause(t.Context())
		defer cancel(nil)
		task := sdk.Task{ID: "t", Type: "shout", Attempt: 1, Token: sdk.Token{token}, Input: []byte(`{"text":"` + strings.Repeat("a", letters) + `"}`)}
		reports := sdk.ReporterFuncs{Progress: func(int64, int64, string) { cancel(sdk.ErrPause) }}
		res, err := conn.Execute(ctx, task, sdk.NewReporter(reports))
		conn.Settled(task.Token)
		return sdk.OutcomeOf(ctx, res, err)
	}
	t.Run("pause", func(t *testing.T) {
		if o := execute(t, 1, 500); o.Kind != sdk.OutcomeYielded || !o.Yield.Resume || !strings.Contains(o.Message, "told to stop") {
			t.Errorf("%+v", o)
		}
	})
	t.Run("input in chunks", func(t *testing.T) { // which the host, knowing max_input, would not send
		if o := execute(t, 2, 300<<10); o.Kind != sdk.OutcomeFailed || !o.Permanent || !strings.Contains(o.Message, "larger than") {
			t.Errorf("%+v", o)
		}
	})
}
