package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/host"
)

// serve runs a host until SIGTERM or an interrupt, and ends it in good order. A
// second signal ends the process at once. On a hangup it calls what reload makes; if reload
// is nil it ends as on SIGTERM, for its terminal is gone.
func (p *program) serve(o host.Options, hangups <-chan os.Signal, reload func(*host.Host) reloader) error {
	relaxGC()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	h, err := host.Open(ctx, o)
	if err != nil {
		return err
	}
	o.Log.Info("taskhost is ready", "version", o.Version, "listen", h.Addr(), "data_dir", o.DataDir)
	notifySystemd(o.Log, daemon.SdNotifyReady)
	if reload != nil {
		go reloadOnHangup(ctx, hangups, o.Log, reload(h))
	} else {
		go func() { <-hangups; stop() }()
	}
	err = h.Run(ctx)
	endAtSecondSignal(h, o.Log)
	stop()
	notifySystemd(o.Log, daemon.SdNotifyStopping)
	o.Log.Info("stopping: a second signal ends at once")
	if cerr := h.Close(); err == nil {
		err = cerr
	}
	if err == nil {
		o.Log.Info("taskhost has ended in good order")
	}
	return err
}

// endAtSecondSignal has the next signal end the process as if nobody took it, once the log
// has told what was left. No signal is lost between this and the handler of the first.
func endAtSecondSignal(h *host.Host, log hclog.Logger) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		sig := <-signals
		log.Warn("ended at once by a second signal: the next host settles what ran as lost", "attempts", h.Attempts())
		signal.Reset(sig)
		_ = syscall.Kill(os.Getpid(), sig.(syscall.Signal)) // one that was just received can be sent
	}()
}
