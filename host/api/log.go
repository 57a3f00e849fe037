package api

import "github.com/taskhost/taskhost/host/task"

// LogList is log lines in order.
type LogList struct {
	Lines []task.LogLine `json:"lines" nullable:"false" doc:"in the order of their numbers"`
	Next  *string        `json:"next" doc:"give it as since to read on; null if these were all"`
}
