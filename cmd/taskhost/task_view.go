package main

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

func taskTable() tableFormat[api.Task] {
	return tableFormat[api.Task]{
		header: []string{"ID", "TYPE", "STATE", "EXECUTOR", "ATTEMPT", "AGE"},
		name:   func(t api.Task) string { return t.ID },
		cells: func(t api.Task) []string {
			state := t.State.String()
			if t.Waiting != nil && *t.Waiting != "queued" {
				state += " (" + *t.Waiting + ")"
			}
			if t.Progress != nil && !t.State.Final() {
				state += ", " + progressText(t.Progress)
			}
			return []string{shortID(t.ID), t.Type, state, orDash(t.Executor), strconv.Itoa(t.Attempt), age(t.CreatedAt)}
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
	fields := []field{
		{"ID", t.ID}, {"Type", t.Type}, {"Key", orEmpty(t.Key)}, {"Owner", t.Owner}, {"Labels", labelText(t.Labels)},
		{"State", t.State.String()}, {"Waiting", waitText(t)}, {"Blocked by", strings.Join(t.BlockedBy, "\n")}, {"Executor", orEmpty(t.Executor)},
		{"Attempt", strconv.Itoa(t.Attempt)}, {"Failures", fmt.Sprintf("%d of %d", t.Failures, t.MaxAttempts)}, {"Lost", fmt.Sprintf("%d of %d", t.Lost, t.MaxLost)},
		{"Priority", strconv.Itoa(t.Priority)},
		{"Route", labelText(t.Route)}, {"Timeout", t.Timeout}, {"Deadline", timeText(t.Deadline)}, {"Retain", t.Retain},
		{"Exclusive", strings.Join(t.Exclusive, ", ")}, {"Shared", strings.Join(t.Shared, ", ")},
		{"Group", orEmpty(t.Group)}, {"Parent", orEmpty(t.Parent)}, {"Name", orEmpty(t.Name)}, {"Step", orEmpty(t.Step)}, {"Input", string(t.Input)},
	}
	if pr := t.Progress; pr != nil {
		fields = append(fields, field{"Progress", strings.TrimSpace(fmt.Sprintf("%d of %d (%s) %s", pr.Done, pr.Total, progressText(pr), pr.Message))})
	}
	if t.Error != nil {
		fields = append(fields, field{"Error", fmt.Sprintf("%s: %s (attempt %d)", t.Error.Code, t.Error.Message, t.Error.Attempt)}, field{"Details", detailText(t.Error.Details)})
	}
	if t.ResultType != nil {
		result := string(t.Result)
		if result == "null" && !task.IsJSON(*t.ResultType) {
			result = "see `taskhost task result " + t.ID + "`"
		}
		fields = append(fields, field{"Result", result}, field{"Result type", *t.ResultType})
	}
	fields = append(fields, field{"Created", timeText(&t.CreatedAt)}, field{"Run at", timeText(&t.RunAt)}, field{"Started", timeText(t.StartedAt)},
		field{"Finished", timeText(t.FinishedAt)}, field{"Expires", timeText(t.ExpiresAt)}, field{"Cancel asked", timeText(t.CancelAt)}, field{"Version", strconv.FormatInt(t.Version, 10)})
	return printFields(p, t, t.ID, fields)
}

// detailText is the details of an error, a line each and a stack over several; "" if there
// are none.
func detailText(details map[string]any) string {
	var lines []string
	for _, k := range sortedKeys(details) {
		text, ok := details[k].(string)
		if !ok {
			data, err := json.Marshal(details[k])
			if err != nil { // it came as JSON
				continue
			}
			text = string(data)
		}
		if text = strings.TrimRight(text, "\n"); strings.Contains(text, "\n") {
			text = "\n  " + strings.ReplaceAll(text, "\n", "\n  ")
		} else {
			text = " " + text
		}
		lines = append(lines, k+":"+text)
	}
	return strings.Join(lines, "\n")
}

// waitText is why a pending task waits, and what is missing.
func waitText(t api.Task) string {
	if reason := orEmpty(t.WaitReason); reason != "" {
		return orEmpty(t.Waiting) + ": " + reason
	}
	return orEmpty(t.Waiting)
}
