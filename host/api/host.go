package api

import "time"

// Health is the answer of /healthz and /readyz.
type Health struct {
	Status string            `json:"status" enum:"ok,ready,degraded" doc:"of /healthz: ok; of /readyz: ready, or degraded where some executors can run nothing"`
	Checks map[string]string `json:"checks,omitempty" doc:"of /readyz?verbose: a line for each part of the host, by its name"`
}

// Status is a host at one look.
type Status struct {
	Status     string        `json:"status" enum:"ready,degraded,unavailable" doc:"degraded: some executors can run nothing; unavailable: none can, or tasks can't be accepted"`
	Reason     *string       `json:"reason" doc:"why the host is unavailable"`
	Version    string        `json:"version" doc:"of the program"`
	StartedAt  time.Time     `json:"started_at" doc:"when the host began"`
	Store      StoreState    `json:"store" doc:"how its store is"`
	Tasks      Counts        `json:"tasks" doc:"all that are not final"`
	Executors  []Executor    `json:"executors" nullable:"false" doc:"with their workers, in the order of the config"`
	Backlog    []Backlog     `json:"backlog" nullable:"false" doc:"what waits and why, most of it first; the first 50 reasons"`
	FullQueues []FullQueue   `json:"full_queues" nullable:"false" doc:"the task types that take no new tasks, for as many wait as their queue_limit lets, by name; the first 50"`
	Problems   []HostProblem `json:"problems" nullable:"false" doc:"groups and schedules that cannot submit their tasks, the newest ten of each"`
	Failed     []Task        `json:"failed" nullable:"false" doc:"the last ten that failed and are failed still, the latest first; of those from before the host began only such as are among its newest 10,000 tasks"`
}

// StoreState is how the store is.
type StoreState struct {
	State  string  `json:"state" enum:"ok,unavailable" doc:"whether it can be read"`
	Reason *string `json:"reason" doc:"why it can't be read"`
	Place  *string `json:"place" doc:"where it is: told to admins"`
	Bytes  int64   `json:"bytes" minimum:"0" doc:"its size on disk"`
}

// FullQueue is a task type whose queue limit is reached.
type FullQueue struct {
	Type       string `json:"type" doc:"the task type"`
	Waiting    int64  `json:"waiting" minimum:"1" doc:"how many of its tasks wait, of all owners"`
	QueueLimit int64  `json:"queue_limit" minimum:"1" doc:"how many may: further ones are 429 queue_full"`
}

// HostProblem is what cannot submit a task that it is to submit.
type HostProblem struct {
	Kind   string `json:"kind" enum:"group,schedule" doc:"what it is"`
	ID     string `json:"id" format:"uuid" doc:"its id"`
	Name   string `json:"name" doc:"its name; empty for a group that has none"`
	Reason string `json:"reason" doc:"why the task could not be submitted"`
}

// Backlog is tasks that wait for the same thing.
type Backlog struct {
	Type     string     `json:"type" doc:"the task type"`
	Executor *string    `json:"executor" doc:"that serves them; null if none does"`
	Waiting  string     `json:"waiting" enum:"queued,scheduled,dependency,resource,paused,executor,dispatched,children" doc:"as of a task"`
	Reason   *string    `json:"reason" doc:"what keeps those that are queued or wait for an executor; null if they are about to run, or wait for something else"`
	Tasks    int64      `json:"tasks" minimum:"1" doc:"how many they are"`
	Oldest   *string    `json:"oldest" format:"uuid" doc:"the task of them that was submitted first; null of those that are scheduled or dispatched"`
	OldestAt *time.Time `json:"oldest_at" doc:"when it was submitted"`
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
	Name    string `json:"name" enum:"taskhost" doc:"the program"`
	Version string `json:"version" doc:"of the program"`
	API     string `json:"api" enum:"v1" doc:"the version of the API, which its paths begin with"`
	Go      string `json:"go" doc:"the version of Go that it was built with"`
}
