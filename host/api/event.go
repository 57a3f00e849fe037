package api

import (
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// Event is one transition of a task.
type Event struct {
	Seq     int64       `json:"seq" doc:"the task's version after it: it rises within the task, with gaps"`
	At      time.Time   `json:"at" doc:"when it happened"`
	From    *task.State `json:"from" doc:"the state before; null for the first transition, which made the task"`
	To      task.State  `json:"to" doc:"the state after; the same as from if only the reason to wait changed"`
	Attempt int         `json:"attempt" minimum:"0" doc:"the number of the attempt that it is about, or of the last one before; 0: there was none yet"`
	By      string      `json:"by" doc:"who made it: the owner who asked for it; that owner (action ID), (group ID), (schedule ID) or (task ID), where it was asked through one of these; executor NAME, which told how an attempt ended; or host"`
	Message string      `json:"message" doc:"why, in words; often empty"`
}

// StateEvent is the data of a server-sent event of kind state: the transition,
// and the task (as lists show it) as it is when the event is sent.
type StateEvent struct {
	Event
	Task Task `json:"task" doc:"the task, as lists show it, when the event was sent: where history is told, it is ahead of the transition"`
}

// ResetEvent is the data of a server-sent event of kind reset: what the client saw before
// is not of this task's history, which is told from its beginning after it; or, of all tasks,
// events were missed that cannot be told any more.
type ResetEvent struct {
	Reason string `json:"reason" doc:"why what comes does not follow what came before"`
}

// History is a task's transitions, oldest first.
type History struct {
	Events []Event `json:"events" nullable:"false" doc:"the transitions, oldest first"`
}
