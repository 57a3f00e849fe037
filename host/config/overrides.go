package config

import (
	"strings"
)

// override is a value that is laid over the file's.
type override struct {
	key    string
	value  string
	path   bool                  // a relative value is meant against the working directory
	origin string                // as Setting has it
	target func(*Config) *string // where it belongs
}

// overridable are the keys over which the environment can lay a value, and a flag where says
// is not nil: it gives what that flag says.
var overridable = []struct {
	key    string
	path   bool
	says   func(*Flags) string
	target func(*Config) *string
}{
	{"listen", false, func(f *Flags) string { return f.Listen }, func(c *Config) *string { return &c.Listen }},
	{"data_dir", true, func(f *Flags) string { return f.DataDir }, func(c *Config) *string { return &c.DataDir }},
	{"plugin_dir", true, func(f *Flags) string { return f.PluginDir }, func(c *Config) *string { return &c.PluginDir }},
	{"log_level", false, func(f *Flags) string { return f.LogLevel }, func(c *Config) *string { return &c.LogLevel }},
	{"log_format", false, nil, func(c *Config) *string { return &c.LogFormat }},
}

func variable(key string) string { return "TASKHOST_" + strings.ToUpper(key) }
func flag(key string) string     { return "--" + strings.ReplaceAll(key, "_", "-") }

// overrides are what environment and flags set, the later over the earlier.
func overrides(env []string, f Flags) []override {
	vars := map[string]string{}
	for _, kv := range env {
		if k, v, ok := strings.Cut(kv, "="); ok {
			vars[k] = v
		}
	}
	var out []override
	for _, o := range overridable {
		if v := vars[variable(o.key)]; v != "" {
			out = append(out, override{o.key, v, o.path, "environment " + variable(o.key), o.target})
		}
		if o.says != nil && o.says(&f) != "" {
			out = append(out, override{o.key, o.says(&f), o.path, "flag " + flag(o.key), o.target})
		}
	}
	return out
}

// Flags are what the command line sets over all else; empty says nothing.
type Flags struct {
	Listen, DataDir, PluginDir, LogLevel string
}
