package registry

import (
	"context"
	"time"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// lookTimeout bounds how long who looks at the nodes waits for an executor's figures.
const lookTimeout = 2 * time.Second

// LiveNodes are the executor's nodes with what they run at this moment. That changes
// all the time and is no part of the offer, so it is asked for when somebody looks;
// an executor that does not answer is shown as it last was.
func (x *Executor) LiveNodes(ctx context.Context) []task.Node {
	info := x.offer.Load().Info
	if len(info.Nodes) > 0 && x.Ready() {
		ctx, stop := context.WithTimeout(ctx, lookTimeout)
		defer stop()
		if now, err := x.Executor.Describe(ctx); err == nil {
			info = now
		}
	}
	out := make([]task.Node, len(info.Nodes))
	for i := range info.Nodes {
		out[i] = nodeStatus(&info.Nodes[i], x.Name)
	}
	return out
}

// nodeStatus is a node as operators see it.
func nodeStatus(n *sdk.Node, executor string) task.Node {
	return task.Node{Name: n.Name, Instance: n.Instance, Executor: executor, Address: n.Address, Version: n.Version,
		Types: n.Types, Slots: n.Slots, Used: n.Used, Labels: n.Labels, Draining: n.Draining, Gone: n.Gone,
		Running: n.Running, LastSeen: n.LastSeen, TypeVersions: n.TypeVersions}
}

// findNode is the node of that name, one that is there before one that is gone.
func findNode(nodes []task.Node, name string) (found task.Node, ok bool) {
	for _, n := range nodes {
		if n.Name == name && (!ok || found.Gone && !n.Gone) {
			found, ok = n, true
		}
	}
	return found, ok
}
