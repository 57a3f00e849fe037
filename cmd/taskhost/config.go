package main

import (
	"fmt"
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

func (p *program) serverCmd() *cobra.Command {
	var f configFlags
	var strict, older bool
	c := &cobra.Command{Use: "server", Short: "Run the service", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			cfg, err := f.load()
			if err != nil {
				return err
			}
			o := host.FromConfig(cfg)
			o.Builtins, o.Version = p.builtins, version()
			o.Strict, o.AcceptOlderStore = strict, older
			if o.Log, err = p.logger(cfg.LogLevel, cfg.LogFormat == "json"); err != nil {
				return err
			}
			return p.serve(o, func() (host.Options, error) {
				cfg, err := p.checkConfig(&f)
				if err != nil {
					return host.Options{}, err
				}
				return host.FromConfig(cfg), nil
			})
		}}
	f.add(c)
	c.Flags().BoolVar(&strict, "strict", false, "refuse to start where an executor cannot be made (default: start the others, show it as it is, and try it again)")
	acceptOlder(c, &older)
	return c
}

// acceptOlder is the flag by which an operator takes a loss. It is none of the
// config's: it is for one start.
func acceptOlder(c *cobra.Command, to *bool) {
	c.Flags().BoolVar(to, "accept-older-store", false, "start on a store that lacks work which was acknowledged: put back from a backup, or without its log")
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

func (p *program) configCmd() *cobra.Command {
	var f, g configFlags
	validate := &cobra.Command{Use: "validate [FILE]", Short: "Say whether a config is right, and all that is wrong with it", Args: cobra.MaximumNArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			if len(args) == 1 {
				f.path = args[0]
			}
			cfg, err := p.checkConfig(&f)
			if err != nil {
				return err
			}
			fmt.Fprintf(p.err, "the config is right: %d executors, %d task types placed or tuned\n", len(cfg.Executors), len(cfg.Types))
			return nil
		}}
	f.add(validate)
	showCmd := &cobra.Command{Use: "show", Short: "Print every value in force and where it came from", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			cfg, err := g.load()
			if err != nil {
				return err
			}
			type setting struct {
				Key    string `json:"key"`
				Value  string `json:"value"`
				Origin string `json:"origin"`
			}
			var all []setting
			for _, s := range cfg.Show() {
				all = append(all, setting(s))
			}
			return list(p, rows[setting]{header: []string{"KEY", "VALUE", "FROM"}, name: func(s setting) string { return s.Key },
				cells: func(s setting) []string { return []string{s.Key, s.Value, s.Origin} }}, all, all)
		}}
	g.add(showCmd)
	return group("config", "The server's config", validate, showCmd)
}
