package host

import (
	"github.com/taskhost/taskhost/host/config"
	"github.com/taskhost/taskhost/host/task"
)

// FromConfig makes the options that an operator's config asks for. What only
// the program knows (Builtins, Log, Version) is left to it.
func FromConfig(c *config.Config) Options {
	o := fromCommon(c.Common)
	o.Listen = c.Listen
	o.DrainTimeout = c.DrainTimeout
	o.CancelGrace = c.CancelGrace
	o.Types = map[string]task.TypeConfig{}
	for _, t := range c.Types {
		o.Types[t.Name] = t.TypeConfig
	}
	return o
}

// FromWorker is FromConfig for a worker: its executors, and no store.
func FromWorker(w *config.Worker) Options { return fromCommon(w.Common) }

func fromCommon(c config.Common) Options {
	return Options{
		DataDir: c.DataDir, PluginDirs: []string{c.PluginDir}, PluginEnv: c.PluginEnv,
		AllowWritablePlugins: c.AllowWritablePlugins, Executors: c.Executors,
	}
}
