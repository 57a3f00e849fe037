package api

import (
	"encoding/json"
	"time"

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
	BlockedBy   []string          `json:"blocked_by,omitempty" doc:"the tasks that have what a task waits for that waits for a resource, a hundred at the most; not in lists"`
	Exclusive   []string          `json:"exclusive,omitempty" doc:"resources that the task has for itself, from before it starts until it is final"`
	Shared      []string          `json:"shared,omitempty" doc:"resources that it has with others who share them"`
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
