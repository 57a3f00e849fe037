package api

import "time"

// Health is the answer of /healthz and /readyz.
type Health struct {
	Status string            `json:"status" doc:"of /healthz: ok; of /readyz: ready, or degraded where some executors can run nothing"`
	Checks map[string]string `json:"checks,omitempty" doc:"of ?verbose: a line for each part"`
}

// Status is a host at one look.
type Status struct {
	Status    string     `json:"status" enum:"ready,degraded,unavailable" doc:"degraded: some executors can run nothing; unavailable: none can, or tasks can't be accepted"`
	Reason    *string    `json:"reason" doc:"why the host is unavailable"`
	Version   string     `json:"version"`
	StartedAt time.Time  `json:"started_at"`
	Store     StoreState `json:"store"`
	Tasks     Counts     `json:"tasks" doc:"all that are not final"`
	Executors []Executor `json:"executors" nullable:"false" doc:"with their workers, in the order of the config"`
	Backlog   []Backlog  `json:"backlog" nullable:"false" doc:"what waits and why, most of it first; the first 50 reasons"`
	Failed    []Task     `json:"failed" nullable:"false" doc:"the last ten that failed and are failed still, the latest first; of those from before the host began only such as are among its newest 10,000 tasks"`
}

// StoreState is how the store is.
type StoreState struct {
	State  string  `json:"state" enum:"ok,unavailable"`
	Reason *string `json:"reason" doc:"why it can't be read"`
	Place  *string `json:"place" doc:"where it is: told to admins"`
	Bytes  int64   `json:"bytes" doc:"its size on disk"`
}

// Backlog is tasks that wait for the same thing.
type Backlog struct {
	Type     string  `json:"type"`
	Executor *string `json:"executor" doc:"that serves them; null if none does"`
	Waiting  *string `json:"waiting" enum:"queued,executor" doc:"as of a task; null for tasks that wait for something of their own"`
	Reason   *string `json:"reason" doc:"what keeps them; null if they are about to run"`
	Tasks    int64   `json:"tasks" doc:"how many"`
}

// The values of Status.Status and of StoreState.State.
const (
	StatusReady       = "ready"
	StatusDegraded    = "degraded"
	StatusUnavailable = "unavailable"
	StoreOK           = "ok"
)

// VersionInfo says what answers.
type VersionInfo struct {
	Name    string `json:"name" doc:"taskhost"`
	Version string `json:"version"`
	API     string `json:"api" doc:"v1"`
	Go      string `json:"go"`
}
