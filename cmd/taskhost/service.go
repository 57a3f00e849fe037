package main

import (
	"os"
	"runtime/debug"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/hashicorp/go-hclog"

	"github.com/taskhost/taskhost/sdk"
)

// relaxGC lets the heap grow to five times what is in use between collections,
// unless GOGC says otherwise: what is in use is a few megabytes, and each task
// leaves a few kilobytes behind.
func relaxGC() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
}

// notifySystemd tells systemd, where that started us.
func notifySystemd(log hclog.Logger, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		log.Warn("systemd was not told", "state", state, "error", err)
	}
}

// lastWord tells an error that ends the process in its log where that is JSON, so that
// whoever reads the log finds nothing else in it.
func lastWord(log hclog.Logger, json bool, err error) error {
	if err == nil || !json {
		return err
	}
	log.Error("taskhost ends with an error", "error", err)
	return &exitError{code: exitCode(err)}
}

func (p *program) newLogger(level string, json bool) (hclog.Logger, error) {
	l := hclog.LevelFromString(level)
	if l == hclog.NoLevel {
		return nil, usagef("log level %q: want trace, debug, info, warn or error", level)
	}
	return sdk.ReadableLog(hclog.New(&hclog.LoggerOptions{Name: "taskhost", Level: l, Output: logWriter{p.err}, JSONFormat: json})), nil
}
