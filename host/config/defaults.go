package config

import (
	"os"
	"path/filepath"
	"strconv"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// DefaultListen is where a host serves, and where a client looks for one, unless they
// are told otherwise.
const DefaultListen = "127.0.0.1:7070"

// byDefault is the origin of what nobody has set.
const byDefault = "default"

const (
	defaultLogLevel  = "info"
	defaultLogFormat = "text"
)

// defaults are what holds where neither file, environment nor flag says otherwise. It fails
// only where there is no working directory, and a directory would be in that.
func defaults() (*Config, error) {
	data, err := stateDir("taskhost")
	if err != nil {
		return nil, err
	}
	plugins, err := pluginDir()
	if err != nil {
		return nil, err
	}
	c := &Config{
		Common:       Common{DataDir: data, PluginDir: plugins, LogLevel: defaultLogLevel, LogFormat: defaultLogFormat, origins: map[string]string{}},
		Listen:       DefaultListen,
		DrainTimeout: 5 * time.Second,
		CancelGrace:  10 * time.Second,
		MaxLogLines:  task.DefaultLogLines,
		MaxLogBytes:  task.DefaultLogBytes,
		TLS:          TLS{ClientRole: "member"},
		TrustedProxy: TrustedProxy{Headers: "openstack"},
		Glance:       Glance{TasksAPIAccess: "admin", AllowedSchemes: []string{"http", "https"}},
		Anonymous:    "none",
		AuditRetain:  90 * 24 * time.Hour,
		values:       map[string]string{},
	}
	if c.source.dir, err = os.Getwd(); err != nil {
		return nil, err
	}
	for key, v := range map[string]string{
		"listen": c.Listen, "data_dir": c.DataDir, "plugin_dir": c.PluginDir, "log_level": c.LogLevel, "log_format": c.LogFormat,
		"drain_timeout": c.DrainTimeout.String(), "cancel_grace": c.CancelGrace.String(),
		"max_log_lines": strconv.FormatInt(c.MaxLogLines, 10), "max_log_bytes": strconv.FormatInt(c.MaxLogBytes>>20, 10) + "MiB",
		"anonymous": c.Anonymous, "audit_retain": c.AuditRetain.String(),
		"allow_writable_plugins": strconv.FormatBool(c.AllowWritablePlugins),
	} {
		c.note(key, v, byDefault)
	}
	return c, nil
}

// stateDir is where a service keeps its state, or a user theirs, under a name of its own. What
// is no absolute path in XDG_STATE_HOME counts for nothing, as its specification has it.
func stateDir(name string) (string, error) {
	if os.Geteuid() == 0 {
		return filepath.Join("/var/lib", name), nil
	}
	if d := os.Getenv("XDG_STATE_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, name), nil
	}
	if home, err := os.UserHomeDir(); err == nil && filepath.IsAbs(home) {
		return filepath.Join(home, ".local", "state", name), nil
	}
	return filepath.Abs(name + "-data")
}

// pluginDir is the folder plugins/ beside the program.
func pluginDir() (string, error) {
	exe, err := os.Executable()
	if err != nil {
		return filepath.Abs("plugins")
	}
	return filepath.Join(filepath.Dir(exe), "plugins"), nil
}
