package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/host/config"
)

// takeHangups is called first of all by what runs until it is told to end: where nobody
// takes a SIGHUP it ends the process at once, also one that drains, and what was to finish
// is lost.
func takeHangups() <-chan os.Signal {
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP)
	return hangups
}

// reloader reads the config anew, puts in force what can be, and says all that differs.
// After an error nothing has changed.
type reloader func() ([]config.Change, error)

// reloadOnHangup calls reload on each SIGHUP, until ctx ends, and tells the log and
// systemd.
func reloadOnHangup(ctx context.Context, hangups <-chan os.Signal, log hclog.Logger, reload reloader) {
	for {
		select {
		case <-hangups:
		case <-ctx.Done():
			return
		}
		notifySystemd(log, daemon.SdNotifyReloading+"\n"+daemon.SdNotifyMonotonicUsec())
		changes, err := reload()
		if err != nil {
			log.Error("config not reloaded: the one in force stays", "error", err)
			notifySystemd(log, daemon.SdNotifyReady+"\nSTATUS=the config was not reloaded: see the log")
			continue
		}
		tellReload(log, changes)
		notifySystemd(log, daemon.SdNotifyReady+"\nSTATUS=")
	}
}

// tellReload has the log tell, in a line each, what a reload changed and what it could
// not, and puts another level of the log in force: told under the lower of the two, so that
// the last word of a log that becomes silent is why.
func tellReload(log hclog.Logger, changes []config.Change) {
	level := log.GetLevel()
	inForce := 0
	for _, c := range changes {
		if c.Restart {
			continue
		}
		inForce++
		if c.Key == "log_level" {
			level = hclog.LevelFromString(c.New)
		}
	}
	log.SetLevel(min(level, log.GetLevel()))
	for _, c := range changes {
		if c.Restart {
			log.Warn("config: the change of a key needs a restart", "key", c.Key, "in_force", c.Old, "in_file", c.New)
		} else {
			log.Info("config: a key has changed", "key", c.Key, "was", c.Old, "is", c.New)
		}
	}
	log.Info("config reloaded", "changed", inForce, "need_a_restart", len(changes)-inForce)
	log.SetLevel(level)
}
