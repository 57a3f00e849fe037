package main

import (
	"context"
	"strings"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host"
	"github.com/taskhost/taskhost/host/config"
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
			found, err := host.Check(context.Background(), o, false)
			if err != nil {
				return err
			}
			if e := cfg.Explain(found.Problems); strict && e != nil && !e.OnlyWarnings() {
				return e
			}
			o.Version = version()
			o.Strict = strict
			o.AcceptOlderStore = older
			if o.Log, err = p.newLogger(cfg.LogLevel, cfg.LogFormat == "json"); err != nil {
				return err
			}
			logProblems(o.Log, &cfg.Common, found.Problems)
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

// logProblems has the log say what is wrong with a config, or odd, and is no executor's: the
// host says that itself. The server starts all the same: what it can run, it runs.
func logProblems(log hclog.Logger, c *config.Common, problems []config.Problem) {
	for _, p := range problems {
		if p.Warning || !strings.HasPrefix(p.Key, "executor.") {
			log.Warn("config: "+p.Summary, "key", p.Key, "at", c.Place(p.Key), "detail", p.Detail)
		}
	}
}

// addAcceptOlder adds the flag by which an operator takes a loss. It is none of the
// config's: it is for one start.
func addAcceptOlder(c *cobra.Command, to *bool) {
	c.Flags().BoolVar(to, "accept-older-store", false, "start on a store that lacks work which was acknowledged: put back from a backup, or without its log")
}
