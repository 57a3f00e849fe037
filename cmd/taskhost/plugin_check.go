package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host"
	"github.com/taskhost/taskhost/host/config"
	"github.com/taskhost/taskhost/sdk"
)

// pluginCheck is the flags of plugin check.
type pluginCheck struct {
	executor string // whose config block the plugin gets
	block    string // or the block itself, as JSON
	typ      string
	input    string
	timeout  time.Duration
	verbose  bool
}

func (p *program) pluginCheckCmd() *cobra.Command {
	var f pluginCheck
	c := &cobra.Command{Use: "check FILE|NAME", Short: "Try whether a plugin keeps the rules that a host relies on", Args: cobra.ExactArgs(1),
		Long: "Try whether a plugin, a file or what plugin_dir has under a name, keeps the rules that a host relies on: it is started as a\n" +
			"server would, told to stop in each way, and tried with what it does not know. With --type a task of it is run as well, twice:\n" +
			"once to its end and once to be canceled. It takes some ten seconds. What scripts do beyond that, their author tests with the\n" +
			"Go package sdk/sdktest.\n\n" +
			"The exit code is 1 if a check failed, and 5 if there is no such plugin.",
		Example: "  taskhost plugin check bin/plugins/hello --type greet --input '{\"name\": \"you\"}'\n" +
			"  taskhost plugin check import --config taskhost.hcl --executor images",
	}
	withConfig(c, func(ctx context.Context, cfg *config.Config, args []string) error {
		ctx, stop := signal.NotifyContext(ctx, os.Interrupt)
		defer stop()
		return p.checkPlugin(ctx, cfg, args[0], &f)
	})
	c.Flags().StringVar(&f.executor, "executor", "", "give it the config of this executor block of the config file")
	c.Flags().StringVar(&f.block, "block", "", "give it this config: the attributes of a config block, as one JSON object")
	c.Flags().StringVar(&f.typ, "type", "", "run a task of this type")
	c.Flags().StringVar(&f.input, "input", "", "the task's input: JSON, @file, or - for stdin")
	c.Flags().DurationVar(&f.timeout, "timeout", time.Minute, "how long the task may take")
	c.Flags().BoolVar(&f.verbose, "verbose", false, "show what the plugin and its task log, on stderr")
	return c
}

// checkedPlugin is what plugin check prints as JSON.
type checkedPlugin struct {
	Plugin string `json:"plugin"`
	Path   string `json:"path"`
	host.PluginReport
}

func (p *program) checkPlugin(ctx context.Context, cfg *config.Config, arg string, f *pluginCheck) error {
	path, err := p.pluginPath(cfg, arg)
	if err != nil {
		return err
	}
	trial := host.PluginTrial{Path: path, Type: f.typ, Timeout: f.timeout, AllowWritable: cfg.AllowWritablePlugins, Env: cfg.PluginEnv}
	if trial.Config, err = f.config(cfg); err != nil {
		return err
	}
	if trial.ConfigDir = cfg.Dir(); f.executor == "" { // a block on the command line
		if trial.ConfigDir, err = os.Getwd(); err != nil {
			return err
		}
	}
	if trial.Input, err = readJSON("--input", f.input, p.in); err != nil {
		return err
	}
	if f.verbose {
		trial.Log = hclog.New(&hclog.LoggerOptions{Level: hclog.Debug, Output: p.err})
	}
	tell := func(host.PluginCheck) {}
	if p.format == formatTable {
		fmt.Fprintln(p.err, "checking "+printable(path))
		tell = func(c host.PluginCheck) {
			fmt.Fprintf(p.out, "%-7s  %-24s  %s\n", paintCheck(c.Result, colors(p.out)), c.Name, printable(foldLines(c.Message)))
		}
	}
	report, err := host.CheckPlugin(ctx, trial, tell)
	if errors.Is(err, context.Canceled) {
		return &exitError{code: exitInterrupted}
	}
	if err != nil {
		return err
	}
	if p.format != formatTable {
		out := checkedPlugin{Plugin: filepath.Base(path), Path: path, PluginReport: *report}
		if err := printFields(p, out, out.Plugin, nil); err != nil {
			return err
		}
	}
	if n := report.Failed(); n > 0 {
		return fmt.Errorf("%d of %d checks failed", n, len(report.Checks))
	}
	return nil
}

// paintCheck is a result as it stands in its column.
func paintCheck(r host.CheckResult, color bool) string {
	text := fmt.Sprintf("%-7s", r)
	if !color {
		return text
	}
	code := map[host.CheckResult]string{host.CheckPassed: "32", host.CheckFailed: "31", host.CheckSkipped: "33"}[r]
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}

// config is what the plugin is to be configured with.
func (f *pluginCheck) config(cfg *config.Config) (json.RawMessage, error) {
	if f.executor != "" && f.block != "" {
		return nil, usagef("--executor and --block both say what the plugin's config is: give one of them")
	}
	if f.executor == "" {
		if f.block != "" && !json.Valid([]byte(f.block)) {
			return nil, usagef("--block is not JSON: write an object, such as '{\"images_dir\": \"/tmp/images\"}'")
		}
		return json.RawMessage(f.block), nil
	}
	var names []string
	for _, x := range cfg.Executors {
		if x.Name == f.executor {
			return x.Config, nil
		}
		names = append(names, x.Name)
	}
	return nil, usagef("the config has no executor %q; there are: %s", f.executor, strings.Join(names, ", "))
}

// pluginPath is the file that an argument means: a path, or a name in plugin_dir.
func (p *program) pluginPath(cfg *config.Config, arg string) (string, error) {
	if !strings.ContainsRune(arg, os.PathSeparator) {
		if path := filepath.Join(cfg.PluginDir, arg); cfg.PluginDir != "" && isFile(path) {
			return filepath.Abs(path)
		}
		if slices.ContainsFunc(p.builtins, func(b sdk.Plugin) bool { return b.Name == arg }) {
			return "", usagef("%q is built in: there is no file to check", arg)
		}
	}
	path, err := filepath.Abs(arg)
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return path, err
	}
	var names []string
	found, err := host.FindPlugins(host.FromConfig(cfg))
	for _, x := range found {
		if x.NotExecutable == nil {
			names = append(names, x.Name)
		}
	}
	where := "plugin_dir is not set"
	if cfg.PluginDir != "" {
		where = fmt.Sprintf("plugin_dir %s has no plugins", cfg.PluginDir)
	}
	if len(names) > 0 {
		where = fmt.Sprintf("plugin_dir %s has %s", cfg.PluginDir, strings.Join(names, ", "))
	}
	return "", errors.Join(&exitError{code: exitNotFound, msg: fmt.Sprintf("there is no plugin %q: it is no file, and %s", arg, where)}, err)
}

func isFile(path string) bool {
	info, err := os.Stat(path)
	return err == nil && !info.IsDir()
}
