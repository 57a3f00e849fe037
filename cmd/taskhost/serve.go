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
// second signal ends the process at once.
// reload, if not nil, reads the config anew on SIGHUP.
func (p *program) serve(o host.Options, reload func() (host.Options, error)) error {
	relaxGC()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	h, err := host.Open(ctx, o)
	if err != nil {
		return err
	}
	o.Log.Info("taskhost is ready", "version", o.Version, "listen", h.Addr(), "data_dir", o.DataDir)
	notifySystemd(o.Log, daemon.SdNotifyReady)
	go reloadOnHangup(ctx, h, reload, o.Log)
	err = h.Run(ctx)
	stop()
	notifySystemd(o.Log, daemon.SdNotifyStopping)
	o.Log.Info("stopping: running attempts get to finish; a second signal ends at once")
	if cerr := h.Close(); err == nil {
		err = cerr
	}
	return err
}

// reloadOnHangup puts a changed config in force on each SIGHUP: all of it is read and
// checked first, and the old one stays if anything is wrong.
func reloadOnHangup(ctx context.Context, h *host.Host, reload func() (host.Options, error), log hclog.Logger) {
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
