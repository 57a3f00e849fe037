package api

import (
	"encoding/json"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// Task is a task as clients see it. In lists it has no input and no result, and
// its error has no details.
type Task struct {
	ID          string            `json:"id" format:"uuid" doc:"a UUID of version 7: it begins with the time it was made, so ids sort by age"`
	Type        string            `json:"type" doc:"the task type, which says what is run"`
	Key         *string           `json:"key" doc:"unique within owner and type while the task exists"`
	Owner       string            `json:"owner" doc:"whose task it is: the owner of the token that submitted it; default where there are no tokens"`
	Labels      map[string]string `json:"labels" doc:"as they were submitted"`
	State       task.State        `json:"state" doc:"where the task is in its life; succeeded, failed, canceled, skipped, reverted and revert_failed are final"`
	Waiting     *string           `json:"waiting" doc:"why a pending task waits; null in all other states"`
	WaitReason  *string           `json:"waiting_reason" doc:"what is missing, of a task that waits for an executor or for workers that can run it; which limit of its type or quota of its owner is reached, of one that is queued"`
	BlockedBy   []string          `json:"blocked_by,omitempty" doc:"the tasks that have what a task waits for that waits for a resource, a hundred at the most; not in lists"`
	Exclusive   []string          `json:"exclusive,omitempty" doc:"resources that the task has for itself, from before it starts until it is final"`
	Shared      []string          `json:"shared,omitempty" doc:"resources that it has with others who share them"`
	Executor    *string           `json:"executor" doc:"that runs the task, or ran it last; before its first attempt the one it was pinned to, if any"`
	Attempt     int               `json:"attempt" minimum:"0" doc:"the number of the last attempt; 0: there was none yet. It never resets"`
	Failures    int               `json:"failures" minimum:"0" doc:"how often the script has failed since the task was submitted, or retried by hand"`
	MaxAttempts int               `json:"max_attempts" doc:"how often the script may fail"`
	Lost        int               `json:"lost" doc:"attempts that may have run and of which nobody knows the end"`
	MaxLost     int               `json:"max_lost" doc:"how many attempts may be lost; 0: never run twice"`
	Priority    int               `json:"priority" doc:"higher runs first"`
	Route       map[string]string `json:"route" doc:"labels that a worker must have to run it, with their values"`
	Timeout     string            `json:"timeout" doc:"of one attempt, as in 1h30m0s"`
	Deadline    *time.Time        `json:"deadline" doc:"the task fails if it is not done by then"`
	Retain      string            `json:"retain" doc:"how long the task is kept once final, as in 48h0m0s; 0s: for ever"`
	Group       *string           `json:"group" format:"uuid" doc:"the id of the group that it is in"`
	Flow        *string           `json:"flow" format:"uuid" doc:"the id of the flow that it is a step of"`
	Step        *string           `json:"step" doc:"the name of the step that it is in its flow"`
	Parent      *string           `json:"parent" format:"uuid" doc:"the id of the task that spawned it"`
	Name        *string           `json:"name" doc:"its name among the tasks that its parent has spawned"`
	Checkpoint  []byte            `json:"checkpoint,omitempty" doc:"what an earlier attempt saved for the next to resume from, in base64; only in the answer to a claim, and absent if there is none"`
	Input       json.RawMessage   `json:"input,omitempty" doc:"any JSON value, as it was submitted, but for values that the type's schema marks writeOnly: they are shown as ***, and in clear to the worker that claims the task alone"`
	Result      json.RawMessage   `json:"result,omitempty" doc:"the result if result_type is JSON; as a string if it is text; null if there is none or it is neither: GET its bytes at /result"`
	ResultType  *string           `json:"result_type" doc:"the result's media type; null if there is no result"`
	Error       *TaskError        `json:"error" doc:"why the task did not succeed, or why its last attempt did not"`
	Progress    *TaskProgress     `json:"progress" doc:"how far the current attempt is, or the last one was; null if it said nothing"`
	CreatedAt   time.Time         `json:"created_at" doc:"when it was submitted"`
	RunAt       time.Time         `json:"run_at" doc:"not before this time"`
	StartedAt   *time.Time        `json:"started_at" doc:"when the last attempt began to run"`
	FinishedAt  *time.Time        `json:"finished_at" doc:"when it became final"`
	ExpiresAt   *time.Time        `json:"expires_at" doc:"when the final task is deleted; null of a final task: never"`
	UpdatedAt   time.Time         `json:"updated_at" doc:"when it last changed; progress apart"`
	CancelAt    *time.Time        `json:"cancel_requested_at" doc:"when it was asked to end"`
	Version     int64             `json:"version" doc:"raised by every change of state, and by some that are none; it numbers the history"`
	Task        string            `json:"task,omitempty" format:"uri-reference" doc:"its path, in answers with status 202 alone"`
	Damage      string            `json:"damage,omitempty" doc:"what of the stored task cannot be read, and is shown as something else; absent if all can"`
}

// TaskError is why a task did not succeed.
type TaskError struct {
	Code    string         `json:"code" doc:"script_failed, permanent, timeout, executor_lost, executor_failed, result_too_large, protocol_error, canceled, or one that the executor made up"`
	Message string         `json:"message" doc:"what went wrong, in words"`
	Attempt int            `json:"attempt" minimum:"0" doc:"the number of the attempt that failed; 0: the task never ran"`
	Details map[string]any `json:"details,omitzero" doc:"what else is known of it, often nothing: of a canceled task, confirmed says whether its attempt was heard to end; not in lists and events"`
}

// TaskProgress is how far an attempt is, in units of the script's choice.
type TaskProgress struct {
	Done    int64  `json:"done" doc:"units that are done"`
	Total   int64  `json:"total" doc:"units there are in all; 0: unknown"`
	Message string `json:"message" doc:"what it does at the moment, in the script's words"`
}

// TaskTree is a task with those that it has spawned, and theirs.
type TaskTree struct {
	Task     Task        `json:"task" doc:"the task"`
	Children []*TaskTree `json:"children" nullable:"false" doc:"what it has spawned, oldest first"`
	More     bool        `json:"more,omitempty" doc:"it has spawned more than are told, since there are more than limit; list them with GET /v1/tasks?parent="`
}
