package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/taskhost/taskhost/host/supervisor"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// FindPlugins are the binaries in the plugin directories.
func FindPlugins(o Options) ([]supervisor.Found, error) { return supervisor.Find(o.PluginDirs) }

// TryExecutor makes one executor, asks what it offers, and ends it: what an
// operator or author wants to know before a server runs it. A plugin that does
// not come up gives its last words.
func TryExecutor(ctx context.Context, o Options, x task.ExecutorConfig) (sdk.Info, error) {
	dir, err := os.MkdirTemp("", "taskhost-check-")
	if err != nil {
		return sdk.Info{}, err
	}
	defer os.RemoveAll(dir)
	o.DataDir, o.Executors, o.Strict = dir, []task.ExecutorConfig{x}, true
	set, err := OpenExecutors(o, 1, "")
	if err != nil {
		return sdk.Info{}, err
	}
	info, err := describe(ctx, set)
	return info, errors.Join(err, set.Close(context.WithoutCancel(ctx)))
}

func describe(ctx context.Context, set *Executors) (sdk.Info, error) {
	x := set.list[0]
	for {
		switch s := x.Source.Status(); s.State {
		case "ready":
			return x.Executor.Describe(ctx)
		case "starting":
		default:
			return sdk.Info{}, fmt.Errorf("executor %q is %s: %s", x.Name, s.State, strings.TrimSpace(s.Reason+"\n"+s.LastError))
		}
		select {
		case <-x.Source.Changed():
		case <-ctx.Done():
			return sdk.Info{}, ctx.Err()
		}
	}
}
