package main

import (
	"context"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host"
	"github.com/taskhost/taskhost/host/config"
)

// configFlags are how a command is told of the server's config.
type configFlags struct {
	// path of the file; "" for none, where defaults hold.
	path      string
	overrides config.Flags
}

func (f *configFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.path, "config", os.Getenv("TASKHOST_CONFIG"), "config file (TASKHOST_CONFIG); without one, defaults hold")
	c.Flags().StringVar(&f.overrides.Listen, "listen", "", "address of the REST side (TASKHOST_LISTEN)")
	c.Flags().StringVar(&f.overrides.DataDir, "data-dir", "", "where the store is (TASKHOST_DATA_DIR)")
	c.Flags().StringVar(&f.overrides.PluginDir, "plugin-dir", "", "where plugin binaries are (TASKHOST_PLUGIN_DIR)")
	c.Flags().StringVar(&f.overrides.LogLevel, "log-level", "", "trace, debug, info, warn or error (TASKHOST_LOG_LEVEL)")
}

func (f *configFlags) load() (*config.Config, error) {
	return config.Load(f.path, os.Environ(), f.overrides)
}

// checkConfig reads the config and has its plugins judge it; with ask, plugin processes are
// started once for that.
func (p *program) checkConfig(ctx context.Context, f *configFlags, ask bool) (*config.Config, verdict, error) {
	cfg, err := f.load()
	if err != nil {
		return nil, verdict{}, err
	}
	o := host.FromConfig(cfg)
	o.Builtins = p.builtins
	v, err := judge(ctx, &cfg.Common, o, ask)
	return cfg, v, err
}

// verdict is what is known of a config that works.
type verdict struct {
	// warnings are nil if there are none.
	warnings *config.Error
	// unchecked are the executors whose config was not checked.
	unchecked []string
}

// judge has the plugins of a config judge it. The error is all that is wrong with it, with
// more that was found beside its options.
func judge(ctx context.Context, c *config.Common, o host.Options, ask bool, more ...config.Problem) (verdict, error) {
	found, err := host.Check(ctx, o, ask)
	if errors.Is(err, context.Canceled) {
		return verdict{}, &exitError{code: exitInterrupted}
	}
	if err != nil {
		return verdict{}, err
	}
	all := c.Explain(append(found.Problems, more...))
	if all != nil && !all.OnlyWarnings() {
		return verdict{}, all
	}
	return verdict{warnings: all, unchecked: found.Unchecked}, nil
}

// withConfig makes c a command that works with the server's config: run gets what the
// flags, the environment and the file say.
func withConfig(c *cobra.Command, run func(ctx context.Context, cfg *config.Config, args []string) error) *cobra.Command {
	var f configFlags
	f.add(c)
	c.RunE = func(c *cobra.Command, args []string) error {
		cfg, err := f.load()
		if err != nil {
			return err
		}
		return run(c.Context(), cfg, args)
	}
	return c
}
