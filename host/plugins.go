package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/host/supervisor"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// FindPlugins are the binaries in the plugin directories.
func FindPlugins(o Options) ([]supervisor.Found, error) { return supervisor.Find(o.PluginDirs) }

// CheckPlugins says which executors of o could not be made: an unknown plugin, a
// binary that is not the one named, a built-in that refuses its block. It runs
// no process; scripts may make the folders that their config names.
func CheckPlugins(o Options) error {
	found, err := supervisor.Find(o.PluginDirs)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "taskhost-check-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	var errs []error
	for _, x := range o.Executors {
		if err := checkPlugin(o, x, found, filepath.Join(dir, x.Name)); err != nil {
			errs = append(errs, fmt.Errorf("executor %q: %w", x.Name, err))
		}
	}
	return errors.Join(errs...)
}

func checkPlugin(o Options, x task.ExecutorConfig, found []supervisor.Found, dir string) error {
	var names []string
	for _, b := range o.Builtins {
		names = append(names, b.Name)
		if b.Name == x.Plugin {
			return tryBuiltin(b, x, dir)
		}
	}
	for _, f := range found {
		names = append(names, f.Name)
	}
	i := slices.IndexFunc(found, func(f supervisor.Found) bool { return f.Name == x.Plugin })
	switch {
	case i < 0:
		return fmt.Errorf("no plugin is named %q; there are: %s", x.Plugin, strings.Join(names, ", "))
	case x.SHA256 != "" && x.SHA256 != found[i].SHA256:
		return fmt.Errorf("%s has sha256 %s, the config says %s", found[i].Path, found[i].SHA256, x.SHA256)
	case found[i].Writable != nil && !o.AllowWritablePlugins:
		return found[i].Writable
	}
	return nil
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
