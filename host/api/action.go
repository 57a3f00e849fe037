package api

import (
	"encoding/json"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// ActionRequest asks for something to be done to all tasks that match.
type ActionRequest struct {
	Action string          `json:"action" enum:"cancel,delete,move,pause,priority,resume,retry" doc:"what is done; tasks that it does not fit, such as final ones for a cancel, are left out"`
	Filter ActionFilter    `json:"filter" doc:"which tasks; all that is given must match, and nothing matches all"`
	To     json.RawMessage `json:"to,omitempty" doc:"of a move the executor's name, or null for whom the config says; of a priority the number"`
	DryRun bool            `json:"dry_run,omitempty" doc:"do nothing, and say to how many it would be done"`
}

// ActionFilter selects tasks.
type ActionFilter struct {
	State          []string          `json:"state,omitempty" doc:"in one of these states"`
	Type           []string          `json:"type,omitempty" doc:"of one of these types"`
	Executor       string            `json:"executor,omitempty" doc:"that this executor runs or ran last, and those that wait and are its own by what they ask for or by their type"`
	Owner          string            `json:"owner,omitempty" doc:"of this owner"`
	Key            string            `json:"key,omitempty" doc:"with this key"`
	Group          string            `json:"group,omitempty" format:"uuid" doc:"members of this group"`
	Parent         string            `json:"parent,omitempty" format:"uuid" doc:"children of this task"`
	Labels         map[string]string `json:"labels,omitempty" doc:"with all of these labels"`
	CreatedAfter   *time.Time        `json:"created_after,omitempty" doc:"created later than this"`
	CreatedBefore  *time.Time        `json:"created_before,omitempty" doc:"created earlier than this"`
	FinishedAfter  *time.Time        `json:"finished_after,omitempty" doc:"that became final later than this"`
	FinishedBefore *time.Time        `json:"finished_before,omitempty" doc:"that became final earlier than this"`
}

// ActionFilterOf is what of f selects tasks, as the server reads it back: all but in which
// order, how many, and behind which they are listed. There is no asking for a Flow yet.
func ActionFilterOf(f task.Filter) ActionFilter {
	out := ActionFilter{Type: f.Types, Executor: f.Executor, Owner: f.Owner, Key: f.Key, Labels: f.Labels,
		CreatedAfter: instantOf(f.CreatedAfter), CreatedBefore: instantOf(f.CreatedBefore),
		FinishedAfter: instantOf(f.FinishedAfter), FinishedBefore: instantOf(f.FinishedBefore)}
	for _, s := range f.States {
		out.State = append(out.State, s.String())
	}
	if !f.Group.IsZero() {
		out.Group = f.Group.String()
	}
	if !f.Parent.IsZero() {
		out.Parent = f.Parent.String()
	}
	return out
}

// instantOf is a time in UTC; nil for none.
func instantOf(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// ActionCount is what a dry run is answered with.
type ActionCount struct {
	Matched int64 `json:"matched" doc:"to how many tasks it would be done now"`
}
