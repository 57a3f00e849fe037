package engine

import (
	"context"
	"errors"
	"time"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// lookTimeout bounds how long who looks at the nodes waits for an executor's figures.
const lookTimeout = 2 * time.Second

// liveNodes are the executor's nodes with what they run at this moment. That changes
// all the time and is no part of the offer, so it is asked for when somebody looks;
// an executor that does not answer is shown as it last was.
func (x *executor) liveNodes(ctx context.Context) []task.Node {
	info := x.offer.Load().Info
	if len(info.Nodes) > 0 && x.ready() {
		ctx, stop := context.WithTimeout(ctx, lookTimeout)
		defer stop()
		if now, err := x.Impl.Describe(ctx); err == nil {
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
		Running: n.Running, LastSeen: n.LastSeen}
}

// ControlNode drains or resumes the nodes of that name, and gives the first of them.
func (e *Engine) ControlNode(ctx context.Context, name, action string) (task.Node, error) {
	if action != "drain" && action != "resume" {
		return task.Node{}, task.Errorf(task.CodeInvalidRequest, "%q is no action on a worker: drain and resume are", action)
	}
	for _, x := range e.registry.executors {
		n, ok := findNode(x.liveNodes(ctx), name)
		if !ok {
			continue
		}
		c, ok := x.Impl.(sdk.NodeController)
		if !ok || !x.offer.Load().Info.ControlsNodes {
			return n, task.Errorf(task.CodeConflict, "executor %q cannot %s its nodes", x.Name, action)
		}
		err := c.ControlNode(ctx, name, action)
		if errors.Is(err, sdk.ErrUnknownNode) { // it was forgotten meanwhile
			return n, task.Errorf(task.CodeNotFound, "%s worker %q: %v", action, name, err)
		}
		if err != nil {
			return n, task.Errorf(task.CodeExecutorUnavailable, "%s worker %q: %v", action, name, err)
		}
		if now, ok := findNode(x.liveNodes(ctx), name); ok {
			return now, nil
		}
		n.Draining = action == "drain" // it was gone, and is not shown any more
		return n, nil
	}
	return task.Node{}, task.Errorf(task.CodeNotFound, "no worker is named %q", name)
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
