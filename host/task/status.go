package task

import (
	"encoding/json"
	"time"
)

// TypeStatus is a task type as clients and operators see it.
type TypeStatus struct {
	Name        string
	Description string
	Input       json.RawMessage // JSON Schema; nil accepts anything
	Result      json.RawMessage
	Revertible  bool
	Executor    string // that serves it now
	Available   bool   // the executor is ready and offers the type now
	Limits      Limits
	Counts      LaneCount
}

// ExecutorState is how an executor is.
type ExecutorState string

// The states of an executor.
const (
	ExecutorStarting    ExecutorState = "starting"
	ExecutorReady       ExecutorState = "ready"
	ExecutorDegraded    ExecutorState = "degraded"
	ExecutorQuarantined ExecutorState = "quarantined"
	ExecutorDraining    ExecutorState = "draining"
	ExecutorStopped     ExecutorState = "stopped"
	ExecutorPaused      ExecutorState = "paused"
)

// ExecutorStatus is an executor as operators see it.
type ExecutorStatus struct {
	Name      string
	Plugin    string
	Version   string
	State     ExecutorState
	Reason    string
	LastError string
	Instances []Instance
	Used, Max int // slots
	Types     []string
	Nodes     []Node
}

// Instance is one process of an executor's plugin. Built-ins have none.
type Instance struct {
	ID       string    `json:"id"`
	Pid      int       `json:"pid"`
	Version  string    `json:"version"`
	State    string    `json:"state"`
	Since    time.Time `json:"since"`
	Restarts int       `json:"restarts"`
	Reason   string    `json:"reason,omitempty" doc:"why it drains, where nobody asked for that"`
}

// Node is a machine or worker behind an executor.
type Node struct {
	Name     string            `json:"name"`
	Instance string            `json:"instance,omitempty"` // tells two of one name apart
	Executor string            `json:"executor"`
	Address  string            `json:"address,omitempty"`
	Version  string            `json:"version,omitempty"`
	Types    []string          `json:"types"`
	Slots    int               `json:"slots"`
	Used     int               `json:"used"`
	Labels   map[string]string `json:"labels,omitempty"`
	Draining bool              `json:"draining"`
	Gone     bool              `json:"gone,omitempty"` // not there any more
	Running  []string          `json:"running"`
	LastSeen time.Time         `json:"last_seen"`
}

// Readiness is whether a host can run tasks.
type Readiness struct {
	Degraded bool              // some executors can run nothing
	Checks   map[string]string // a line for each part
}

// Update is what a watcher of a task hears: after each committed change the
// task (without payloads) and the event, or progress or a log line of the
// running attempt. Exactly one of Event, Progress and Log is set; Task only with Event.
type Update struct {
	Task     *Task
	Event    *Event
	Progress *Progress
	Log      *LogLine
}
