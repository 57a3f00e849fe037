package celery

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"github.com/taskhost/taskhost/sdk"
)

// The states of Celery that mean more than progress.
const (
	stateSuccess = "SUCCESS"
	stateFailure = "FAILURE"
	stateRetry   = "RETRY"
	stateRevoked = "REVOKED"
	stateStarted = "STARTED"
)

// reply is what a worker says of one message: a state, and what belongs to it.
type reply struct {
	TaskID    string          `json:"task_id"`
	Status    string          `json:"status"`
	Result    json.RawMessage `json:"result"`
	Traceback *string         `json:"traceback"`
}

// unreadableReply is a reply that says of an attempt no more than that it came.
func unreadableReply(id, why string) reply {
	result, _ := json.Marshal(map[string]any{"exc_type": unreadable, "exc_message": why}) // a map of strings
	return reply{TaskID: id, Status: stateFailure, Result: result}
}

// unreadable stands where a Python exception's type does. No type of Python has a space.
const unreadable = "unreadable reply"

// decodeReply reads a reply. One that cannot be read still ends its attempt, if it says
// which: id is the correlation id that it came under.
func decodeReply(id, contentType string, compressed bool, body []byte) reply {
	switch {
	case compressed:
		return unreadableReply(id, "the result is compressed: leave result_compression out of the app's configuration")
	case contentType != "application/json":
		return unreadableReply(id, fmt.Sprintf("the result is %.100q, and JSON is what can be read: set result_serializer = \"json\" in the app's configuration", contentType))
	}
	var r reply
	if err := json.Unmarshal(body, &r); err != nil {
		return unreadableReply(id, fmt.Sprintf("the result is no JSON (NaN and Infinity are none either): %v", err))
	}
	if r.TaskID == "" {
		r.TaskID = id
	}
	if len(r.Result) == 0 {
		r.Result = json.RawMessage("null")
	}
	return r
}

// final says that nothing follows the reply.
func (r *reply) final() bool {
	return r.Status == stateSuccess || r.Status == stateFailure || r.Status == stateRevoked
}

// exception is what Celery makes of a Python exception.
type exception struct {
	Type    string          `json:"exc_type"`
	Message json.RawMessage `json:"exc_message"`
	Module  string          `json:"exc_module"`
}

// exception reads the result of a failure; one that cannot be read has no type.
func (r *reply) exception() (e exception) {
	if err := json.Unmarshal(r.Result, &e); err != nil {
		return exception{Message: r.Result}
	}
	return e
}

// text is the exception's arguments as Python shows them: one as it is, several as a list.
func (e *exception) text() string {
	var one string
	if json.Unmarshal(e.Message, &one) == nil {
		return one
	}
	var all []json.RawMessage
	if json.Unmarshal(e.Message, &all) != nil {
		return string(e.Message)
	}
	parts := make([]string, 0, len(all))
	for _, part := range all {
		if json.Unmarshal(part, &one) != nil {
			one = string(part)
		}
		parts = append(parts, one)
	}
	return strings.Join(parts, ", ")
}

func (e *exception) String() string {
	text := e.text()
	switch {
	case e.Type == "" || e.Type == unreadable:
		return text
	case text == "":
		return e.Type
	}
	return e.Type + ": " + text
}

// maxTraceback is how many bytes of a traceback are kept: its end, where the cause stands.
const maxTraceback = 32 << 10

// outcome is what a final reply says of an attempt. started says that it was heard to run.
func (r *reply) outcome(started bool) sdk.Outcome {
	switch r.Status {
	case stateSuccess:
		return sdk.Outcome{Kind: sdk.OutcomeSucceeded, Result: sdk.Result{ContentType: sdk.ContentJSON, Data: r.Result}}
	case stateRevoked:
		return r.revoked(started)
	}
	e := r.exception()
	o := sdk.Outcome{Kind: sdk.OutcomeFailed, Code: sdk.CodeScriptFailed, Message: e.String(), Details: map[string]string{}}
	if e.Type != "" && e.Type != unreadable {
		o.Details["type"] = e.Type
		if e.Module != "" && e.Module != "builtins" {
			o.Details["type"] = e.Module + "." + e.Type
		}
	}
	if r.Traceback != nil {
		o.Details["traceback"] = strings.ToValidUTF8(tail(*r.Traceback, maxTraceback), "�")
	}
	switch e.Type {
	case unreadable:
		o.Code = sdk.CodeProtocolError
		o.Permanent = true
	case "WorkerLostError":
		o.Kind = sdk.OutcomeLost
		o.Code = sdk.CodeExecutorLost
	case "TimeLimitExceeded", "SoftTimeLimitExceeded":
		o.Code = sdk.CodeTimeout
		o.Message = "the app's own time limit: " + o.Message
	case "NotRegistered":
		o.Code = sdk.CodeExecutorFailed
		o.Message = "a worker of the queue does not have the task: " + o.Message
	}
	return o
}

// revoked is the outcome of an attempt that a worker discarded or ended. If it is the host
// that had it revoked, the context says so, and that is why it failed.
func (r *reply) revoked(started bool) sdk.Outcome {
	e := r.exception()
	why := e.text()
	switch {
	case why == "expired" && !started:
		return sdk.Outcome{Kind: sdk.OutcomeReleased, Message: "no worker was free for the message before it expired"}
	case why == "expired":
		return sdk.Outcome{Kind: sdk.OutcomeFailed, Code: sdk.CodeTimeout, Message: "the task's own retries took longer than its timeout"}
	}
	return sdk.Outcome{Kind: sdk.OutcomeFailed, Code: sdk.CodePermanent, Permanent: true, Message: "revoked in Celery: " + why}
}

func tail(text string, n int) string {
	if len(text) <= n {
		return text
	}
	return "…" + text[len(text)-n:]
}

// startedOn is the worker that says that it runs an attempt; "" if the reply does not tell.
func (r *reply) startedOn() string {
	var meta struct {
		Hostname string `json:"hostname"`
	}
	_ = json.Unmarshal(r.Result, &meta) // what cannot be read tells nothing
	return meta.Hostname
}

// progress is how far an attempt is.
type progress struct {
	done, total int64
	message     string
}

// progress reads what people hand to update_state: done or current, total, and message or
// status. Without a text it is the state's name.
func (r *reply) progress() progress {
	var meta struct {
		Done    *float64 `json:"done"`
		Current *float64 `json:"current"`
		Total   *float64 `json:"total"`
		Message string   `json:"message"`
		Status  string   `json:"status"`
	}
	var fields map[string]json.RawMessage
	_ = json.Unmarshal(r.Result, &fields) // what cannot be read tells nothing
	for key, into := range map[string]any{"done": &meta.Done, "current": &meta.Current, "total": &meta.Total, "message": &meta.Message, "status": &meta.Status} {
		if value, ok := fields[key]; ok {
			_ = json.Unmarshal(value, into) // one that is of another kind spoils no other
		}
	}
	if meta.Done == nil {
		meta.Done = meta.Current
	}
	p := progress{done: whole(meta.Done), total: whole(meta.Total), message: meta.Message}
	if p.message == "" {
		p.message = meta.Status
	}
	if p.message == "" {
		p.message = r.Status
	}
	return p
}

// whole is a count; what is none is 0.
func whole(f *float64) int64 {
	if f == nil || !(*f > 0) {
		return 0
	}
	return int64(math.Min(*f, 1<<53))
}
