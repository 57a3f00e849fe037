// Package config reads the operator's file: HCL, all errors of a file at once,
// each with its place and what to do. What it gives are plain values; host makes
// a running host of them.
package config

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// Config is the server's config: file, environment and flags laid over one
// another, in that order, over defaults that work.
type Config struct {
	Listen       string // TCP address of the REST side
	DataDir      string
	PluginDir    string
	LogLevel     string        // trace, debug, info, warn or error
	LogFormat    string        // text or json
	DrainTimeout time.Duration // how long a stopping host lets attempts finish
	CancelGrace  time.Duration // how long an attempt may take to stop when asked
	PluginEnv    []string      // further environment variables that plugins may see
	// AllowWritablePlugins takes plugin files that others than their owner may write.
	AllowWritablePlugins bool
	Executors            []task.ExecutorConfig
	Types                []TaskType

	origins map[string]string // by the key's path, such as executor.local.slots
	values  map[string]string // as shown
}

// TaskType is one task_type block.
type TaskType struct {
	Name string
	task.TypeConfig
}

// Worker is the config of `taskhost worker`.
type Worker struct {
	Name      string
	Labels    map[string]string
	DataDir   string
	PluginDir string
	LogLevel  string
	LogFormat string
	PluginEnv []string
	// AllowWritablePlugins takes plugin files that others than their owner may write.
	AllowWritablePlugins bool

	Queue     json.RawMessage // the queue block's attributes, one JSON object: the plugin's to read
	Executors []task.ExecutorConfig
}

// Setting is one value in force, for `config show`.
type Setting struct {
	Key    string
	Value  string // "(secret)" where it is one
	Origin string // "default", "file.hcl:3", "environment TASKHOST_LISTEN", "flag --listen"
}

// Flags are what the command line sets over all else; empty says nothing.
type Flags struct {
	Listen, DataDir, PluginDir, LogLevel string
}

// Load reads the config: path may be empty for none. env is os.Environ's.
func Load(path string, env []string, f Flags) (*Config, error) {
	c := defaults()
	over := overrides(env, f)
	if path == "" {
		c.standIn()
	} else {
		src, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("config: %w", err)
		}
		replaced := map[string]bool{}
		for _, o := range over {
			replaced[o.key] = true
		}
		if err := c.parse(path, src, replaced); err != nil {
			return nil, err
		}
	}
	for _, o := range over {
		*o.to(c) = o.value
		c.note(o.key, o.value, o.origin)
	}
	if err := c.validate(); err != nil {
		return nil, err
	}
	return c, nil
}

// Parse is Load of a file's bytes, with neither environment nor flags.
func Parse(name string, src []byte) (*Config, error) {
	c := defaults()
	if err := c.parse(name, src, nil); err != nil {
		return nil, err
	}
	if err := c.validate(); err != nil {
		return nil, err
	}
	return c, nil
}

// DefaultListen is where a host serves, and where a client looks for one, unless they
// are told otherwise.
const DefaultListen = "127.0.0.1:7070"

func defaults() *Config {
	c := &Config{origins: map[string]string{}, values: map[string]string{}}
	for key, v := range map[string]string{
		"listen": DefaultListen, "data_dir": stateDir(), "plugin_dir": pluginDir(), "log_level": "info", "log_format": "text",
		"drain_timeout": "5s", "cancel_grace": "10s", "allow_writable_plugins": "false",
	} {
		c.note(key, v, "default")
	}
	c.Listen, c.DataDir, c.PluginDir = DefaultListen, stateDir(), pluginDir()
	c.LogLevel, c.LogFormat, c.DrainTimeout, c.CancelGrace = "info", "text", 5*time.Second, 10*time.Second
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

func (c *Config) note(key, value, origin string) {
	c.values[key], c.origins[key] = value, origin
}

// override is a value that is laid over the file's.
type override struct {
	key, value, origin string
	to                 func(*Config) *string
}

// overrides are what environment and flags set, the later over the earlier.
func overrides(env []string, f Flags) []override {
	vars := map[string]string{}
	for _, kv := range env {
		if k, v, ok := strings.Cut(kv, "="); ok {
			vars[k] = v
		}
	}
	var out []override
	for _, s := range []struct {
		key, flag string
		to        func(*Config) *string
	}{
		{"listen", f.Listen, func(c *Config) *string { return &c.Listen }},
		{"data_dir", f.DataDir, func(c *Config) *string { return &c.DataDir }},
		{"plugin_dir", f.PluginDir, func(c *Config) *string { return &c.PluginDir }},
		{"log_level", f.LogLevel, func(c *Config) *string { return &c.LogLevel }},
		{"log_format", "", func(c *Config) *string { return &c.LogFormat }},
	} {
		name := "TASKHOST_" + strings.ToUpper(s.key)
		if v := vars[name]; v != "" {
			out = append(out, override{s.key, v, "environment " + name, s.to})
		}
		if s.flag != "" {
			out = append(out, override{s.key, s.flag, "flag --" + strings.ReplaceAll(s.key, "_", "-"), s.to})
		}
	}
	return out
}

// validate checks what came from outside of the file: what stands in it was
// checked where it can be shown.
func (c *Config) validate() error {
	if _, _, err := net.SplitHostPort(c.Listen); err != nil {
		return fmt.Errorf("listen = %q (%s): want host:port, such as %s", c.Listen, c.origins["listen"], DefaultListen)
	}
	if !IsLoopback(c.Listen) {
		return fmt.Errorf("listen = %q (%s) is not a loopback address: %s", c.Listen, c.origins["listen"], onlyLoopback)
	}
	if err := oneOf("log_level", c.LogLevel, logLevels); err != nil {
		return fmt.Errorf("%w (%s)", err, c.origins["log_level"])
	}
	if err := oneOf("log_format", c.LogFormat, logFormats); err != nil {
		return fmt.Errorf("%w (%s)", err, c.origins["log_format"])
	}
	return nil
}

const onlyLoopback = "the server takes no tokens yet, and everyone who reaches it is its admin; listen on 127.0.0.1 or ::1"

// IsLoopback says whether only this machine reaches addr, which is host:port. What is
// no such address is not loopback.
func IsLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

var (
	logLevels  = []string{"trace", "debug", "info", "warn", "error"}
	logFormats = []string{"text", "json"}
)

func oneOf(key, v string, of []string) error {
	for _, o := range of {
		if v == o {
			return nil
		}
	}
	return fmt.Errorf("%s = %q: want one of %s", key, v, strings.Join(of, ", "))
}

// Show is every value in force with where it came from, by key. Secrets are masked.
func (c *Config) Show() []Setting {
	out := make([]Setting, 0, len(c.values))
	for k, v := range c.values {
		out = append(out, Setting{Key: k, Value: mask(k, v), Origin: c.origins[k]})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Key < out[j].Key })
	return out
}
