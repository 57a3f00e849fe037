package main

import (
	"context"
	"slices"
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
			hangups := takeHangups()
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
			json := cfg.LogFormat == "json"
			if o.Log, err = p.newLogger(cfg.LogLevel, json); err != nil {
				return err
			}
			logProblems(o.Log, &cfg.Common, slices.DeleteFunc(found.Problems, isExecutorFault))
			err = p.serve(o, hangups, func(h *host.Host) reloader { return p.reloadServer(h, &f, cfg, o.Log) })
			return lastWord(o.Log, json, err)
		}}
	f.add(c)
	c.Flags().BoolVar(&strict, "strict", false, "refuse to start where an executor cannot be made (default: start the others, show it as it is, and try it again)")
	addAcceptOlder(c, &older)
	return c
}

// isExecutorFault says that a problem is an executor's, which the host tells when it starts.
func isExecutorFault(p config.Problem) bool {
	return !p.Warning && strings.HasPrefix(p.Key, "executor.")
}

// logProblems has the log say what is wrong with a config, or odd. The server goes on: what
// it can run, it runs.
func logProblems(log hclog.Logger, c *config.Common, problems []config.Problem) {
	for _, p := range problems {
		log.Warn("config: "+p.Summary, "key", p.Key, "at", c.Place(p.Key), "detail", p.Detail)
	}
}

// reloadServer makes the reloader of a server under cfg.
func (p *program) reloadServer(h *host.Host, f *configFlags, cfg *config.Config, log hclog.Logger) reloader {
	return func() ([]config.Change, error) {
		read, err := f.load()
		if err != nil {
			return nil, err
		}
		next, changes := cfg.Reload(read)
		if err := h.Reload(host.FromConfig(next)); err != nil {
			return nil, err
		}
		cfg = next
		if len(changes) > 0 { // also what is wrong with executors that a restart would make
			o := host.FromConfig(read)
			o.Builtins = p.builtins
			found, err := host.Check(context.Background(), o, false)
			if err != nil {
				log.Warn("config: not checked", "error", err)
			}
			logProblems(log, &read.Common, found.Problems)
		}
		return changes, nil
	}
}

// addAcceptOlder adds the flag by which an operator takes a loss. It is none of the
// config's: it is for one start.
func addAcceptOlder(c *cobra.Command, to *bool) {
	c.Flags().BoolVar(to, "accept-older-store", false, "start on a store that lacks work which was acknowledged: put back from a backup, or without its log")
}
