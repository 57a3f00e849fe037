package config

import (
	"strings"
)

// override is a value that is laid over the file's.
type override struct {
	key    string
	value  string
	origin string                // as Setting has it
	target func(*Config) *string // where it belongs
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
		key    string
		flag   string // what the flag of that name says
		target func(*Config) *string
	}{
		{"listen", f.Listen, func(c *Config) *string { return &c.Listen }},
		{"data_dir", f.DataDir, func(c *Config) *string { return &c.DataDir }},
		{"plugin_dir", f.PluginDir, func(c *Config) *string { return &c.PluginDir }},
		{"log_level", f.LogLevel, func(c *Config) *string { return &c.LogLevel }},
		{"log_format", "", func(c *Config) *string { return &c.LogFormat }},
	} {
		name := "TASKHOST_" + strings.ToUpper(s.key)
		if v := vars[name]; v != "" {
			out = append(out, override{s.key, v, "environment " + name, s.target})
		}
		if s.flag != "" {
			out = append(out, override{s.key, s.flag, "flag --" + strings.ReplaceAll(s.key, "_", "-"), s.target})
		}
	}
	return out
}

// Flags are what the command line sets over all else; empty says nothing.
type Flags struct {
	Listen, DataDir, PluginDir, LogLevel string
}
