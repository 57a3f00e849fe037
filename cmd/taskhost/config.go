package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host/config"
)

func (p *program) configCmd() *cobra.Command {
	return group("config", "The server's config", p.configValidateCmd(), p.configShowCmd())
}

func (p *program) configValidateCmd() *cobra.Command {
	var f configFlags
	c := &cobra.Command{Use: "validate [FILE]", Short: "Say whether a config is right, and all that is wrong with it", Args: cobra.MaximumNArgs(1),
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
	f.add(c)
	return c
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
