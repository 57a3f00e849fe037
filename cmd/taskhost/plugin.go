package main

import (
	"context"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host"
	"github.com/taskhost/taskhost/host/config"
	"github.com/taskhost/taskhost/host/supervisor"
)

// plugin is one line of plugin list.
type plugin struct {
	Name    string `json:"name"`
	Version string `json:"version,omitempty"` // Version is known of built-ins alone: a binary is not run to be listed.
	Path    string `json:"path,omitempty"`    // Path is that of a binary.
	SHA256  string `json:"sha256,omitempty"`
	Refused string `json:"refused,omitempty"` // Refused says why the binary would not be run.
}

func (p *program) pluginCmd() *cobra.Command {
	return group("plugin", "The code behind executors", p.pluginListCmd(), p.pluginCheckCmd())
}

func (p *program) pluginListCmd() *cobra.Command {
	c := &cobra.Command{Use: "list", Short: "List plugins: built-ins and the binaries in plugin_dir", Args: cobra.NoArgs}
	return withConfig(c, func(_ context.Context, cfg *config.Config, _ []string) error {
		o := host.FromConfig(cfg)
		found, err := host.FindPlugins(o)
		if err != nil {
			return err
		}
		all := []plugin{}
		for _, b := range append(slices.Clone(p.builtins), host.BoardPlugin(version())) {
			all = append(all, plugin{Name: b.Name, Version: b.Version})
		}
		for _, x := range found {
			line := plugin{Name: x.Name, Path: x.Path}
			refused := x.NotExecutable
			if refused == nil {
				line.SHA256, refused = supervisor.Checksum(x.Path)
			}
			if refused == nil && !o.AllowWritablePlugins {
				refused = x.Writable
			}
			if refused != nil {
				line.Refused = refused.Error()
				fmt.Fprintln(p.err, "warning:", line.Refused)
			}
			all = append(all, line)
		}
		return printList(p, pluginTable(), all, map[string][]plugin{"plugins": all})
	})
}

func pluginTable() tableFormat[plugin] {
	return tableFormat[plugin]{
		prose:  true, // the paths
		header: []string{"PLUGIN", "VERSION", "STATE", "PATH"},
		name:   func(x plugin) string { return x.Name },
		cells: func(x plugin) []string {
			switch {
			case x.Path == "":
				return []string{x.Name, x.Version, "ok", "built in"}
			case x.Refused != "":
				return []string{x.Name, "-", "refused", x.Path}
			}
			return []string{x.Name, "-", "ok", x.Path}
		},
	}
}
