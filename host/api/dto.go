package api

import (
	"bytes"
	"encoding/json"
	"mime"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/taskhost/taskhost/host/task"
)

// Task is a task as clients see it. In lists it has no input and no result, and
// its error has no details.
type Task struct {
	ID          string            `json:"id" format:"uuid"`
	Type        string            `json:"type"`
	Key         *string           `json:"key" doc:"unique within owner and type while the task exists"`
	Owner       string            `json:"owner"`
	Labels      map[string]string `json:"labels"`
	State       task.State        `json:"state"`
	Waiting     *string           `json:"waiting" doc:"why a pending task waits"`
	WaitReason  *string           `json:"waiting_reason" doc:"what is missing, of a task that waits for an executor or for workers that can run it"`
	Executor    *string           `json:"executor" doc:"that runs the task, or ran it last"`
	Attempt     int               `json:"attempt" doc:"the number of the last attempt; it never resets"`
	MaxAttempts int               `json:"max_attempts" doc:"how often the script may fail"`
	Lost        int               `json:"lost" doc:"attempts that may have run and of which nobody knows the end"`
	MaxLost     int               `json:"max_lost" doc:"how many attempts may be lost; 0: never run twice"`
	Priority    int               `json:"priority" doc:"higher runs first"`
	Group       *string           `json:"group"`
	Flow        *string           `json:"flow"`
	Step        *string           `json:"step"`
	Parent      *string           `json:"parent"`
	Input       json.RawMessage   `json:"input,omitempty" doc:"any JSON value, as it was submitted; not in lists"`
	Result      json.RawMessage   `json:"result,omitempty" doc:"the result if result_type is JSON; as a string if it is text; null if there is none or it is neither: GET its bytes at /result; not in lists"`
	ResultType  *string           `json:"result_type" doc:"the result's media type"`
	Error       *TaskError        `json:"error" doc:"why the task did not succeed, or why its last attempt did not"`
	Progress    *TaskProgress     `json:"progress" doc:"how far the current attempt is"`
	CreatedAt   time.Time         `json:"created_at"`
	RunAt       time.Time         `json:"run_at" doc:"not before this time"`
	StartedAt   *time.Time        `json:"started_at" doc:"when the last attempt began"`
	FinishedAt  *time.Time        `json:"finished_at"`
	ExpiresAt   *time.Time        `json:"expires_at" doc:"when the final task is deleted"`
	UpdatedAt   time.Time         `json:"updated_at"`
	CancelAt    *time.Time        `json:"cancel_requested_at"`
	Version     int64             `json:"version" doc:"raised by every change of state"`
	Damage      string            `json:"damage,omitempty" doc:"what of the stored task cannot be read, and is shown as something else; absent if all can"`
}

// TaskError is why a task did not succeed.
type TaskError struct {
	Code    string         `json:"code" doc:"script_failed, permanent, timeout, executor_lost, executor_failed, result_too_large, protocol_error or canceled"`
	Message string         `json:"message"`
	Attempt int            `json:"attempt"`
	Details map[string]any `json:"details,omitzero" doc:"what else is known of it, often nothing; not in lists"`
}

// TaskProgress is how far an attempt is, in units of the script's choice.
type TaskProgress struct {
	Done    int64  `json:"done"`
	Total   int64  `json:"total" doc:"0: unknown"`
	Message string `json:"message"`
}

// Event is one transition of a task.
type Event struct {
	Seq     int64       `json:"seq" doc:"the task's version after it: it rises, with gaps"`
	At      time.Time   `json:"at"`
	From    *task.State `json:"from" doc:"null for the first"`
	To      task.State  `json:"to"`
	Attempt int         `json:"attempt"`
	By      string      `json:"by" doc:"host, or the owner that asked"`
	Message string      `json:"message"`
}

// StateEvent is the data of a server-sent event of kind state: the transition,
// and the task (as lists show it) as it is when the event is sent.
type StateEvent struct {
	Event
	Task Task `json:"task"`
}

// toTask is t as clients see it: whole, or as a line of a list.
func toTask(t *task.Task, whole bool) Task {
	d := Task{
		ID: t.ID.String(), Type: t.Type, Key: orNull(t.Key), Owner: t.Owner, Labels: t.Labels, State: t.State,
		Waiting: orNull(t.Waiting.String()), WaitReason: orNull(t.WaitReason), Executor: orNull(t.Executor), Attempt: t.Attempt, MaxAttempts: t.MaxAttempts,
		Lost: t.Lost, MaxLost: t.MaxLost, Priority: t.Priority,
		Group: idOrNull(t.Group), Flow: idOrNull(t.Flow), Step: orNull(t.Step), Parent: idOrNull(t.Parent),
		ResultType: orNull(t.ResultType), Progress: toProgress(t.Progress),
		CreatedAt: task.Shown(t.CreatedAt), RunAt: task.Shown(t.RunAt), StartedAt: timeOrNull(t.StartedAt), FinishedAt: timeOrNull(t.FinishedAt),
		ExpiresAt: timeOrNull(t.ExpiresAt), UpdatedAt: task.Shown(t.UpdatedAt), CancelAt: timeOrNull(t.CancelRequestedAt), Version: t.Version,
		Damage: t.Damage,
	}
	if d.Labels == nil {
		d.Labels = map[string]string{}
	}
	if t.State != task.Pending {
		d.Waiting, d.WaitReason = nil, nil
	}
	if d.Executor == nil {
		d.Executor = orNull(t.Pinned)
	}
	if t.Error != nil {
		d.Error = &TaskError{Code: t.Error.Code, Message: t.Error.Message, Attempt: t.Error.Attempt}
	}
	if !whole {
		return d
	}
	d.Input, d.Result = orNullJSON(t.Input), inlineResult(t.ResultType, t.Result)
	if !json.Valid(d.Input) { // or nobody could be told of the task at all
		d.Input, d.Damage = json.RawMessage("null"), strings.TrimPrefix(d.Damage+"; input: is not JSON", "; ")
	}
	if t.Error != nil {
		d.Error.Details = t.Error.Details
		if d.Error.Details == nil {
			d.Error.Details = map[string]any{}
		}
	}
	return d
}

// inlineResult is a result as part of a task's JSON: JSON as it is, text as a
// string, null for anything else, which is read from /result.
func inlineResult(contentType string, data []byte) json.RawMessage {
	kind, _, err := mime.ParseMediaType(contentType)
	switch {
	case err != nil || contentType == "":
	case kind == "application/json" || strings.HasSuffix(kind, "+json"):
		if len(data) > 0 && json.Valid(data) { // a script may call anything JSON
			return data
		}
	case strings.HasPrefix(kind, "text/") && utf8.Valid(data):
		if s, err := encodeJSON(string(data)); err == nil {
			return bytes.TrimRight(s, "\n")
		}
	}
	return json.RawMessage("null")
}

func toEvent(e *task.Event) Event {
	d := Event{Seq: e.Seq, At: task.Shown(e.At), To: e.To, Attempt: e.Attempt, By: e.By, Message: e.Message}
	if e.From != task.None {
		d.From = &e.From
	}
	return d
}

// toProgress is nil for an attempt that said nothing yet.
func toProgress(p task.Progress) *TaskProgress {
	if p == (task.Progress{}) {
		return nil
	}
	return &TaskProgress{Done: p.Done, Total: p.Total, Message: p.Message}
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

func orNullJSON(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 {
		return json.RawMessage("null")
	}
	return raw
}

func idOrNull(id task.ID) *string {
	if id.IsZero() {
		return nil
	}
	return orNull(id.String())
}

func timeOrNull(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = task.Shown(t)
	return &t
}
