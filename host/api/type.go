package api

import "encoding/json"

// Type is a task type as clients and operators see it.
type Type struct {
	Name        string          `json:"name" doc:"what a submit says as type"`
	Description string          `json:"description" doc:"what its tasks do, in the executor's words"`
	Input       json.RawMessage `json:"input" doc:"the input's JSON Schema; null accepts anything"`
	Result      json.RawMessage `json:"result" doc:"the result's JSON Schema; null says nothing"`
	Revertible  bool            `json:"revertible" doc:"a task of it that is done can be undone"`
	Executor    *string         `json:"executor" doc:"that serves the type now"`
	Available   bool            `json:"available" doc:"the executor is ready and offers the type"`
	Limits      Limits          `json:"limits" doc:"what holds for its tasks where a submit says nothing else, and what they may not pass"`
	Counts      Counts          `json:"counts" doc:"its tasks that are not final"`
}

// Limits are the bounds and defaults of a task type. Durations are as in "1h30m".
type Limits struct {
	Timeout     string            `json:"timeout" doc:"of one attempt"`
	MaxAttempts int               `json:"max_attempts" doc:"how often the script may fail"`
	MaxLost     int               `json:"max_lost" doc:"how many attempts may be lost; 0: never run twice"`
	Retain      string            `json:"retain" doc:"how long a final task is kept"`
	Priority    int               `json:"priority" doc:"higher runs first"`
	MaxInput    int64             `json:"max_input" doc:"bytes that an input may have"`
	MaxResult   int64             `json:"max_result" doc:"bytes that a result may have"`
	QueueLimit  int64             `json:"queue_limit" doc:"how many tasks of the type may wait; 0: no limit"`
	Route       map[string]string `json:"route" doc:"labels that a worker must have to run the type, with their values"`
	Backoff     BackoffLimits     `json:"backoff" doc:"how long a failed task rests before it is tried again"`
}

// BackoffLimits is how long a failed task rests before it is tried again.
type BackoffLimits struct {
	Initial string `json:"initial" doc:"after the first failure; it doubles with each further one"`
	Max     string `json:"max" doc:"the longest rest"`
}

// Counts is how many tasks there are that are not final.
type Counts struct {
	Ready   int64 `json:"ready" minimum:"0" doc:"queued: an executor takes them as soon as it has a slot free"`
	Waiting int64 `json:"waiting" minimum:"0" doc:"pending for another reason, as for an executor that is not ready"`
	Active  int64 `json:"active" minimum:"0" doc:"dispatched, running, canceling or reverting"`
}

// TypeList is all task types.
type TypeList struct {
	Types []Type `json:"types" nullable:"false" doc:"by name"`
}
