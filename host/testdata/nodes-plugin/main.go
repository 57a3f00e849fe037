// Command nodes-plugin serves an executor with one node from a process of its own.
package main

import (
	"context"
	"fmt"
	"sync"

	"github.com/taskhost/taskhost/sdk"
)

type executor struct {
	sdk.Executor
	cfg      sdk.Config
	mu       sync.Mutex
	draining bool
}

func (x *executor) Describe(ctx context.Context) (sdk.Info, error) {
	info, err := x.Executor.Describe(ctx)
	x.mu.Lock()
	defer x.mu.Unlock()
	info.ControlsNodes = true
	info.Nodes = []sdk.Node{{Name: "n1", Types: []string{"noop"}, Slots: 1, Draining: x.draining}}
	return info, err
}

func (x *executor) ControlNode(_ context.Context, node, action string) error {
	if node != "n1" {
		return fmt.Errorf("%w: %q", sdk.ErrUnknownNode, node)
	}
	if action != "drain" {
		return fmt.Errorf("%w: %q", sdk.ErrUnknownAction, action)
	}
	x.mu.Lock()
	x.draining = true
	x.mu.Unlock()
	x.cfg.Changed()
	return nil
}

func main() {
	sdk.Serve(sdk.Plugin{Name: "nodes", Version: "1", New: func(cfg sdk.Config) (sdk.Executor, error) {
		scripts, err := sdk.NewScripts(sdk.Func("noop", func(context.Context, struct{}, sdk.Reporter) (int, error) { return 0, nil }))
		return &executor{Executor: scripts, cfg: cfg}, err
	}})
}
