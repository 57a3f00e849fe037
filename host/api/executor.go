package api

import (
	"github.com/taskhost/taskhost/host/task"
)

// Executor is an executor as operators see it.
type Executor struct {
	Name      string             `json:"name" doc:"as the config has it; unique"`
	Plugin    string             `json:"plugin" doc:"the built-in, or the binary, that it runs"`
	Version   string             `json:"version" doc:"what the plugin says of itself; empty until it was heard"`
	State     task.ExecutorState `json:"state" enum:"starting,ready,degraded,quarantined,draining,stopped,paused" doc:"starting: a process is being started; ready: attempts run; degraded: it failed and is tried again soon; quarantined: it failed too often, and is tried again rarely or by a restart; draining: it finishes what runs and takes nothing new; stopped: by an operator, or by the host's end; paused: by an operator, its process is well and gets nothing"`
	Reason    *string            `json:"reason" doc:"why it is in this state; null if there is nothing to say"`
	LastError *string            `json:"last_error" doc:"its last failure, with the last lines of its process; it stays after a recovery"`
	Instances []task.Instance    `json:"instances" nullable:"false" doc:"the plugin's processes: two while one is replaced; none for a built-in"`
	Slots     Slots              `json:"slots" doc:"attempts that are out, and may be"`
	Types     []string           `json:"types" nullable:"false" doc:"names of the task types that it offers"`
	Nodes     []Worker           `json:"nodes" nullable:"false" doc:"the workers behind the executor, if it has any"`
}

// Slots is how many attempts are out, and how many may be.
type Slots struct {
	Used int `json:"used" minimum:"0" doc:"attempts that are out"`
	Max  int `json:"max" minimum:"0" doc:"attempts that may be out at once"`
}

// ExecutorList is all executors.
type ExecutorList struct {
	Executors []Executor `json:"executors" nullable:"false" doc:"in the order of the config"`
}
