package host

import (
	"path/filepath"
	"slices"
	"time"

	"github.com/taskhost/taskhost/host/config"
	"github.com/taskhost/taskhost/host/glance"
	"github.com/taskhost/taskhost/host/task"
)

// FromConfig makes the options that an operator's config asks for. What only
// the program knows (Builtins, Log, Version) is left to it.
func FromConfig(c *config.Config) Options {
	o := fromCommon(c.Common)
	o.Listen = c.Listen
	o.DrainTimeout = c.DrainTimeout
	o.CancelGrace = c.CancelGrace
	o.MaxLogLines = c.MaxLogLines
	o.MaxLogBytes = c.MaxLogBytes
	o.TLS = TLSFiles{Cert: c.TLS.Cert, Key: c.TLS.Key, ClientCA: c.TLS.ClientCA}
	o.Access = accessOf(c)
	o.AuditRetain = c.AuditRetain
	o.Glance = glance.Settings{MembersToo: c.Glance.TasksAPIAccess == "member", TimeToLive: time.Duration(c.Glance.TaskTimeToLive) * time.Hour,
		AllowedSchemes: c.Glance.AllowedSchemes, AllowedHosts: c.Glance.AllowedHosts, DisallowedHosts: c.Glance.DisallowedHosts}
	o.Types = map[string]task.TypeConfig{}
	for _, t := range c.Types {
		o.Types[t.Name] = t.TypeConfig
	}
	o.Quotas = c.Quotas
	return o
}

// FromWorker is FromConfig for a worker: its executors, and no store.
func FromWorker(w *config.Worker) Options {
	o := fromCommon(w.Common)
	o.NoBoard = true
	return o
}

// absolute is o with its defaults, and with paths that no change of the working directory moves.
func (o Options) absolute() (Options, error) {
	o.PluginDirs = slices.Clone(o.PluginDirs)
	if o.AuditRetain <= 0 {
		o.AuditRetain = auditRetain
	}
	paths := []*string{&o.DataDir, &o.ConfigDir, &o.TLS.Cert, &o.TLS.Key, &o.TLS.ClientCA}
	for i := range o.PluginDirs {
		paths = append(paths, &o.PluginDirs[i])
	}
	for _, p := range paths {
		if *p == "" {
			continue
		}
		var err error
		if *p, err = filepath.Abs(*p); err != nil {
			return o, err
		}
	}
	return o, nil
}

func fromCommon(c config.Common) Options {
	return Options{
		DataDir: c.DataDir, ConfigDir: c.Dir(), Place: c.Place, PluginDirs: []string{c.PluginDir}, PluginEnv: c.PluginEnv,
		AllowWritablePlugins: c.AllowWritablePlugins, Executors: c.Executors,
	}
}
