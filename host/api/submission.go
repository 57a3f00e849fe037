package api

import (
	"encoding/json"
	"time"
)

// TaskRequest asks for a task, as Client sends it and as the OpenAPI document
// describes it. Absent fields leave a value to the task type.
type TaskRequest struct {
	Type        string            `json:"type" minLength:"1" doc:"the name of a task type, of those that GET /v1/types lists"`
	Input       json.RawMessage   `json:"input,omitempty" doc:"any JSON value that the type's schema takes; null if absent. What the schema marks writeOnly is kept encrypted, and shown to nobody as anything but ***, which is refused in its place"`
	Key         string            `json:"key,omitempty" maxLength:"255" doc:"unique within owner and type while the task exists: until it is deleted, or its retain is over"`
	OnConflict  string            `json:"on_conflict,omitempty" enum:"refuse,existing,replace" doc:"what is done if another task has the key. refuse, which is the default: 409 conflict, naming it. existing: nothing is submitted, and it is the answer, whatever its state. replace: the new task takes the key; one that waits is canceled in the same commit, one that is final stays without the key, and one that runs is 409 conflict"`
	Executor    string            `json:"executor,omitempty" doc:"pins the task to an executor, whatever the config says"`
	Priority    int               `json:"priority,omitempty" minimum:"-1000" maximum:"1000" doc:"higher runs first; absent or 0: the type's"`
	RunAt       *time.Time        `json:"run_at,omitempty" doc:"not before this time; absent: at once"`
	Deadline    *time.Time        `json:"deadline,omitempty" doc:"the task fails if it is not done by then"`
	Labels      map[string]string `json:"labels,omitempty" maxProperties:"64" doc:"names and values of the client's own, of 255 bytes each at the most, and no '=' in a name: lists can be filtered by them"`
	Route       map[string]string `json:"route,omitempty" maxProperties:"64" doc:"labels that a worker must have to run it, with their values; absent or empty: the type's"`
	Timeout     Duration          `json:"timeout,omitempty" doc:"of one attempt"`
	Retain      *Duration         `json:"retain,omitempty" doc:"how long the task is kept once final; 0 keeps it for ever"`
	MaxAttempts int               `json:"max_attempts,omitempty" minimum:"1" maximum:"1000" doc:"how often the script may fail"`
	MaxLost     *int              `json:"max_lost,omitempty" minimum:"0" maximum:"1000" doc:"how many attempts may be lost; 0: never run twice"`
	Exclusive   []string          `json:"exclusive,omitempty" maxItems:"64" doc:"names of resources that the task has for itself, from before it starts until it is final; first come, first served, among the tasks of its owner"`
	Shared      []string          `json:"shared,omitempty" maxItems:"64" doc:"names of resources that it has with others who share them"`
	Group       string            `json:"group,omitempty" format:"uuid" doc:"the group that the task joins, which must be open"`
	Parent      string            `json:"parent,omitempty" format:"uuid" doc:"the task that spawns this one: an attempt at it must be running, and its token is the credential of the request"`
	Name        string            `json:"name,omitempty" maxLength:"255" doc:"of a child: its name within its parent, which has each once"`
}

// BatchRequest asks for many tasks, all or none.
type BatchRequest struct {
	Tasks []TaskRequest `json:"tasks" nullable:"false" minItems:"1" maxItems:"10000" doc:"the tasks: all are accepted, or none"`
	Group *BatchGroup   `json:"group,omitempty" doc:"makes them a group, which is closed at once unless it says that it is open"`
}

// Duration is a time.Duration that is written as in "1h30m".
type Duration time.Duration

// MarshalText writes it as time.Duration does.
func (d Duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText reads what time.ParseDuration does.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	*d = Duration(v)
	return err
}

// UnmarshalJSON reads such a text, or a number of seconds.
func (d *Duration) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err == nil {
		return d.UnmarshalText([]byte(text))
	}
	var seconds float64
	err := json.Unmarshal(b, &seconds)
	*d = Duration(seconds * float64(time.Second))
	return err
}

// BatchAnswer is what a batch is answered with: its tasks in their order, or the group
// that it made.
type BatchAnswer struct {
	Tasks []TaskRef `json:"tasks,omitempty" nullable:"false" doc:"where they are, in their order; absent if they are a group"`
	Group string    `json:"group,omitempty" format:"uri-reference" doc:"where the group is that they are; absent if they are none"`
}

// TaskRef says where a task is.
type TaskRef struct {
	ID   string `json:"id" format:"uuid" doc:"of the task"`
	Href string `json:"href" format:"uri-reference" doc:"its path on this server"`
	// Existing says that the task was there before, and that nothing was submitted for it.
	Existing bool `json:"existing,omitempty" doc:"the task was there before and has the key: nothing was submitted. Absent otherwise"`
}
