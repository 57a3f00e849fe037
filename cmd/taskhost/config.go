package main

import (
	"fmt"

	"github.com/spf13/cobra"
)

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
