package main

import (
	"os"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host"
	"github.com/taskhost/taskhost/host/config"
)

// configFlags are how a command is told of the server's config.
type configFlags struct {
	path string
	over config.Flags
}

func (f *configFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.path, "config", os.Getenv("TASKHOST_CONFIG"), "config file (TASKHOST_CONFIG); without one, defaults hold")
	c.Flags().StringVar(&f.over.Listen, "listen", "", "address of the REST side (TASKHOST_LISTEN)")
	c.Flags().StringVar(&f.over.DataDir, "data-dir", "", "where the store is (TASKHOST_DATA_DIR)")
	c.Flags().StringVar(&f.over.PluginDir, "plugin-dir", "", "where plugin binaries are (TASKHOST_PLUGIN_DIR)")
	c.Flags().StringVar(&f.over.LogLevel, "log-level", "", "trace, debug, info, warn or error (TASKHOST_LOG_LEVEL)")
}

func (f *configFlags) load() (*config.Config, error) {
	return config.Load(f.path, os.Environ(), f.over)
}

// checkConfig reads the config and asks what only the host knows: whether each
// executor's plugin exists, and built-ins take their block.
func (p *program) checkConfig(f *configFlags) (*config.Config, error) {
	cfg, err := f.load()
	if err != nil {
		return nil, err
	}
	o := host.FromConfig(cfg)
	o.Builtins = p.builtins
	return cfg, host.CheckPlugins(o)
}
