package api

import (
	"encoding/json"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// Type is a task type as clients and operators see it.
type Type struct {
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Input       json.RawMessage `json:"input" doc:"the input's JSON Schema; null accepts anything"`
	Result      json.RawMessage `json:"result" doc:"the result's JSON Schema; null says nothing"`
	Revertible  bool            `json:"revertible"`
	Executor    *string         `json:"executor" doc:"that serves the type now"`
	Available   bool            `json:"available" doc:"the executor is ready and offers the type"`
	Limits      Limits          `json:"limits"`
	Counts      Counts          `json:"counts"`
}

// Limits are the bounds and defaults of a task type. Durations are as in "1h30m".
type Limits struct {
	Timeout     string            `json:"timeout" doc:"of one attempt"`
	MaxAttempts int               `json:"max_attempts"`
	MaxLost     int               `json:"max_lost"`
	Retain      string            `json:"retain" doc:"how long a final task is kept"`
	Priority    int               `json:"priority"`
	MaxInput    int64             `json:"max_input" doc:"bytes"`
	MaxResult   int64             `json:"max_result" doc:"bytes"`
	QueueLimit  int64             `json:"queue_limit" doc:"waiting tasks of the type; 0: no limit"`
	Route       map[string]string `json:"route" doc:"labels of the workers that may run the type"`
	Backoff     BackoffLimits     `json:"backoff"`
}

// BackoffLimits is how long a failed task rests before it is tried again.
type BackoffLimits struct {
	Initial string `json:"initial"`
	Max     string `json:"max"`
}

// Counts is how many tasks there are that are not final.
type Counts struct {
	Ready   int64 `json:"ready" doc:"queued"`
	Waiting int64 `json:"waiting" doc:"pending for another reason"`
	Active  int64 `json:"active" doc:"dispatched, running, canceling or reverting"`
}

// Executor is an executor as operators see it.
type Executor struct {
	Name      string             `json:"name"`
	Plugin    string             `json:"plugin"`
	Version   string             `json:"version"`
	State     task.ExecutorState `json:"state" enum:"starting,ready,degraded,quarantined,draining,stopped,paused"`
	Reason    *string            `json:"reason" doc:"why it is in this state"`
	LastError *string            `json:"last_error"`
	Instances []Instance         `json:"instances" nullable:"false" doc:"the plugin's processes: two while one is replaced; none for a built-in"`
	Slots     Slots              `json:"slots"`
	Types     []string           `json:"types" nullable:"false"`
	Nodes     []Worker           `json:"nodes" nullable:"false" doc:"the workers behind the executor, if it has any"`
}

// Slots is how many attempts are out, and how many may be.
type Slots struct {
	Used int `json:"used"`
	Max  int `json:"max"`
}

// Instance is one process of an executor's plugin.
type Instance struct {
	ID       string    `json:"id"`
	Pid      int       `json:"pid"`
	Version  string    `json:"version"`
	State    string    `json:"state"`
	Since    time.Time `json:"since"`
	Restarts int       `json:"restarts"`
	Reason   string    `json:"reason,omitempty" doc:"why it drains, where nobody asked for that"`
}

// Worker is a machine or process behind an executor.
type Worker struct {
	Name     string            `json:"name"`
	Instance string            `json:"instance" doc:"tells workers of one name apart, and a worker from the one of its name before it"`
	Executor string            `json:"executor"`
	State    string            `json:"state" enum:"ready,draining,drained,gone" doc:"drained: it takes nothing more and runs nothing; gone: it left within the last hour"`
	Address  string            `json:"address"`
	Version  string            `json:"version"`
	Types    []string          `json:"types" nullable:"false"`
	Slots    Slots             `json:"slots"`
	Labels   map[string]string `json:"labels"`
	Draining bool              `json:"draining" doc:"it takes nothing more, until it is resumed"`
	Running  []string          `json:"running" nullable:"false" doc:"ids of the tasks it runs"`
	LastSeen *time.Time        `json:"last_seen" doc:"its last heartbeat"`
}

// The states of a worker.
const (
	WorkerReady    = "ready"
	WorkerDraining = "draining"
	WorkerDrained  = "drained"
	WorkerGone     = "gone"
)

// VersionInfo says what answers.
type VersionInfo struct {
	Name    string `json:"name" doc:"taskhost"`
	Version string `json:"version"`
	API     string `json:"api" doc:"v1"`
	Go      string `json:"go"`
}

func toType(t *task.TypeStatus) Type {
	l := t.Limits
	return Type{
		Name: t.Name, Description: t.Description, Input: orNullJSON(t.Input), Result: orNullJSON(t.Result),
		Revertible: t.Revertible, Executor: orNull(t.Executor), Available: t.Available,
		Limits: Limits{Timeout: l.Timeout.String(), MaxAttempts: l.MaxAttempts, MaxLost: l.MaxLost, Retain: l.Retain.String(),
			Priority: l.Priority, MaxInput: l.MaxInput, MaxResult: l.MaxResult, QueueLimit: l.QueueLimit, Route: orEmpty(l.Route),
			Backoff: BackoffLimits{Initial: l.Backoff.Initial.String(), Max: l.Backoff.Max.String()}},
		Counts: Counts(t.Counts),
	}
}

func toExecutor(e *task.ExecutorStatus) Executor {
	d := Executor{
		Name: e.Name, Plugin: e.Plugin, Version: e.Version, State: e.State, Reason: orNull(e.Reason), LastError: orNull(e.LastError),
		Instances: make([]Instance, 0, len(e.Instances)), Slots: Slots{Used: e.Used, Max: e.Max},
		Types: append([]string{}, e.Types...), Nodes: make([]Worker, 0, len(e.Nodes)),
	}
	for _, i := range e.Instances {
		i.Since = task.Shown(i.Since)
		d.Instances = append(d.Instances, Instance(i))
	}
	for i := range e.Nodes {
		d.Nodes = append(d.Nodes, toWorker(&e.Nodes[i], e.Name))
	}
	return d
}

func toWorker(n *task.Node, executor string) Worker {
	if n.Executor != "" {
		executor = n.Executor
	}
	return Worker{
		Name: n.Name, Instance: n.Instance, Executor: executor, State: workerState(n), Address: n.Address, Version: n.Version,
		Types: append([]string{}, n.Types...), Slots: Slots{Used: n.Used, Max: n.Slots}, Labels: orEmpty(n.Labels), Draining: n.Draining,
		Running: append([]string{}, n.Running...), LastSeen: timeOrNull(n.LastSeen),
	}
}

func workerState(n *task.Node) string {
	switch {
	case n.Gone:
		return WorkerGone
	case n.Draining && n.Used == 0 && len(n.Running) == 0:
		return WorkerDrained
	case n.Draining:
		return WorkerDraining
	}
	return WorkerReady
}

func orEmpty(m map[string]string) map[string]string {
	if m == nil {
		return map[string]string{}
	}
	return m
}
