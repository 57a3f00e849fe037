package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host/config"
)

func (p *program) configCmd() *cobra.Command {
	return group("config", "The config of a server or a worker", p.configValidateCmd(), p.configShowCmd(), p.configReferenceCmd())
}

func (p *program) configValidateCmd() *cobra.Command {
	var f configFlags
	var worker, offline bool
	c := &cobra.Command{Use: "validate [FILE]", Short: "Say whether a config is right, and all that is wrong with it", Args: cobra.MaximumNArgs(1),
		Long: "Say whether a config is right, and all that is wrong with it.\nEach plugin process is started once, asked what it is, and ended; it gets no config. With --offline none is.",
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				f.path = args[0]
			}
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt)
			defer stop()
			var summary string
			var v verdict
			var err error
			if worker {
				summary, v, err = p.validateWorker(ctx, c, f.path, !offline)
			} else {
				var cfg *config.Config
				if cfg, v, err = p.checkConfig(ctx, &f, !offline); err == nil {
					summary = fmt.Sprintf("%s, %s placed or tuned", counted(len(cfg.Executors), "executor"), counted(len(cfg.Types), "task type"))
				}
			}
			if err != nil {
				return err
			}
			p.tellVerdict(v, offline, summary)
			return nil
		}}
	f.add(c)
	c.Flags().BoolVar(&worker, "worker", false, "the file is a worker's")
	c.Flags().BoolVar(&offline, "offline", false, "start no plugin")
	return c
}

// tellVerdict says that a config is right, and what of it is odd or was not checked.
func (p *program) tellVerdict(v verdict, offline bool, summary string) {
	if v.warnings != nil {
		fmt.Fprintf(p.err, "%s\n\n", v.warnings)
	}
	fmt.Fprintln(p.err, "the config is right:", summary)
	if len(v.unchecked) > 0 {
		why := "its plugin declares no schema, and judges it when it starts"
		if offline {
			why = "no plugin was started"
		}
		for _, name := range v.unchecked {
			fmt.Fprintf(p.err, "the config of executor %q was not checked: %s\n", name, why)
		}
	}
}

func counted(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// setting is one line of config show.
type setting struct {
	Key    string `json:"key"`
	Value  string `json:"value"`
	Origin string `json:"origin"`
}

func (p *program) configShowCmd() *cobra.Command {
	c := &cobra.Command{Use: "show", Short: "Print every value in force and where it came from", Args: cobra.NoArgs}
	return withConfig(c, func(_ context.Context, cfg *config.Config, _ []string) error {
		var all []setting
		for _, s := range cfg.Show() {
			all = append(all, setting(s))
		}
		return printList(p, tableFormat[setting]{header: []string{"KEY", "VALUE", "FROM"}, name: func(s setting) string { return s.Key },
			cells: func(s setting) []string { return []string{s.Key, s.Value, s.Origin} }}, all, all)
	})
}
