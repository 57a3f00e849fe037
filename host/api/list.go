package api

import (
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// TaskList is one page of tasks.
type TaskList struct {
	Tasks []Task  `json:"tasks" nullable:"false" doc:"the tasks of this page, without inputs, results and the details of errors"`
	Next  *string `json:"next" doc:"the cursor of the next page; null on the last"`
}

// Cursor is the Cursor of the filter that gives the next page; zero if this is the
// last. Its error says that the server wrote what is no cursor.
func (l *TaskList) Cursor() (task.ID, error) {
	if l.Next == nil {
		return task.ID{}, nil
	}
	return task.ParseID(*l.Next)
}

// ListQuery is f as the query of GET /v1/tasks, which the server reads back into
// the same filter, or refuses where it does not know a part of it. Empty fields are
// left out, and match all.
func ListQuery(f task.Filter) url.Values {
	q := url.Values{}
	set := func(name, v string) {
		if v != "" {
			q.Set(name, v)
		}
	}
	for _, s := range f.States {
		q.Add("state", s.String())
	}
	for _, t := range f.Types {
		q.Add("type", t)
	}
	for k, v := range f.Labels {
		q.Add("label", k+"="+v)
	}
	slices.Sort(q["label"])
	set("executor", f.Executor)
	set("owner", f.Owner)
	set("key", f.Key)
	for name, t := range map[string]time.Time{"created_after": f.CreatedAfter, "created_before": f.CreatedBefore,
		"finished_after": f.FinishedAfter, "finished_before": f.FinishedBefore} {
		if !t.IsZero() {
			q.Set(name, t.UTC().Format(time.RFC3339Nano))
		}
	}
	if f.Ascending {
		q.Set("order", "asc")
	}
	if f.Limit > 0 {
		q.Set("limit", strconv.Itoa(f.Limit))
	}
	for name, id := range map[string]task.ID{"group": f.Group, "flow": f.Flow, "parent": f.Parent, "cursor": f.Cursor} {
		if !id.IsZero() {
			q.Set(name, id.String())
		}
	}
	return q
}
