package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/host"
	"github.com/taskhost/taskhost/host/config"
	remotequeue "github.com/taskhost/taskhost/plugins/remote-queue"
)

// work runs a worker until SIGTERM or an interrupt, and then drains it: for at most
// bound, and no longer than until a second signal.
func (p *program) work(path string, bound time.Duration) error {
	easeGC()
	src, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("config: %w", err)
	}
	cfg, err := config.LoadWorker(path, src)
	if err != nil {
		return err
	}
	log, err := p.logger(cfg.LogLevel, cfg.LogFormat == "json")
	if err != nil {
		return err
	}
	if cfg.DataDir == "" {
		cfg.DataDir = workerDir(cfg.Name)
	}
	o := remotequeue.WorkerOptions{Name: cfg.Name, Version: version(), Labels: cfg.Labels, Log: log.Named(cfg.Name)}
	if err := o.ParseQueue(cfg.Queue); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	set, err := p.localExecutors(cfg, log)
	if err != nil {
		return err
	}
	for _, x := range set.All() {
		o.Local = append(o.Local, remotequeue.Local{Name: x.Name, Executor: x.Impl, Slots: x.Slots, Changed: x.Changed})
	}
	err = runWorker(o, bound, log)
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return errors.Join(err, set.Close(ctx))
}

// localExecutors are the worker's own: made and supervised as a host's are.
func (p *program) localExecutors(cfg *config.Worker, log hclog.Logger) (*host.Executors, error) {
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	o := host.FromWorker(cfg)
	o.Builtins, o.Log, o.Version = p.builtins, log, version()
	o.Strict = true // a worker that cannot run what it is there for must not look as if it could
	return host.OpenExecutors(o, 1, "")
}

func runWorker(o remotequeue.WorkerOptions, bound time.Duration, log hclog.Logger) error {
	w, err := remotequeue.NewWorker(o)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- w.Run(context.Background()) }()
	log.Info("worker runs", "name", o.Name, "version", o.Version)
	notify(log, daemon.SdNotifyReady)
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	stop() // a second signal ends the wait
	again, done := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer done()
	again, cancel := context.WithTimeout(again, bound)
	defer cancel()
	notify(log, daemon.SdNotifyStopping)
	log.Info("draining: what runs gets to finish; a second signal gives it back")
	err = w.Drain(again)
	return errors.Join(err, <-ended)
}

// workerDir is where a worker keeps what its executors need, if its config does
// not say.
func workerDir(name string) string {
	const base = "taskhost-worker"
	if os.Geteuid() == 0 {
		return filepath.Join("/var/lib", base, name)
	}
	if d := os.Getenv("XDG_STATE_HOME"); d != "" {
		return filepath.Join(d, base, name)
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".local", "state", base, name)
	}
	return base + "-" + name
}
