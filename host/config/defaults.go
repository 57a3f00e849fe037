package config

import (
	"os"
	"path/filepath"
	"strconv"
	"time"
)

// DefaultListen is where a host serves, and where a client looks for one, unless they
// are told otherwise.
const DefaultListen = "127.0.0.1:7070"

const (
	defaultLogLevel  = "info"
	defaultLogFormat = "text"
)

// defaults are what holds where neither file, environment nor flag says otherwise.
func defaults() *Config {
	c := &Config{
		Common:       Common{DataDir: stateDir(), PluginDir: pluginDir(), LogLevel: defaultLogLevel, LogFormat: defaultLogFormat},
		Listen:       DefaultListen,
		DrainTimeout: 5 * time.Second,
		CancelGrace:  10 * time.Second,
		origins:      map[string]string{},
		values:       map[string]string{},
	}
	for key, v := range map[string]string{
		"listen": c.Listen, "data_dir": c.DataDir, "plugin_dir": c.PluginDir, "log_level": c.LogLevel, "log_format": c.LogFormat,
		"drain_timeout": c.DrainTimeout.String(), "cancel_grace": c.CancelGrace.String(),
		"allow_writable_plugins": strconv.FormatBool(c.AllowWritablePlugins),
	} {
		c.note(key, v, "default")
	}
	return c
}

// stateDir is where a service keeps its state, or a user theirs.
func stateDir() string {
	if os.Geteuid() == 0 {
		return "/var/lib/taskhost"
	}
	if d := os.Getenv("XDG_STATE_HOME"); d != "" {
		return filepath.Join(d, "taskhost")
	}
	if home, err := os.UserHomeDir(); err == nil {
		return filepath.Join(home, ".local", "state", "taskhost")
	}
	return "taskhost-data"
}

// pluginDir is the folder plugins/ beside the program.
func pluginDir() string {
	exe, err := os.Executable()
	if err != nil {
		return "plugins"
	}
	return filepath.Join(filepath.Dir(exe), "plugins")
}
