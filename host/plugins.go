package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/go-hclog"

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

// CheckPlugins says which executors of o could not be made: an unknown plugin, a
// binary that is not the one named, a built-in that refuses its block. It runs
// no process; scripts may make the folders that their config names.
func CheckPlugins(o Options) error {
	dir, err := os.MkdirTemp("", "taskhost-check-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var errs []error
	for _, x := range o.Executors {
		if err := checkPlugin(o, x, filepath.Join(dir, x.Name)); err != nil {
			errs = append(errs, fmt.Errorf("executor %q: %w", x.Name, err))
		}
	}
	return errors.Join(errs...)
}

func checkPlugin(o Options, x task.ExecutorConfig, dir string) error {
	var names []string
	for _, b := range o.Builtins {
		names = append(names, b.Name)
		if b.Name == x.Plugin {
			return tryBuiltin(b, x, dir)
		}
	}
	found, err := supervisor.Lookup(o.PluginDirs, names, x.Plugin)
	if err != nil {
		return err
	}
	if found.Writable != nil && !o.AllowWritablePlugins {
		return found.Writable
	}
	if x.SHA256 == "" {
		return nil
	}
	sum, err := supervisor.Checksum(found.Path)
	if err == nil && sum != x.SHA256 {
		err = fmt.Errorf("%s has sha256 %s, the config says %s", found.Path, sum, x.SHA256)
	}
	return err
}

// tryBuiltin has a built-in read its block.
func tryBuiltin(p sdk.Plugin, x task.ExecutorConfig, dir string) error {
	if p.Check == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	cfg := sdk.NewConfig(x.Name, x.Config, nil)
	cfg.DataDir, cfg.Slots, cfg.Log = dir, x.Slots, hclog.NewNullLogger()
	return p.Check(cfg)
}
