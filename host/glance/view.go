package glance

import (
	"bytes"
	"encoding/json"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// The labels in which a task keeps what Glance tells of it and /v1 has no field for.
const (
	labelRequest = "openstack.request_id"
	labelUser    = "openstack.user_id"
	labelImage   = "openstack.image_id"
)

// The statuses that Glance has.
const (
	statusPending    = "pending"
	statusProcessing = "processing"
	statusSuccess    = "success"
	statusFailure    = "failure"
)

var allStatuses = []string{statusPending, statusProcessing, statusSuccess, statusFailure}

// statusOf is a state in Glance's words. It has none for canceled: such a task failed.
func statusOf(s task.State) string {
	switch {
	case s == task.Pending:
		return statusPending
	case s == task.Succeeded:
		return statusSuccess
	case s.Final():
		return statusFailure
	}
	return statusProcessing
}

// statesOf are the states that a status stands for.
func statesOf(status string) (states []task.State) {
	for _, s := range task.States() {
		if statusOf(s) == status {
			states = append(states, s)
		}
	}
	return states
}

// second is a time as Glance writes it.
func second(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// summary is a task as a list has it.
type summary struct {
	ID        string `json:"id"`
	Type      string `json:"type"`
	Status    string `json:"status"`
	Owner     string `json:"owner"`
	CreatedAt string `json:"created_at"`
	UpdatedAt string `json:"updated_at"`
	ExpiresAt string `json:"expires_at,omitempty"` // of one that has ended and is not kept for ever
	Self      string `json:"self"`
	Schema    string `json:"schema"`
}

func summarize(t *task.Task) summary {
	s := summary{ID: t.ID.String(), Type: t.Type, Status: statusOf(t.State), Owner: t.Owner, CreatedAt: second(t.CreatedAt), UpdatedAt: second(t.UpdatedAt),
		Self: tasksPath + "/" + t.ID.String(), Schema: schemasPath + "task"}
	if t.State.Final() && !t.ExpiresAt.IsZero() {
		s.ExpiresAt = second(t.ExpiresAt)
	}
	return s
}

// whole is a task by itself.
type whole struct {
	summary
	Input     json.RawMessage `json:"input"`
	Result    json.RawMessage `json:"result"`
	Message   string          `json:"message"`
	RequestID string          `json:"request_id"`
	UserID    string          `json:"user_id"`
	ImageID   string          `json:"image_id,omitempty"` // where the input names one
}

func show(t *task.Task) whole {
	w := whole{summary: summarize(t), Input: object(task.MaskInput(t.Input), "input"), Result: json.RawMessage("null"), RequestID: t.Labels[labelRequest], UserID: t.Labels[labelUser],
		ImageID: t.Labels[labelImage]}
	switch {
	case t.State == task.Succeeded && t.Result != nil:
		w.Result = result(t)
	case t.State == task.Canceled:
		w.Message = "The task was canceled."
	case t.State.Final() && t.Error != nil:
		w.Message = t.Error.Message
	}
	return w
}

// object is JSON as Glance has it, where inputs and results are objects or null: what is none
// becomes a member of one.
func object(data []byte, name string) json.RawMessage {
	data = bytes.TrimSpace(data)
	switch {
	case len(data) == 0 || string(data) == "null":
		return json.RawMessage("null")
	case data[0] == '{':
		return data
	}
	return json.RawMessage(`{"` + name + `":` + string(data) + `}`)
}

// result is a task's result; one that is no JSON is text.
func result(t *task.Task) json.RawMessage {
	if task.IsJSON(t.ResultType) && json.Valid(t.Result) {
		return object(t.Result, "result")
	}
	text, err := json.Marshal(string(t.Result))
	if err != nil {
		return json.RawMessage("null")
	}
	return object(text, "result")
}
