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
	Executor    string // that serves it now; "" if none does
	Available   bool   // the executor is ready and offers the type now
	Paused      bool   // by an operator: no attempts begin
	Limits      Limits
	// Origins are who said what: of description, input, result and executor, and of each of
	// the limits, by the names that clients see.
	Origins map[string]Origin
	Counts  LaneCount
}

// ExecutorState is how an executor is.
type ExecutorState string

// The states of an executor.
const (
	ExecutorStarting    ExecutorState = "starting"    // a process is being started
	ExecutorReady       ExecutorState = "ready"       // attempts run
	ExecutorDegraded    ExecutorState = "degraded"    // it failed, and is tried again by itself soon
	ExecutorQuarantined ExecutorState = "quarantined" // it failed too often: tried again rarely, or by a restart
	ExecutorDraining    ExecutorState = "draining"    // it finishes what runs and takes nothing new
	ExecutorStopped     ExecutorState = "stopped"     // by an operator or by the host's end
	ExecutorPaused      ExecutorState = "paused"      // by an operator: its process is well and gets nothing
)

// ExecutorStatus is an executor as operators see it.
type ExecutorStatus struct {
	Name      string
	Plugin    string
	Version   string
	State     ExecutorState
	Reason    string // why it is not ready, and what to do where an operator can
	LastError string // the last failure, with the last lines of its process; it stays after a recovery
	Instances []Instance
	Used, Max int // slots
	Types     []string
	Nodes     []Node
}

// Instance is one process of an executor's plugin: two while one is replaced. Built-ins have none.
type Instance struct {
	ID       string    `json:"id" doc:"chosen by the host; it stands in the process's environment"`
	Pid      int       `json:"pid" doc:"of the process; 0 until it is started"`
	Version  string    `json:"version" doc:"what the plugin says of itself; empty until it is connected"`
	State    string    `json:"state" enum:"starting,ready,degraded,quarantined,draining,stopped,paused" doc:"as an executor's"` // an ExecutorState
	Since    time.Time `json:"since" doc:"when it came to be in this state"`
	Restarts int       `json:"restarts" minimum:"0" doc:"how many processes this executor had before this one"`
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
	// TypeVersions is in which version it offers a type, where it says so.
	TypeVersions map[string]string `json:"type_versions,omitempty"`
}

// Readiness is whether a host can run tasks.
type Readiness struct {
	Degraded bool              // some executors can run nothing
	Checks   map[string]string // a line for each part
}

// Backlog is tasks that wait for the same thing.
type Backlog struct {
	Type     string
	Executor string // that serves them; "" if none does
	Waiting  Waiting
	Reason   string // what keeps them; "" if nothing does, or their reason to wait says all
	Tasks    int64
	Oldest   Oldest // of those that are queued, or wait for an executor, children, a resource or an operator
}

// Problem is what cannot submit a task that it is to submit.
type Problem struct {
	Kind   string // group or schedule
	ID     ID
	Name   string
	Reason string
}

// FullQueue is a task type that takes no new tasks, for as many wait as its limit lets.
type FullQueue struct {
	Type    string
	Waiting int64 // of all owners
	Limit   int64
}

// HostStatus is a host at one look.
type HostStatus struct {
	Readiness
	// Unready is why tasks can't be accepted, or none can run; nil if they can.
	Unready   error
	StartedAt time.Time
	Store     StoreInfo
	// StoreFault is why the store could not be read.
	StoreFault error
	Tasks      LaneCount // all that are not final
	Executors  []ExecutorStatus
	// Backlog is what waits, most of it first; less of it if it is in very many parts.
	Backlog []Backlog
	// FullQueues are the types that take no new tasks, by name.
	FullQueues []FullQueue
	// Problems are groups and schedules that cannot submit their tasks, the newest first.
	Problems []Problem
	Failed   []Task // the last that failed and are failed still, the latest first
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
