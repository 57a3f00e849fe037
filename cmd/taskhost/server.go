package main

import (
	"context"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host"
)

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
			o.Builtins = p.builtins
			v, wrong := judge(context.Background(), &cfg.Common, o, false)
			if wrong != nil && strict {
				return wrong
			}
			o.Version = version()
			o.Strict = strict
			o.AcceptOlderStore = older
			if o.Log, err = p.newLogger(cfg.LogLevel, cfg.LogFormat == "json"); err != nil {
				return err
			}
			sayVerdict(o.Log, v, wrong)
			return p.serve(o, func() (host.Options, error) {
				cfg, _, err := p.checkConfig(context.Background(), &f, false)
				if err != nil {
					return host.Options{}, err
				}
				return host.FromConfig(cfg), nil
			})
		}}
	f.add(c)
	c.Flags().BoolVar(&strict, "strict", false, "refuse to start where an executor cannot be made (default: start the others, show it as it is, and try it again)")
	addAcceptOlder(c, &older)
	return c
}

// sayVerdict has the log say what is wrong with the config, or odd. The server starts all the
// same: what it can run, it runs.
func sayVerdict(log hclog.Logger, v verdict, err error) {
	switch {
	case err != nil:
		log.Error("config is wrong", "error", err)
	case v.warnings != nil:
		log.Warn("config may not be as it was meant", "warnings", v.warnings)
	}
}

// addAcceptOlder adds the flag by which an operator takes a loss. It is none of the
// config's: it is for one start.
func addAcceptOlder(c *cobra.Command, to *bool) {
	c.Flags().BoolVar(to, "accept-older-store", false, "start on a store that lacks work which was acknowledged: put back from a backup, or without its log")
}
