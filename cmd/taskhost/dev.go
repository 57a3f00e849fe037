package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host"
	"github.com/taskhost/taskhost/host/config"
)

func (p *program) devCmd() *cobra.Command {
	var f config.Flags
	var importRoot string
	var older bool
	c := &cobra.Command{Use: "dev", Short: "Run a server on a throw-away store",
		Long: "Run a server for trying things out: open to this machine, with the built-in executors, and a store\nthat is deleted when it ends, unless --data-dir names one to keep. It reads no config file.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			hangups := takeHangups()
			cfg, err := config.Load("", os.Environ(), f)
			if err != nil {
				return err
			}
			if f.DataDir == "" { // also where the environment names the service's own
				if cfg.DataDir, err = os.MkdirTemp("", "taskhost-dev-"); err != nil {
					return err
				}
				defer os.RemoveAll(cfg.DataDir)
			}
			if importRoot != "" {
				if cfg.Executors[0].Config, err = importBelow(importRoot); err != nil {
					return err
				}
			}
			o := host.FromConfig(cfg)
			o.Builtins = p.builtins
			o.Version = version()
			o.Strict = true // whoever tries things out wants to hear at once what is wrong
			o.AcceptOlderStore = older
			if o.Log, err = p.newLogger(cfg.LogLevel, cfg.LogFormat == "json"); err != nil {
				return err
			}
			fmt.Fprintf(p.err, "taskhost dev at http://%s, store in %s; try: taskhost task submit sum --input '[1, 2]' --wait%s\n", o.Listen, o.DataDir, addrFlag(o.Listen, o.DataDir))
			return p.serve(o, hangups, nil)
		}}
	c.Flags().StringVar(&f.DataDir, "data-dir", "", "keep the store here (default: a temporary directory)")
	c.Flags().StringVar(&f.Listen, "listen", "", "address of the REST side (TASKHOST_LISTEN; default "+config.DefaultListen+")")
	c.Flags().StringVar(&f.PluginDir, "plugin-dir", "", "where plugin binaries are (TASKHOST_PLUGIN_DIR; default: plugins/ beside this program)")
	c.Flags().StringVar(&f.LogLevel, "log-level", "", "trace, debug, info, warn or error (TASKHOST_LOG_LEVEL; default info)")
	c.Flags().StringVar(&importRoot, "import-root", "", "take images below this directory by their path, too (default: by URL alone)")
	addAcceptOlder(c, &older)
	return c
}

// addrFlag is what a client needs to find a server that listens there; "" if it looks there
// anyway. Which port the system chose stands in the data directory.
func addrFlag(listen, dataDir string) string {
	switch {
	case listen == config.DefaultListen:
		return ""
	case strings.HasSuffix(listen, ":0"):
		return ` --addr "$(cat ` + filepath.Join(dataDir, "address") + `)"`
	}
	return " --addr " + listen
}

// importBelow is the config of the built-in scripts in which import reads files below dir.
func importBelow(dir string) (json.RawMessage, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("--import-root: %w", err)
	}
	return json.Marshal(map[string]any{"scripts": map[string]any{"import": map[string]string{"import_root": dir}}})
}
