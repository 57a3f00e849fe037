package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/hashicorp/go-hclog"
	"github.com/spf13/cobra"

	"github.com/taskhost/taskhost/host"
	"github.com/taskhost/taskhost/host/config"
	"github.com/taskhost/taskhost/host/task"
)

// serve runs a host until SIGTERM or an interrupt, and ends it in good order. A
// second signal ends the process at once.
// reload, if not nil, reads the config anew on SIGHUP.
func (p *program) serve(o host.Options, reload func() (host.Options, error)) error {
	easeGC()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	h, err := host.Open(ctx, o)
	if err != nil {
		return err
	}
	o.Log.Info("taskhost is ready", "version", o.Version, "listen", h.Addr(), "data_dir", o.DataDir)
	notify(o.Log, daemon.SdNotifyReady)
	go hangups(ctx, h, reload, o.Log)
	err = h.Run(ctx)
	stop()
	notify(o.Log, daemon.SdNotifyStopping)
	o.Log.Info("stopping: running attempts get to finish; a second signal ends at once")
	if cerr := h.Close(); err == nil {
		err = cerr
	}
	return err
}

// hangups puts a changed config in force on each SIGHUP: all of it is read and
// checked first, and the old one stays if anything is wrong.
func hangups(ctx context.Context, h *host.Host, reload func() (host.Options, error), log hclog.Logger) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	for {
		select {
		case <-hup:
		case <-ctx.Done():
			return
		}
		if reload == nil {
			continue
		}
		o, err := reload()
		if err == nil {
			err = h.Reload(o)
		}
		if err != nil {
			log.Error("config not reloaded", "error", err)
			continue
		}
		log.Info("config reloaded", "task_types", len(o.Types))
	}
}

// easeGC lets the heap grow to five times what is in use between collections,
// unless GOGC says otherwise: what is in use is a few megabytes, and each task
// leaves a few kilobytes behind.
func easeGC() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
}

// notify tells systemd, where that started us.
func notify(log hclog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("systemd was not told", "state", state, "error", err)
	}
}

func (p *program) logger(level string, json bool) (hclog.Logger, error) {
	l := hclog.LevelFromString(level)
	if l == hclog.NoLevel {
		return nil, usagef("log level %q: want trace, debug, info, warn or error", level)
	}
	return hclog.New(&hclog.LoggerOptions{Name: "taskhost", Level: l, Output: logWriter{p.err}, JSONFormat: json}), nil
}

func (p *program) devCmd() *cobra.Command {
	var dir, listen, plugins, level string
	var older bool
	c := &cobra.Command{Use: "dev", Short: "Run a server on a throw-away store",
		Long: "Run a server for trying things out: open to this machine, with the built-in executors, and a store\nthat is deleted when it ends, unless --data-dir names one to keep.",
		Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			log, err := p.logger(level, false)
			if err != nil {
				return err
			}
			if dir == "" {
				if dir, err = os.MkdirTemp("", "taskhost-dev-"); err != nil {
					return err
				}
				defer os.RemoveAll(dir)
			}
			fmt.Fprintf(p.err, "taskhost dev at http://%s, store in %s; try: taskhost task submit sum --input '[1, 2]' --wait\n", listen, dir)
			return p.serve(host.Options{
				DataDir: dir, Listen: listen, Builtins: p.builtins, PluginDirs: []string{plugins}, Log: log, Version: version(),
				AcceptOlderStore: older,
				Executors:        []task.ExecutorConfig{{Name: "local", Plugin: "eventlet-style"}},
			}, nil)
		}}
	c.Flags().StringVar(&dir, "data-dir", "", "keep the store here (default: a temporary directory)")
	c.Flags().StringVar(&listen, "listen", config.DefaultListen, "address of the REST side")
	c.Flags().StringVar(&plugins, "plugin-dir", besideBinary("plugins"), "where plugin binaries are")
	acceptOlder(c, &older)
	c.Flags().StringVar(&level, "log-level", "info", "trace, debug, info, warn or error")
	return c
}

func besideBinary(name string) string {
	exe, err := os.Executable()
	if err != nil {
		return name
	}
	return filepath.Join(filepath.Dir(exe), name)
}
