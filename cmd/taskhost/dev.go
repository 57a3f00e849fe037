package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host"
	"github.com/taskhost/taskhost/host/config"
	"github.com/taskhost/taskhost/host/task"
)

func (p *program) devCmd() *cobra.Command {
	var dir, listen, plugins, level string
	var older bool
	c := &cobra.Command{Use: "dev", Short: "Run a server on a throw-away store",
		Long: "Run a server for trying things out: open to this machine, with the built-in executors, and a store\nthat is deleted when it ends, unless --data-dir names one to keep.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			hangups := takeHangups()
			log, err := p.newLogger(level, false)
			if err != nil {
				return err
			}
			for _, path := range []*string{&dir, &plugins} {
				if *path != "" {
					if *path, err = filepath.Abs(*path); err != nil {
						return err
					}
				}
			}
			if dir == "" {
				if dir, err = os.MkdirTemp("", "taskhost-dev-"); err != nil {
					return err
				}
				defer os.RemoveAll(dir)
			}
			fmt.Fprintf(p.err, "taskhost dev at http://%s, store in %s; try: taskhost task submit sum --input '[1, 2]' --wait%s\n", listen, dir, addrFlag(listen, dir))
			return p.serve(host.Options{
				DataDir: dir, Listen: listen, Builtins: p.builtins, PluginDirs: []string{plugins}, Log: log, Version: version(),
				AcceptOlderStore: older,
				Executors:        []task.ExecutorConfig{{Name: "local", Plugin: "eventlet-style"}},
			}, hangups, nil)
		}}
	c.Flags().StringVar(&dir, "data-dir", "", "keep the store here (default: a temporary directory)")
	c.Flags().StringVar(&listen, "listen", config.DefaultListen, "address of the REST side")
	c.Flags().StringVar(&plugins, "plugin-dir", besideBinary("plugins"), "where plugin binaries are")
	addAcceptOlder(c, &older)
	c.Flags().StringVar(&level, "log-level", "info", "trace, debug, info, warn or error")
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

func besideBinary(name string) string {
	exe, err := os.Executable()
	if err != nil {
		return name
	}
	return filepath.Join(filepath.Dir(exe), name)
}
