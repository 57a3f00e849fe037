package host

import (
	"github.com/taskhost/taskhost/host/config"
	"github.com/taskhost/taskhost/host/task"
)

// FromConfig makes the options that an operator's config asks for. What only
// the program knows (Builtins, Log, Version) is left to it.
func FromConfig(c *config.Config) Options {
	o := Options{
		DataDir: c.DataDir, Listen: c.Listen, PluginDirs: []string{c.PluginDir}, PluginEnv: c.PluginEnv,
		AllowWritablePlugins: c.AllowWritablePlugins,
		DrainTimeout:         c.DrainTimeout, CancelGrace: c.CancelGrace,
		Executors: c.Executors, Types: map[string]task.TypeConfig{},
	}
	if len(o.Executors) == 0 { // what a newcomer wants
		o.Executors = []task.ExecutorConfig{{Name: "local", Plugin: "eventlet-style"}}
	}
	for _, t := range c.Types {
		o.Types[t.Name] = t.TypeConfig
	}
	return o
}

// FromWorker is FromConfig for a worker: its executors, and no store.
func FromWorker(w *config.Worker) Options {
	return Options{DataDir: w.DataDir, PluginDirs: []string{w.PluginDir}, PluginEnv: w.PluginEnv,
		AllowWritablePlugins: w.AllowWritablePlugins, Executors: w.Executors}
}
