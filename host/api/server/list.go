package server

import (
	"net/http"
	"strings"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

// filter reads the list's filters, its order, and of which tasks a page is; a limit of 0 is none.
func (q *query) filter() task.Filter {
	f := task.Filter{
		Types: q.repeated("type"), Executor: q.filled("executor"), Owner: q.filled("owner"), Key: q.filled("key"),
		CreatedAfter: q.time("created_after"), CreatedBefore: q.time("created_before"),
		FinishedAfter: q.time("finished_after"), FinishedBefore: q.time("finished_before"),
		Limit: int(q.integer("limit", 1, task.MaxListLimit)), Cursor: q.cursor("cursor"),
	}
	f.Group, f.Parent = q.id("group"), q.id("parent")
	f.States = q.states()
	for _, v := range q.repeated("label") {
		k, value, ok := strings.Cut(v, "=")
		if !ok || !task.ValidLabelName(k) {
			q.bad.add(place{"label"}, "%q is not a label: want name=value", v)
			continue
		}
		if f.Labels == nil {
			f.Labels = map[string]string{}
		}
		if old, twice := f.Labels[k]; twice && old != value {
			q.bad.add(place{"label"}, "label %q is asked to have two values", k)
		}
		f.Labels[k] = value
	}
	switch v := q.single("order"); v {
	case "", "desc":
	case "asc":
		f.Ascending = true
	default:
		q.bad.add(place{"order"}, "%q is not an order: want desc (newest first) or asc", v)
	}
	return f
}

// states are the states that are asked for.
func (q *query) states() (states []task.State) {
	for _, v := range q.repeated("state") {
		var s task.State
		if err := s.UnmarshalText([]byte(v)); err != nil || s == task.None {
			q.bad.add(place{"state"}, "%q is not a state: want one of %v", v, task.States())
		}
		states = append(states, s)
	}
	return states
}

func (h *handlers) listTasks(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	q := newQuery(r)
	f := q.filter()
	lines := false
	switch v := q.single("format"); v {
	case "", "json":
	case "jsonl":
		lines = true
	default:
		q.bad.add(place{"format"}, "%q is not a format: want json or jsonl", v)
	}
	if err := q.err(); err != nil {
		return err
	}
	if lines {
		return h.writeTaskLines(w, r, s, f, f.Limit)
	}
	page, err := h.svc.List(r.Context(), s, f)
	if err != nil {
		return err
	}
	out := api.TaskList{Tasks: make([]api.Task, len(page.Tasks)), Next: q.linkNext(w, r, page.Next)}
	for i := range page.Tasks {
		out.Tasks[i] = toTask(&page.Tasks[i], false)
	}
	return h.writeJSON(w, http.StatusOK, &out)
}

// linkNext links the next page of a list, and gives its cursor; nil on the last.
func (q *query) linkNext(w http.ResponseWriter, r *http.Request, next task.ID) *string {
	if next.IsZero() {
		return nil
	}
	return q.link(w, r, next.String())
}

// link links the page of a list that goes on at cursor.
func (q *query) link(w http.ResponseWriter, r *http.Request, cursor string) *string {
	q.values.Set("cursor", cursor)
	w.Header().Set("Link", "<"+r.URL.Path+"?"+q.values.Encode()+`>; rel="next"`)
	return &cursor
}
