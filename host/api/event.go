package api

import (
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// Event is one transition of a task.
type Event struct {
	Seq     int64       `json:"seq" doc:"the task's version after it: it rises, with gaps"`
	At      time.Time   `json:"at"`
	From    *task.State `json:"from" doc:"null for the first"`
	To      task.State  `json:"to"`
	Attempt int         `json:"attempt"`
	By      string      `json:"by" doc:"host, or the owner that asked"`
	Message string      `json:"message"`
}

// StateEvent is the data of a server-sent event of kind state: the transition,
// and the task (as lists show it) as it is when the event is sent.
type StateEvent struct {
	Event
	Task Task `json:"task"`
}

// History is a task's transitions, oldest first.
type History struct {
	Events []Event `json:"events" nullable:"false"`
}
