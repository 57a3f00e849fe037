package host

import (
	"slices"

	"github.com/taskhost/taskhost/host/board"
	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// withBoard is o with the plugin of a board among its built-ins; nil is one that only checks.
func (o Options) withBoard(b *board.Board) Options {
	if o.builtin(board.PluginName) == nil {
		o.Builtins = append(slices.Clip(o.Builtins), b.Plugin(o.Version))
	}
	return o
}

// blocks are the executors of o: those of its config, or one of each built-in, and one that is
// a board in any case, if there is the plugin and nothing else has its name.
func (o Options) blocks() (all []task.ExecutorConfig, ownBoard bool) {
	all = slices.Clone(o.Executors)
	for _, p := range o.Builtins {
		if len(o.Executors) == 0 && p.Name != board.PluginName {
			all = append(all, task.ExecutorConfig{Name: p.Name, Plugin: p.Name})
		}
	}
	taken := func(x task.ExecutorConfig) bool { return x.Plugin == board.PluginName || x.Name == board.PluginName }
	if o.builtin(board.PluginName) == nil || slices.ContainsFunc(all, taken) {
		return all, false
	}
	return append(all, task.ExecutorConfig{Name: board.PluginName, Plugin: board.PluginName}), true
}

// bindBoard says of an executor that it is a board; own is one that no config names.
func (o Options) bindBoard(x registry.Binding, own bool) registry.Binding {
	x.OnDemand = true
	x.Unlisted = own
	x.StopsWithin = board.StopsWithin(o.CancelGrace)
	return x
}

// BoardPlugin is the plugin of boards, for who lists plugins.
func BoardPlugin(version string) sdk.Plugin { return (*board.Board)(nil).Plugin(version) }
