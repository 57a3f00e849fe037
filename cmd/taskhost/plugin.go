package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host"
	"github.com/taskhost/taskhost/host/config"
	"github.com/taskhost/taskhost/host/supervisor"
	"github.com/taskhost/taskhost/host/task"
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
	c := &cobra.Command{Use: "list", Short: "List what plugin = \"…\" can name: built-ins and the binaries in plugin_dir", Args: cobra.NoArgs}
	return withConfig(c, func(_ context.Context, cfg *config.Config, _ []string) error {
		o := host.FromConfig(cfg)
		found, err := host.FindPlugins(o)
		if err != nil {
			return err
		}
		all := []plugin{}
		for _, b := range p.builtins {
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

// pluginCheckTimeout bounds how long a plugin may take to say what it offers.
const pluginCheckTimeout = time.Minute

func (p *program) pluginCheckCmd() *cobra.Command {
	var block string
	c := &cobra.Command{Use: "check FILE", Short: "Start a plugin, ask what it offers, and end it",
		Long: "Start a plugin as a server would, ask what it offers, and end it.\nThe conformance suite for its author is the Go package sdk/sdktest.",
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			path, err := filepath.Abs(args[0])
			if err != nil {
				return err
			}
			if _, err := os.Stat(path); err != nil {
				return fmt.Errorf("there is no plugin to check: %w", err)
			}
			ctx, stop := signal.NotifyContext(c.Context(), os.Interrupt)
			defer stop()
			ctx, cancel := context.WithTimeout(ctx, pluginCheckTimeout)
			defer cancel()
			info, err := host.TryExecutor(ctx, host.Options{PluginDirs: []string{filepath.Dir(path)}},
				task.ExecutorConfig{Name: "check", Plugin: filepath.Base(path), Config: []byte(block)})
			if err != nil {
				return err
			}
			fields := []field{{"plugin", args[0]}}
			if info.Slots > 0 {
				fields = append(fields, field{"slots", strconv.Itoa(info.Slots)})
			}
			for _, t := range info.Types {
				fields = append(fields, field{"type", strings.TrimSpace(t.Name + "  " + t.Description)})
			}
			if err := printFields(p, info, args[0], fields); err != nil {
				return err
			}
			fmt.Fprintln(p.err, "the plugin starts, describes itself and ends as it should")
			return nil
		}}
	c.Flags().StringVar(&block, "config", "", "its config block's attributes, as one JSON object")
	return c
}
