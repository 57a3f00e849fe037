package server

import (
	"bytes"
	"encoding/json"
	"mime"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

// toTask is t as clients see it: whole, or as a line of a list.
func toTask(t *task.Task, whole bool) api.Task {
	d := api.Task{
		ID: t.ID.String(), Type: t.Type, Key: orNull(t.Key), Owner: t.Owner, Labels: orEmpty(t.Labels), State: t.State,
		Executor: orNull(t.Executor), Attempt: t.Attempt, Failures: t.Failures, MaxAttempts: t.MaxAttempts,
		Lost: t.Lost, MaxLost: t.MaxLost, Priority: t.Priority, Route: orEmpty(t.Route),
		Timeout: t.Timeout.String(), Deadline: timeOrNull(t.Deadline), Retain: t.Retain.String(),
		Group: idOrNull(t.Group), Flow: idOrNull(t.Flow), Step: orNull(t.Step), Parent: idOrNull(t.Parent),
		ResultType: orNull(t.ResultType), Progress: toProgress(t.Progress),
		CreatedAt: task.Shown(t.CreatedAt), RunAt: task.Shown(t.RunAt), StartedAt: timeOrNull(t.StartedAt), FinishedAt: timeOrNull(t.FinishedAt),
		ExpiresAt: timeOrNull(t.ExpiresAt), UpdatedAt: task.Shown(t.UpdatedAt), CancelAt: timeOrNull(t.CancelRequestedAt), Version: t.Version,
		Damage: t.Damage,
	}
	if !t.Parent.IsZero() {
		d.Name, d.Step = d.Step, nil
	}
	d.Exclusive, d.Shared = t.Resources.Exclusive, t.Resources.Shared
	for _, id := range t.BlockedBy {
		d.BlockedBy = append(d.BlockedBy, id.String())
	}
	if t.State == task.Pending {
		d.Waiting = orNull(t.Waiting.String())
		d.WaitReason = orNull(t.WaitReason)
	}
	if d.Executor == nil {
		d.Executor = orNull(t.Pinned)
	}
	if t.Error != nil {
		d.Error = &api.TaskError{Code: t.Error.Code, Message: t.Error.Message, Attempt: t.Error.Attempt}
	}
	if !whole {
		return d
	}
	d.Input, d.Result = orNullJSON(task.MaskInput(t.Input)), inlineResult(t.ResultType, t.Result)
	if !isNull(d.Input) && !json.Valid(d.Input) { // or nobody could be told of the task at all
		d.Input, d.Damage = null, strings.TrimPrefix(d.Damage+"; input: is not JSON", "; ")
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
	switch {
	case contentType == "":
	case task.IsJSON(contentType):
		if len(data) > 0 && json.Valid(data) { // a script may call anything JSON
			return data
		}
	case isText(contentType) && utf8.Valid(data):
		if s, err := api.Encode(string(data)); err == nil {
			return bytes.TrimRight(s, "\n")
		}
	}
	return null
}

func isText(contentType string) bool {
	kind, _, err := mime.ParseMediaType(contentType)
	return err == nil && strings.HasPrefix(kind, "text/")
}

func toEvent(e *task.Event) api.Event {
	d := api.Event{Seq: e.Seq, At: task.Shown(e.At), To: e.To, Attempt: e.Attempt, By: e.By, Message: e.Message}
	if e.From != task.None {
		d.From = &e.From
	}
	return d
}

// toProgress is nil for an attempt that said nothing yet.
func toProgress(p task.Progress) *api.TaskProgress {
	if p == (task.Progress{}) {
		return nil
	}
	return &api.TaskProgress{Done: p.Done, Total: p.Total, Message: p.Message}
}

func orNull(s string) *string {
	if s == "" {
		return nil
	}
	return new(s)
}

func orNullJSON(raw json.RawMessage) json.RawMessage {
	if len(raw) == 0 {
		return null
	}
	return raw
}

// null is shared by all that is shown, and never written to.
var null = json.RawMessage("null")

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
	return new(task.Shown(t))
}

func taskPath(id task.ID) string { return "/v1/tasks/" + id.String() }
