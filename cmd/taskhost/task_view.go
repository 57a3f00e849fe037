package main

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

func taskRows() rows[api.Task] {
	return rows[api.Task]{
		header: []string{"ID", "TYPE", "STATE", "EXECUTOR", "ATTEMPT", "PROGRESS", "AGE"},
		name:   func(t api.Task) string { return t.ID },
		cells: func(t api.Task) []string {
			state := t.State.String()
			if t.Waiting != nil && *t.Waiting != "queued" {
				state += " (" + *t.Waiting + ")"
			}
			return []string{t.ID, t.Type, state, orDash(t.Executor), fmt.Sprintf("%d/%d", t.Attempt, t.MaxAttempts), progressText(t.Progress), age(t.CreatedAt)}
		},
	}
}

func progressText(pr *api.TaskProgress) string {
	switch {
	case pr == nil:
		return "-"
	case pr.Total > 0:
		return fmt.Sprintf("%d%%", int(100*float64(pr.Done)/float64(pr.Total)))
	}
	return strconv.FormatInt(pr.Done, 10)
}

func (p *program) showTask(t api.Task) error {
	fields := []pair{
		{"ID", t.ID}, {"Type", t.Type}, {"Key", deref(t.Key)}, {"Owner", t.Owner}, {"Labels", labelText(t.Labels)},
		{"State", t.State.String()}, {"Waiting", waitText(t)}, {"Executor", deref(t.Executor)},
		{"Attempt", fmt.Sprintf("%d of %d", t.Attempt, t.MaxAttempts)}, {"Lost", fmt.Sprintf("%d of %d", t.Lost, t.MaxLost)},
		{"Priority", strconv.Itoa(t.Priority)}, {"Input", string(t.Input)},
	}
	if pr := t.Progress; pr != nil {
		fields = append(fields, pair{"Progress", strings.TrimSpace(fmt.Sprintf("%d of %d (%s) %s", pr.Done, pr.Total, progressText(pr), pr.Message))})
	}
	if t.Error != nil {
		fields = append(fields, pair{"Error", fmt.Sprintf("%s: %s (attempt %d)", t.Error.Code, t.Error.Message, t.Error.Attempt)})
	}
	if t.ResultType != nil {
		result := string(t.Result)
		if result == "null" && !task.IsJSON(*t.ResultType) {
			result = "see `taskhost task result " + t.ID + "`"
		}
		fields = append(fields, pair{"Result", result}, pair{"Result type", *t.ResultType})
	}
	fields = append(fields, pair{"Created", stamp(&t.CreatedAt)}, pair{"Run at", stamp(&t.RunAt)}, pair{"Started", stamp(t.StartedAt)},
		pair{"Finished", stamp(t.FinishedAt)}, pair{"Expires", stamp(t.ExpiresAt)}, pair{"Cancel asked", stamp(t.CancelAt)}, pair{"Version", strconv.FormatInt(t.Version, 10)})
	return show(p, t, t.ID, fields)
}

// waitText is why a pending task waits, and what is missing.
func waitText(t api.Task) string {
	if reason := deref(t.WaitReason); reason != "" {
		return deref(t.Waiting) + ": " + reason
	}
	return deref(t.Waiting)
}
