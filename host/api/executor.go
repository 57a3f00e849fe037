package api

import (
	"github.com/taskhost/taskhost/host/task"
)

// Executor is an executor as operators see it.
type Executor struct {
	Name      string             `json:"name"`
	Plugin    string             `json:"plugin"`
	Version   string             `json:"version"`
	State     task.ExecutorState `json:"state" enum:"starting,ready,degraded,quarantined,draining,stopped,paused"`
	Reason    *string            `json:"reason" doc:"why it is in this state"`
	LastError *string            `json:"last_error"`
	Instances []task.Instance    `json:"instances" nullable:"false" doc:"the plugin's processes: two while one is replaced; none for a built-in"`
	Slots     Slots              `json:"slots"`
	Types     []string           `json:"types" nullable:"false"`
	Nodes     []Worker           `json:"nodes" nullable:"false" doc:"the workers behind the executor, if it has any"`
}

// Slots is how many attempts are out, and how many may be.
type Slots struct {
	Used int `json:"used"`
	Max  int `json:"max"`
}

// ExecutorList is all executors.
type ExecutorList struct {
	Executors []Executor `json:"executors" nullable:"false"`
}
