package api

import "encoding/json"

// Type is a task type as clients and operators see it.
type Type struct {
	Name        string          `json:"name"`
	Description string          `json:"description"`
	Input       json.RawMessage `json:"input" doc:"the input's JSON Schema; null accepts anything"`
	Result      json.RawMessage `json:"result" doc:"the result's JSON Schema; null says nothing"`
	Revertible  bool            `json:"revertible"`
	Executor    *string         `json:"executor" doc:"that serves the type now"`
	Available   bool            `json:"available" doc:"the executor is ready and offers the type"`
	Limits      Limits          `json:"limits"`
	Counts      Counts          `json:"counts"`
}

// Limits are the bounds and defaults of a task type. Durations are as in "1h30m".
type Limits struct {
	Timeout     string            `json:"timeout" doc:"of one attempt"`
	MaxAttempts int               `json:"max_attempts"`
	MaxLost     int               `json:"max_lost"`
	Retain      string            `json:"retain" doc:"how long a final task is kept"`
	Priority    int               `json:"priority"`
	MaxInput    int64             `json:"max_input" doc:"bytes"`
	MaxResult   int64             `json:"max_result" doc:"bytes"`
	QueueLimit  int64             `json:"queue_limit" doc:"waiting tasks of the type; 0: no limit"`
	Route       map[string]string `json:"route" doc:"labels of the workers that may run the type"`
	Backoff     BackoffLimits     `json:"backoff"`
}

// BackoffLimits is how long a failed task rests before it is tried again.
type BackoffLimits struct {
	Initial string `json:"initial"`
	Max     string `json:"max"`
}

// Counts is how many tasks there are that are not final.
type Counts struct {
	Ready   int64 `json:"ready" doc:"queued: an executor takes them as soon as it has a slot free"`
	Waiting int64 `json:"waiting" doc:"pending for another reason, as for an executor that is not ready"`
	Active  int64 `json:"active" doc:"dispatched, running, canceling or reverting"`
}

// TypeList is all task types.
type TypeList struct {
	Types []Type `json:"types" nullable:"false"`
}
