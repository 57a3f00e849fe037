package api

import "time"

// ClaimRequest asks for tasks to do.
type ClaimRequest struct {
	Worker  string            `json:"worker" minLength:"1" maxLength:"255" doc:"who claims, by a name that tells this worker from others; it is the node of the attempt"`
	Types   []string          `json:"types" minItems:"1" maxItems:"100" doc:"the task types that the worker does; each must be offered by a board"`
	Labels  map[string]string `json:"labels,omitempty" maxProperties:"64" doc:"the worker's own labels and their values: it gets no task whose route asks for others"`
	Version string            `json:"version,omitempty" maxLength:"100" doc:"the worker's own, a semantic version such as 1.4.0: it gets no task of a type that asks for a newer one; without it, none of a type that asks for any"`
	Limit   int               `json:"limit,omitempty" minimum:"1" maximum:"100" default:"1" doc:"how many tasks at the most"`
	Wait    string            `json:"wait,omitempty" default:"0s" doc:"how long the answer is held while there is no task; 5 minutes are granted"`
	Lease   string            `json:"lease,omitempty" default:"1m0s" doc:"for how long the worker has a task without speaking of it, from 1s to 24h"`
}

// ClaimAnswer is the tasks that a worker was given.
type ClaimAnswer struct {
	Claims []BoardClaim `json:"claims" nullable:"false" doc:"the tasks, those of the highest priority first, and the oldest of these; none if there was none in time"`
}

// BoardClaim is a task that a worker has.
type BoardClaim struct {
	Token      string    `json:"token" pattern:"^[0-9a-f]{32}$" doc:"the secret by which the worker speaks of the task"`
	Task       Task      `json:"task" doc:"the task, with its input and the checkpoint that an earlier attempt left"`
	LeaseUntil time.Time `json:"lease_until" doc:"when the task is lost to the worker, unless it speaks of it before"`
}

// ClaimHeard answers a worker that has spoken of a task which it has.
type ClaimHeard struct {
	LeaseUntil time.Time `json:"lease_until" doc:"when the task is lost to the worker, unless it speaks of it before; what is to stop is extended once only"`
	Stop       *string   `json:"stop" enum:"cancel,timeout,pause" doc:"why the worker is to stop: cancel (clean up, and fail or release the task), timeout (the attempt ran longer than it may), pause (save a checkpoint and release it, or go on); null if it is not"`
}

// ClaimProgress says how far a worker is.
type ClaimProgress struct {
	Done    int64  `json:"done" doc:"units that are done"`
	Total   int64  `json:"total,omitempty" doc:"units there are in all; 0: unknown"`
	Message string `json:"message,omitempty" doc:"what the worker does at the moment"`
}

// ClaimLog is what a worker logs.
type ClaimLog struct {
	Lines []ClaimLine `json:"lines" maxItems:"1000" doc:"the lines; each is a text, or an object"`
}

// ClaimLine is one line that a worker logs.
type ClaimLine struct {
	Level   string            `json:"level,omitempty" enum:"trace,debug,info,warn,error" default:"info" doc:"how much it matters"`
	Message string            `json:"message" doc:"what is logged"`
	Fields  map[string]string `json:"fields,omitempty" doc:"names and values that belong to it"`
}

// ClaimFailure is why a worker did not do a task.
type ClaimFailure struct {
	Message    string         `json:"message" doc:"what went wrong, in words"`
	Permanent  bool           `json:"permanent,omitempty" doc:"no retry can cure it: the task fails, whatever attempts are left"`
	RetryAfter string         `json:"retry_after,omitempty" doc:"how long the task rests before it is tried again; absent: as the type has it"`
	Code       string         `json:"code,omitempty" pattern:"^[a-z][a-z0-9_]{0,99}$" doc:"a name for programs, in snake case, which becomes the task's error code; the host's own are refused"`
	Details    map[string]any `json:"details,omitempty" maxProperties:"64" doc:"what else is known of it; what is no text is kept as the text of its JSON"`
}

// ClaimTrash is why a task is no use to anybody.
type ClaimTrash struct {
	Reason string `json:"reason" minLength:"1" doc:"why, in words, which are kept as the task's error"`
}

// HeldClaim is a claim as operators see it: who has what, since when.
type HeldClaim struct {
	Task       string    `json:"task" format:"uuid" doc:"the task's id"`
	Type       string    `json:"type" doc:"the task's type"`
	Owner      string    `json:"owner" doc:"whose task it is"`
	Attempt    int       `json:"attempt" minimum:"1" doc:"the number of the attempt"`
	Executor   string    `json:"executor" doc:"the board that it was claimed from"`
	Worker     string    `json:"worker" doc:"who has it, as the worker calls itself"`
	Since      time.Time `json:"since" doc:"when it was claimed"`
	LeaseUntil time.Time `json:"lease_until" doc:"when it is lost to the worker, unless that speaks of it before"`
	Stop       *string   `json:"stop" enum:"cancel,timeout,pause" doc:"what the worker hears when it next speaks of it; null if it is to go on"`
}

// HeldClaimList is one page of claims.
type HeldClaimList struct {
	Claims []HeldClaim `json:"claims" nullable:"false" doc:"the claims of this page, the latest first"`
	Next   *string     `json:"next" doc:"the cursor of the next page; null on the last"`
}
