package identity

import (
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// Event is a change that somebody asked for: what is kept of it.
type Event struct {
	ID        task.ID
	At        time.Time
	Name      string // the caller's
	Owner     string
	Role      Role
	By        Way
	Token     task.ID // zero if by no token
	Address   string  // the caller's, without port
	RequestID string
	Action    string // the operation, such as cancelTask
	Target    string // the path, such as /v1/tasks/ID/cancel
	Status    int    // the HTTP status that was answered
}

// Filter is which events are asked for. Zero fields ask for nothing.
type Filter struct {
	Owner, Action, Name string
	After, Before       time.Time
	Cursor              task.ID // Next of the page before
	Limit               int     // 0: task.DefaultListed; at most task.MaxListLimit
}

// Page is some events, newest first.
type Page struct {
	Events []Event
	Next   task.ID // zero on the last page
}
