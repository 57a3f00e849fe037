package main

import (
	"encoding/json"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"

	"github.com/taskhost/taskhost/sdk"
)

// The binary itself, in its own process, with the certificates that a host uses.
func TestBinary(t *testing.T) {
	bin := filepath.Join(t.TempDir(), "import")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	root, err := filepath.Abs("../../examples/images")
	if err != nil {
		t.Fatal(err)
	}
	config, err := json.Marshal(map[string]string{"import_root": root})
	if err != nil {
		t.Fatal(err)
	}
	cfg := sdk.NewConfig("images", config, nil)
	cfg.DataDir = t.TempDir()
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  sdk.Handshake(),
		Plugins:          sdk.HostSide(sdk.HostOptions{Config: cfg, Epoch: 1}),
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		GRPCDialOptions:  sdk.HostDialOptions(),
		Cmd:              exec.Command(bin),
		AutoMTLS:         true,
		Logger:           hclog.New(&hclog.LoggerOptions{Level: hclog.Off}),
	})
	defer client.Kill()
	protocol, err := client.Client()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := protocol.Dispense(sdk.PluginKey)
	if err != nil {
		t.Fatal(err)
	}
	e := raw.(sdk.Connection)
	defer func() { _ = e.Close() }()
	if h := e.Hello(); h.Name != "import" || h.Version == "" {
		t.Errorf("it says %+v", h)
	}
	task := sdk.Task{ID: "01990f4e-cccc-7000-8000-000000000001", Type: "import", Attempt: 1, Token: sdk.Token{1}, Input: []byte(`{"import_from": "small.qcow2"}`)}
	res, err := e.Execute(t.Context(), task, sdk.NewReporter(sdk.Reports{}))
	if err != nil {
		t.Fatal(err)
	}
	e.Settled(task.Token)
	var out struct {
		DiskFormat  string `json:"disk_format"`
		VirtualSize int64  `json:"virtual_size"`
	}
	if err := json.Unmarshal(res.Data, &out); err != nil || out.DiskFormat != "qcow2" || out.VirtualSize != 8<<20 {
		t.Errorf("%s, %v", res.Data, err)
	}
	task.Result = &res
	if err := e.Revert(t.Context(), task, sdk.NewReporter(sdk.Reports{})); err != nil {
		t.Error(err)
	}
	if left, err := filepath.Glob(filepath.Join(cfg.DataDir, "images", "*")); err != nil || len(left) > 0 {
		t.Errorf("left after the revert: %v, %v", left, err)
	}
}
