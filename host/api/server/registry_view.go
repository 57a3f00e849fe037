package server

import (
	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

func toType(t *task.TypeStatus) api.Type {
	l := t.Limits
	d := api.Type{
		Name: t.Name, Description: t.Description, Input: orNullJSON(t.Input), Result: orNullJSON(t.Result),
		Revertible: t.Revertible, Executor: orNull(t.Executor), Available: t.Available, Paused: t.Paused, Origin: t.Origins,
		Limits: api.Limits{Timeout: l.Timeout.String(), Deadline: l.Deadline.String(), MaxAttempts: l.MaxAttempts, MaxLost: l.MaxLost, Retain: l.Retain.String(),
			Priority: l.Priority, MaxInput: l.MaxInput, MaxResult: l.MaxResult, QueueLimit: l.QueueLimit, Route: orEmpty(l.Route), MinVersion: orNull(l.MinVersion),
			Backoff: api.BackoffLimits{Initial: l.Backoff.Initial.String(), Max: l.Backoff.Max.String()}},
		Counts: api.Counts(t.Counts),
	}
	d.Limits.Concurrency = make([]api.ConcurrencyLimit, len(l.Concurrency))
	for i, c := range l.Concurrency {
		d.Limits.Concurrency[i] = api.ConcurrencyLimit(c)
	}
	if l.Rate != (task.Rate{}) {
		d.Limits.Rate = &api.RateLimit{PerSecond: l.Rate.PerSecond, Burst: max(l.Rate.Burst, 1)}
	}
	return d
}

// toExecutor is an executor as a caller of that scope sees it: what runs where is told to who
// sees all owners' tasks.
func toExecutor(e *task.ExecutorStatus, s task.Scope) api.Executor {
	d := api.Executor{
		Name: e.Name, Plugin: e.Plugin, Version: e.Version, State: e.State, Reason: orNull(e.Reason), LastError: orNull(e.LastError),
		Instances: make([]task.Instance, 0, len(e.Instances)), Slots: api.Slots{Used: e.Used, Max: e.Max},
		Types: append([]string{}, e.Types...), Nodes: make([]api.Worker, 0, len(e.Nodes)),
	}
	for _, i := range e.Instances {
		i.Since = task.Shown(i.Since)
		d.Instances = append(d.Instances, i)
	}
	for i := range e.Nodes {
		d.Nodes = append(d.Nodes, toWorker(&e.Nodes[i], e.Name, s))
	}
	return d
}

func toWorker(n *task.Node, executor string, s task.Scope) api.Worker {
	var running []string
	if s.All {
		running = n.Running
	}
	if n.Executor != "" {
		executor = n.Executor
	}
	return api.Worker{
		Name: n.Name, Instance: n.Instance, Executor: executor, State: workerState(n), Address: n.Address, Version: n.Version,
		Types: append([]string{}, n.Types...), TypeVersions: orEmpty(n.TypeVersions), Slots: api.Slots{Used: n.Used, Max: n.Slots}, Labels: orEmpty(n.Labels), Draining: n.Draining,
		Running: append([]string{}, running...), LastSeen: timeOrNull(n.LastSeen),
	}
}

func workerState(n *task.Node) string {
	switch {
	case n.Gone:
		return api.WorkerGone
	case n.Draining && n.Used == 0 && len(n.Running) == 0:
		return api.WorkerDrained
	case n.Draining:
		return api.WorkerDraining
	}
	return api.WorkerReady
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}
