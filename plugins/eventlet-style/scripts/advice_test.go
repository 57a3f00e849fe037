package scripts

import (
	"fmt"
	"strings"
	"testing"

	eventlet "github.com/taskhost/taskhost/plugins/eventlet-style"
	"github.com/taskhost/taskhost/sdk"
)

// What a script says to write works where it stands: its keys are those of its own part of
// the block, and the whole block takes it.
func TestAdviceWorksWhenCopied(t *testing.T) {
	p := eventlet.Plugin("test", All()...)
	run := func(block, url string) error {
		t.Helper()
		cfg := sdk.NewConfig("local", []byte(block), nil)
		cfg.DataDir = t.TempDir()
		x, err := p.New(cfg)
		if err != nil {
			t.Fatalf("%s: %v", block, err)
		}
		_, err = sdk.Execute(t.Context(), x, sdk.Task{ID: "t", Type: "http", Attempt: 1, Token: sdk.Token{1}, Input: fmt.Appendf(nil, `{"url":%q}`, url)}, sdk.NewReporter(sdk.ReporterFuncs{}))
		return err
	}
	err := run(`{}`, "http://127.0.0.1:1/")
	if err == nil || !strings.HasSuffix(err.Error(), `scripts = { http = { allow_ports = [80,443,1] } })`) {
		t.Fatalf("another port: %v", err)
	}
	err = run(`{"scripts":{"http":{"allow_ports":[80,443,1]}}}`, "http://127.0.0.1:1/")
	if err == nil || !strings.HasSuffix(err.Error(), `scripts = { http = { allow_hosts = ["127.0.0.1"] } })`) {
		t.Fatalf("another host: %v", err)
	}
	err = run(`{"scripts":{"http":{"allow_ports":[80,443,1],"allow_hosts":["127.0.0.1"]}}}`, "http://127.0.0.1:1/")
	if err == nil || strings.Contains(err.Error(), "refused: ") {
		t.Errorf("what was said to be written lets through: %v", err)
	}
}
