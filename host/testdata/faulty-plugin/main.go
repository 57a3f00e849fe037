// Faulty-plugin breaks one rule for plugins, by the name of its file.
package main

import (
	"context"
	"encoding/json"
	"os"
	"os/signal"
	"path/filepath"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/hashicorp/go-plugin"

	"github.com/taskhost/taskhost/sdk"
)

// faulty runs whatever it is given.
type faulty struct {
	sdk.Irreversible
	name string
	runs atomic.Int32
}

func (f *faulty) Describe(context.Context) (sdk.Info, error) {
	info := sdk.Info{Types: []sdk.TypeInfo{{Name: "work", Input: json.RawMessage(`{"type":"integer"}`)}}}
	switch f.name {
	case "offers-nonsense":
		info.Types = append(info.Types, sdk.TypeInfo{Name: "1st"}, sdk.TypeInfo{Name: "bad", Input: json.RawMessage(`{"type":7}`)})
	case "offers-nothing":
		info.Types = nil
	case "takes-anything":
		info.Outlives = true // or the SDK would keep it from that
	}
	return info, nil
}

func (f *faulty) Execute(_ context.Context, t sdk.Task, r sdk.Reporter) (sdk.Result, error) {
	switch {
	case f.name == "says-no-json":
		return sdk.Bytes(sdk.ContentJSON, []byte("{")), nil
	case f.name == "dies" && t.Type == "work":
		os.Exit(3)
	case f.name == "ignores-cancel" && t.Type == "work" && f.runs.Add(1) == 2:
		r.Progress(1, 2, "")
		select {}
	}
	return sdk.Text("done"), nil
}

// Close never returns in the plugin that clings to its life.
func (f *faulty) Close() error {
	if f.name == "clings" {
		select {}
	}
	return nil
}

func main() {
	name := filepath.Base(os.Args[0])
	p := sdk.Plugin{Name: name, Version: "1", New: func(sdk.Config) (sdk.Executor, error) {
		switch name {
		case "is-deaf-to-sigterm":
			signal.Ignore(syscall.SIGTERM)
		case "falls-silent":
			time.AfterFunc(3*time.Second, func() { _ = syscall.Kill(os.Getpid(), syscall.SIGSTOP) })
		}
		return &faulty{name: name}, nil
	}}
	if name == "declares-nonsense" {
		p.ConfigSchema, p.Types = sdk.ConfigSchema(struct{}{}), []string{"work", "play"}
	}
	if name != "is-bare" {
		sdk.Serve(p)
		return
	}
	// Without Serve nobody looks after the process.
	plugin.Serve(&plugin.ServeConfig{HandshakeConfig: sdk.Handshake(), Plugins: sdk.PluginSide(p), GRPCServer: sdk.PluginGRPCServer})
}
