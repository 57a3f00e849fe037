package api

import "time"

// Resource is a name that tasks hold or wait for.
type Resource struct {
	Name    string  `json:"name" doc:"as tasks give it; unique within the owner"`
	Owner   string  `json:"owner" doc:"whose tasks have it or wait for it"`
	Holders []Claim `json:"holders" nullable:"false" doc:"the tasks that have it, a thousand at the most"`
	Queue   []Claim `json:"queue" nullable:"false" doc:"the tasks that wait for it, in the order in which they get it, a thousand at the most"`
	Held    int64   `json:"held" doc:"how many tasks have it"`
	Waiting int64   `json:"waiting" doc:"how many tasks wait for it"`
}

// Claim is one task's hold of a resource, or its place in the queue for it.
type Claim struct {
	Task  string    `json:"task" format:"uuid" doc:"the task's id"`
	Mode  string    `json:"mode" enum:"exclusive,shared" doc:"exclusive: it has the resource for itself, or is to; shared: with others who share it"`
	Since time.Time `json:"since" doc:"when it got the resource, or came to the queue"`
}

// ResourceList is one page of resources, by name.
type ResourceList struct {
	Resources []Resource `json:"resources" nullable:"false" doc:"the resources of this page"`
	Next      *string    `json:"next" doc:"the cursor of the next page; null on the last"`
}
