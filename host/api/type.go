package api

import (
	"encoding/json"

	"github.com/taskhost/taskhost/host/task"
)

// Type is a task type as clients and operators see it.
type Type struct {
	Name        string          `json:"name" doc:"what a submit says as type"`
	Description string          `json:"description" doc:"what its tasks do, in the executor's words"`
	Input       json.RawMessage `json:"input" doc:"the input's JSON Schema; null accepts anything"`
	Result      json.RawMessage `json:"result" doc:"the result's JSON Schema; null says nothing"`
	Revertible  bool            `json:"revertible" doc:"a task of it that is done can be undone"`
	Executor    *string         `json:"executor" doc:"that serves the type now; null if none does: its tasks wait for one"`
	Available   bool            `json:"available" doc:"the executor is ready and offers the type"`
	Paused      bool            `json:"paused" doc:"by an operator: no attempts begin"`
	Limits      Limits          `json:"limits" doc:"what holds for its tasks where a submit says nothing else, and what they may not pass"`
	// Origin is by the names of fields, those of Limits among them.
	Origin map[string]task.Origin `json:"origin" doc:"whose word each value is, by the name of its field, those of limits among them: default, executor (declared by whoever offers the type), api (put by a client) or config (the host's file), each laid over those before it"`
	Counts Counts                 `json:"counts" doc:"its tasks that are not final"`
}

// TypeRequest is what a client says of a task type. What is absent or null is left to
// whoever offers the type; what the host's config says goes before it.
type TypeRequest struct {
	Description string             `json:"description,omitempty" maxLength:"4096" doc:"what its tasks do"`
	Input       json.RawMessage    `json:"input,omitempty" doc:"the input's JSON Schema, draft 2020-12, in place of that of whoever offers the type. Values that it marks writeOnly are kept encrypted, and so are those that the offered one marks"`
	Result      json.RawMessage    `json:"result,omitempty" doc:"the result's JSON Schema; nothing is checked against it"`
	Executor    string             `json:"executor,omitempty" doc:"that serves the type, one of the config's"`
	Board       *bool              `json:"board,omitempty" doc:"the type is on the host's board: workers outside claim its tasks, see POST /v1/board/claims"`
	Route       map[string]string  `json:"route,omitempty" maxProperties:"64" doc:"labels that a worker must have to run the type, with their values"`
	MinVersion  string             `json:"min_version,omitempty" maxLength:"100" doc:"the oldest version of the type that may run its tasks, a semantic version such as 1.4.0; whoever offers it in an older one, or tells none, gets no task of it"`
	Timeout     Duration           `json:"timeout,omitempty" doc:"of one attempt"`
	Deadline    Duration           `json:"deadline,omitempty" doc:"of the whole task, from when it is due first"`
	MaxAttempts int                `json:"max_attempts,omitempty" minimum:"1" maximum:"1000" doc:"how often the script may fail"`
	MaxLost     *int               `json:"max_lost,omitempty" minimum:"0" maximum:"1000" doc:"how many attempts may be lost; 0: never run twice"`
	Backoff     *BackoffRequest    `json:"backoff,omitempty" doc:"how long a failed task rests before it is tried again"`
	Retain      *Duration          `json:"retain,omitempty" doc:"how long a final task is kept; 0 keeps it for ever"`
	QueueLimit  int64              `json:"queue_limit,omitempty" minimum:"1" maximum:"2147483647" doc:"how many tasks of the type may wait: further ones are 429 queue_full"`
	Concurrency []ConcurrencyLimit `json:"concurrency,omitzero" maxItems:"8" doc:"how many attempts at its tasks may be under way at once; an empty list: as many as there are slots"`
	Rate        *RateLimit         `json:"rate,omitempty" doc:"how many attempts at its tasks may begin"`
	Priority    int                `json:"priority,omitempty" minimum:"-1000" maximum:"1000" doc:"of tasks that name none; higher runs first"`
	MaxInput    int64              `json:"max_input,omitempty" minimum:"1" maximum:"2147483647" doc:"bytes that an input may have"`
	MaxResult   int64              `json:"max_result,omitempty" minimum:"1" maximum:"2147483647" doc:"bytes that a result may have"`
}

// BackoffRequest is how long a failed task is to rest before it is tried again.
type BackoffRequest struct {
	Initial Duration `json:"initial,omitempty" doc:"after the first failure; it doubles with each further one"`
	Max     Duration `json:"max,omitempty" doc:"the longest rest"`
}

// ConcurrencyLimit is a limit on how many attempts may be under way at once.
type ConcurrencyLimit struct {
	Max int64  `json:"max" minimum:"1" maximum:"2147483647" doc:"how many, from when they are handed to an executor until they end"`
	By  string `json:"by,omitempty" doc:"what is counted together: absent, all tasks of the type; owner, those of an owner; label:NAME, those with the same value of that label, and those without it"`
}

// RateLimit is a limit on how many attempts may begin.
type RateLimit struct {
	PerSecond float64 `json:"per_second" minimum:"0.000001" maximum:"1000000" doc:"how many in a second, in the long run"`
	Burst     int64   `json:"burst,omitempty" minimum:"1" maximum:"1000000" doc:"how many at once after a rest; 1 if absent"`
}

// Limits are the bounds and defaults of a task type. Durations are as in "1h30m".
type Limits struct {
	Timeout     string             `json:"timeout" doc:"of one attempt"`
	Deadline    string             `json:"deadline" doc:"of the whole task, from when it is due first; 0s: none"`
	MaxAttempts int                `json:"max_attempts" doc:"how often the script may fail"`
	MaxLost     int                `json:"max_lost" doc:"how many attempts may be lost; 0: never run twice"`
	Retain      string             `json:"retain" doc:"how long a final task is kept; 0s: for ever"`
	Priority    int                `json:"priority" doc:"higher runs first"`
	MaxInput    int64              `json:"max_input" doc:"bytes that an input may have"`
	MaxResult   int64              `json:"max_result" doc:"bytes that a result may have"`
	QueueLimit  int64              `json:"queue_limit" doc:"how many tasks of the type may wait; 0: no limit"`
	Concurrency []ConcurrencyLimit `json:"concurrency" nullable:"false" doc:"how many attempts may be under way at once; empty: no limit"`
	Rate        *RateLimit         `json:"rate" doc:"how many attempts may begin; null: no limit"`
	Route       map[string]string  `json:"route" doc:"labels that a worker must have to run the type, with their values"`
	MinVersion  *string            `json:"min_version" doc:"the oldest version of the type that may run its tasks; null: any may"`
	Backoff     BackoffLimits      `json:"backoff" doc:"how long a failed task rests before it is tried again"`
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

// TypeList is one page of task types.
type TypeList struct {
	Types []Type  `json:"types" nullable:"false" doc:"by name"`
	Next  *string `json:"next" doc:"the cursor of the next page; null on the last"`
}
