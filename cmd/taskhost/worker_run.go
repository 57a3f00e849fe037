package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/host"
	"github.com/taskhost/taskhost/host/config"
	"github.com/taskhost/taskhost/host/files"
	remotequeue "github.com/taskhost/taskhost/plugins/remote-queue"
)

// runWorker runs a worker until SIGTERM or an interrupt, and then drains it: for at most
// drainTimeout. A second signal ends it at once.
func (p *program) runWorker(path string, drainTimeout time.Duration) error {
	relaxGC()
	hangups := takeHangups()
	cfg, o, problems, err := p.loadWorker(context.Background(), path)
	if err != nil {
		return err
	}
	// Before anything is made: the name is part of a path.
	if e := cfg.Explain(problems); e != nil {
		return e
	}
	json := cfg.LogFormat == "json"
	log, err := p.newLogger(cfg.LogLevel, json)
	if err != nil {
		return err
	}
	return lastWord(log, json, p.work(path, cfg, o, drainTimeout, hangups, log))
}

// work is what a worker does under cfg, which was read from the file at path, and o, which
// came of it.
func (p *program) work(path string, cfg *config.Worker, o remotequeue.WorkerOptions, drainTimeout time.Duration, hangups <-chan os.Signal, log hclog.Logger) error {
	dir, err := cfg.DefaultDir()
	if err != nil {
		return err
	}
	if cfg.DataDir != "" {
		dir = cfg.DataDir
	}
	o.Log = log.Named(cfg.Name)
	set, err := p.localExecutors(cfg, dir, log)
	if err != nil {
		return err
	}
	for _, x := range set.All() {
		o.Local = append(o.Local, remotequeue.Local{Name: x.Name, Executor: x.Executor, Slots: x.Slots, Changed: x.Source.Changed()})
	}
	reloads, endReloads := context.WithCancel(context.Background())
	go reloadOnHangup(reloads, hangups, log, p.reloadWorker(path, cfg))
	err = runUntilSignaled(o, drainTimeout, log, endReloads)
	patience := 20 * time.Second
	if errors.Is(err, errSecondSignal) {
		patience = time.Second
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err = errors.Join(err, set.Close(ctx)); err == nil {
		log.Info("worker has ended in good order", "name", cfg.Name)
	}
	return err
}

// reloadWorker makes the reloader of a worker under cfg.
func (p *program) reloadWorker(path string, cfg *config.Worker) reloader {
	return func() ([]config.Change, error) {
		read, _, problems, err := p.loadWorker(context.Background(), path)
		if err != nil {
			return nil, err
		}
		if e := read.Explain(problems); e != nil {
			return nil, e
		}
		next, changes := cfg.Reload(read)
		cfg = next
		return changes, nil
	}
}

// errSecondSignal is what a worker says that was told twice to end.
var errSecondSignal error = &exitError{code: exitInterrupted, msg: "ended at once by a second signal: what still ran is interrupted"}

// localExecutors are the worker's own, with dir for all that they keep: made and supervised as
// a host's are.
func (p *program) localExecutors(cfg *config.Worker, dir string, log hclog.Logger) (*host.Executors, error) {
	if err := files.MakePrivateDir(dir); err != nil {
		return nil, fmt.Errorf("data directory: %w", err)
	}
	o := host.FromWorker(cfg)
	o.DataDir = dir
	o.Builtins = p.builtins
	o.Log = log
	o.Version = version()
	o.Strict = true // a worker that cannot run what it is there for must not look as if it could
	return host.OpenExecutors(o, 1, "")
}

// runUntilSignaled is the worker's life between its making and its end: it runs, is told
// to drain, and gets at most drainTimeout for that. endReloads is called when it runs no
// more.
func runUntilSignaled(o remotequeue.WorkerOptions, drainTimeout time.Duration, log hclog.Logger, endReloads func()) error {
	defer endReloads()
	w, err := remotequeue.NewWorker(o)
	if err != nil {
		return err
	}
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	ended := make(chan error, 1)
	go func() { ended <- w.Run(context.Background()) }()
	log.Info("worker runs", "name", o.Name, "version", o.Version)
	notifySystemd(log, daemon.SdNotifyReady)
	select {
	case err := <-ended:
		return err
	case <-signals:
	}
	ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
	defer cancel()
	endReloads()
	notifySystemd(log, daemon.SdNotifyStopping)
	log.Info("draining: what runs gets to finish; a second signal ends the worker at once", "drain_timeout", drainTimeout)
	drained := make(chan error, 1)
	go func() { drained <- w.Drain(ctx) }()
	select {
	case err := <-drained:
		return errors.Join(err, <-ended)
	case <-signals:
	}
	signal.Stop(signals) // a third one is nobody's to catch
	log.Warn("a second signal: what still runs is interrupted")
	cancel()
	return errors.Join(errSecondSignal, <-drained, <-ended)
}
