package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/hashicorp/go-plugin"

	"github.com/taskhost/taskhost/sdk"
)

func build(t *testing.T) string {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "import")
	if out, err := exec.CommandContext(t.Context(), "go", "build", "-o", bin, ".").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	return bin
}

// start runs the binary in its own process, with the certificates that a host uses.
func start(t *testing.T, bin string, cfg sdk.Config) (*plugin.Client, sdk.HostConnection) {
	t.Helper()
	client := plugin.NewClient(&plugin.ClientConfig{
		HandshakeConfig:  sdk.Handshake(),
		Plugins:          sdk.HostSide(sdk.HostOptions{Config: cfg, Epoch: 1}),
		AllowedProtocols: []plugin.Protocol{plugin.ProtocolGRPC},
		GRPCDialOptions:  sdk.HostDialOptions(),
		Cmd:              exec.Command(bin),
		AutoMTLS:         true,
		Logger:           hclog.New(&hclog.LoggerOptions{Level: hclog.Off}),
	})
	t.Cleanup(client.Kill)
	protocol, err := client.Client()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := protocol.Dispense(sdk.PluginKey)
	if err != nil {
		t.Fatal(err)
	}
	e := raw.(sdk.HostConnection)
	t.Cleanup(func() { _ = e.Close() })
	return client, e
}

func configOf(t *testing.T, attributes map[string]any) sdk.Config {
	t.Helper()
	data, err := json.Marshal(attributes)
	if err != nil {
		t.Fatal(err)
	}
	cfg := sdk.NewConfig("images", data, nil)
	cfg.DataDir = t.TempDir()
	return cfg
}

func TestBinary(t *testing.T) {
	root, err := filepath.Abs("../../examples/images")
	if err != nil {
		t.Fatal(err)
	}
	cfg := configOf(t, map[string]any{"import_root": root})
	_, e := start(t, build(t), cfg)
	if h := e.Hello(); h.Name != "import" || h.Version == "" {
		t.Errorf("it says %+v", h)
	}
	task := sdk.Task{ID: "01990f4e-cccc-7000-8000-000000000001", Type: "import", Attempt: 1, Token: sdk.Token{1}, Input: []byte(`{"import_from": "small.qcow2"}`)}
	res, err := e.Execute(t.Context(), task, sdk.NewReporter(sdk.ReporterFuncs{}))
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
	if err := e.Revert(t.Context(), task, sdk.NewReporter(sdk.ReporterFuncs{})); err != nil {
		t.Error(err)
	}
	if left, err := filepath.Glob(filepath.Join(cfg.DataDir, "images", "*")); err != nil || len(left) > 0 {
		t.Errorf("left after the revert: %v, %v", left, err)
	}
}

// A process is killed while it imports, and no attempt of that task follows. The next
// process removes what it left, and nothing of one that is at work beside it.
func TestWhatAKilledProcessLeft(t *testing.T) {
	rest := make(chan struct{})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = w.Write(make([]byte, 100000))
		w.(http.Flusher).Flush()
		select {
		case <-rest:
		case <-r.Context().Done():
		}
	}))
	defer srv.Close()
	u, err := url.Parse(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	bin, images := build(t), t.TempDir()
	cfg := configOf(t, map[string]any{"images_dir": images, "allow_hosts": []string{"127.0.0.1"}, "allow_ports": []json.Number{json.Number(u.Port())}})
	input, err := json.Marshal(map[string]string{"import_from": srv.URL})
	if err != nil {
		t.Fatal(err)
	}
	const killed, alive = "01990f4e-cccc-7000-8000-000000000001", "01990f4e-cccc-7000-8000-000000000002"
	type process struct {
		client *plugin.Client
		exec   sdk.HostConnection
		ended  chan error
	}
	processes := map[string]process{}
	for i, id := range []string{killed, alive} {
		p := process{ended: make(chan error, 1)}
		p.client, p.exec = start(t, bin, cfg)
		processes[id] = p
		go func() {
			task := sdk.Task{ID: id, Type: "import", Attempt: 1, Token: sdk.Token{byte(i)}, Input: input}
			_, err := p.exec.Execute(t.Context(), task, sdk.NewReporter(sdk.ReporterFuncs{}))
			p.ended <- err
		}()
		await(t, "an attempt at work", func() bool {
			return len(left(t, images, id)) == 2 && size(t, filepath.Join(images, left(t, images, id)[1])) == 100000
		})
	}
	if err := syscall.Kill(processes[killed].exec.Hello().Pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	await(t, "the end of the killed process", processes[killed].client.Exited)
	if err := <-processes[killed].ended; err == nil {
		t.Error("a killed attempt succeeded")
	}
	if names := left(t, images, killed); len(names) != 2 {
		t.Fatalf("a kill leaves %v; this test is for more", names)
	}

	_, next := start(t, bin, cfg)
	if _, err := next.Describe(t.Context()); err != nil {
		t.Fatal(err)
	}
	await(t, "the sweep", func() bool { return len(left(t, images, killed)) == 0 })
	if names := left(t, images, alive); len(names) != 2 {
		t.Errorf("of an attempt that is alive there is %v", names)
	}
	close(rest)
	if err := <-processes[alive].ended; err != nil {
		t.Error(err)
	}
	if size(t, filepath.Join(images, alive)) != 100000 {
		t.Error("the image is not whole")
	}
}

// left are the names in dir that hold id, sorted: metadata before data.
func left(t *testing.T, dir, id string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.Contains(e.Name(), id) {
			names = append(names, e.Name())
		}
	}
	return names
}

func size(t *testing.T, name string) int64 {
	t.Helper()
	info, err := os.Stat(name)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

// await polls for what has no event.
func await(t *testing.T, what string, is func() bool) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 30 seconds", what)
		}
	}
}
