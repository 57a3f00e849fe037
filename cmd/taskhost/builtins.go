package main

import (
	"github.com/taskhost/taskhost/sdk"

	eventlet "github.com/taskhost/taskhost/plugins/eventlet-style"
	"github.com/taskhost/taskhost/plugins/eventlet-style/scripts"
	remotequeue "github.com/taskhost/taskhost/plugins/remote-queue"
)

// builtins are the plugins that need no binary of their own. extra are further
// scripts for the goroutines.
func builtins(extra ...eventlet.Factory) []sdk.Plugin {
	return []sdk.Plugin{
		eventlet.Plugin(version(), append(scripts.All(), extra...)...),
		remotequeue.Plugin(version()),
	}
}
