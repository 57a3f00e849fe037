package host

import "github.com/taskhost/taskhost/host/supervisor"

// FindPlugins are the files in the plugin directories.
func FindPlugins(o Options) ([]supervisor.Found, error) { return supervisor.Find(o.PluginDirs) }
