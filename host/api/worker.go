package api

import "time"

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

// WorkerList is all workers behind all executors.
type WorkerList struct {
	Workers []Worker `json:"workers" nullable:"false"`
}
