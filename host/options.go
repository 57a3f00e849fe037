package host

import (
	"time"

	"github.com/taskhost/taskhost/host/config"
	"github.com/taskhost/taskhost/host/engine"
	"github.com/taskhost/taskhost/host/task"
)

// FromConfig makes the options that an operator's config asks for. What only
// the program knows (Builtins, Log, Version) is left to it.
func FromConfig(c *config.Config) Options {
	o := Options{
		DataDir: c.DataDir, Listen: c.Listen, PluginDirs: []string{c.PluginDir}, PluginEnv: c.PluginEnv,
		AllowWritablePlugins: c.AllowWritablePlugins,
		DrainTimeout:         c.DrainTimeout, CancelGrace: c.CancelGrace,
		Executors: executorsOf(c.Executors), Types: map[string]engine.TypeConfig{},
	}
	if len(o.Executors) == 0 { // what a newcomer wants
		o.Executors = []Executor{{Name: "local", Plugin: "eventlet-style"}}
	}
	for _, t := range c.Types {
		tc := engine.TypeConfig{Executor: t.Executor, Timeout: t.Timeout, MaxAttempts: t.MaxAttempts, MaxLost: t.MaxLost,
			Retain: t.Retain, QueueLimit: t.QueueLimit, MaxInput: t.MaxInput, Priority: t.Priority, Route: t.Route}
		if t.BackoffMin > 0 || t.BackoffMax > 0 {
			tc.Backoff = backoff(t.BackoffMin, t.BackoffMax)
		}
		o.Types[t.Name] = tc
	}
	return o
}

func backoff(least, most time.Duration) *task.Backoff {
	b := task.DefaultLimits().Backoff
	if least > 0 {
		b.Initial = least
	}
	if most > 0 {
		b.Max = most
	}
	b.Max = max(b.Max, b.Initial)
	return &b
}

// FromWorker is FromConfig for a worker: its executors, and no store.
func FromWorker(w *config.Worker) Options {
	return Options{DataDir: w.DataDir, PluginDirs: []string{w.PluginDir}, PluginEnv: w.PluginEnv,
		AllowWritablePlugins: w.AllowWritablePlugins, Executors: executorsOf(w.Executors)}
}

func executorsOf(blocks []config.Executor) []Executor {
	var out []Executor
	for _, x := range blocks {
		out = append(out, Executor{Name: x.Name, Plugin: x.Plugin, SHA256: x.SHA256, Slots: x.Slots, OnHostExit: x.OnHostExit, Config: x.Config})
	}
	return out
}
