package api

import "time"

// Worker is a machine or process behind an executor.
type Worker struct {
	Name         string            `json:"name" doc:"as its config has it; two may have one name"`
	Instance     string            `json:"instance" doc:"tells workers of one name apart, and a worker from the one of its name before it"`
	Executor     string            `json:"executor" doc:"the executor that it works for"`
	State        string            `json:"state" enum:"ready,draining,drained,gone" doc:"ready: it takes attempts; draining: it takes nothing more and finishes what it runs; drained: it takes nothing more and runs nothing; gone: it left within the last hour"`
	Address      string            `json:"address" doc:"where it is, as its executor knows it; empty if it does not"`
	Version      string            `json:"version" doc:"of what it offers, as its config has it, or else of its program"`
	Types        []string          `json:"types" nullable:"false" doc:"names of the task types that it runs"`
	TypeVersions map[string]string `json:"type_versions" doc:"in which version it offers a type, by the type's name; what tells none is not there"`
	Slots        Slots             `json:"slots" doc:"attempts that it runs, and may run"`
	Labels       map[string]string `json:"labels" doc:"what routes of tasks are matched with"`
	Draining     bool              `json:"draining" doc:"it takes nothing more, until it is resumed"`
	Running      []string          `json:"running" nullable:"false" doc:"ids of the tasks it runs, for who sees all owners' tasks; empty for others"`
	LastSeen     *time.Time        `json:"last_seen" doc:"when its last heartbeat came"`
}

// The states of a worker.
const (
	WorkerReady    = "ready"
	WorkerDraining = "draining"
	WorkerDrained  = "drained"
	WorkerGone     = "gone"
)

// WorkerList is all workers behind all executors.
type WorkerList struct {
	Workers []Worker `json:"workers" nullable:"false" doc:"by executor, in the order of the config"`
}
