package glance

import (
	"cmp"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/taskhost/taskhost/host/identity"
	"github.com/taskhost/taskhost/host/task"
)

const (
	defaultLimit = 25
	maxLimit     = 1000
	// maxSorted bounds how many tasks are read to be sorted by what the store does not.
	maxSorted = 10_000
)

// listing is what a list is asked for.
type listing struct {
	filter task.Filter
	limit  int
	// order compares by a key that the store does not sort by; nil if it does.
	order func(a, b *task.Task) int
}

// orders are the keys that a list may be sorted by. Those of nil are the order of ids.
var orders = map[string]func(a, b *task.Task) int{
	"created_at": nil,
	"id":         nil,
	"type":       func(a, b *task.Task) int { return strings.Compare(a.Type, b.Type) },
	"status":     func(a, b *task.Task) int { return strings.Compare(statusOf(a.State), statusOf(b.State)) },
	"owner":      func(a, b *task.Task) int { return strings.Compare(a.Owner, b.Owner) },
	"updated_at": func(a, b *task.Task) int { return a.UpdatedAt.Compare(b.UpdatedAt) },
	"expires_at": func(a, b *task.Task) int { return a.ExpiresAt.Compare(b.ExpiresAt) },
}

func (h *Handler) list(w http.ResponseWriter, r *request) error {
	if err := h.mayUseTasks(r, identity.Viewer); err != nil {
		return err
	}
	params := r.URL.Query()
	l, err := readListing(params)
	if err != nil {
		return err
	}
	if len(l.filter.Types) == 0 { // the host's own tasks have types that are none of Glance's
		l.filter.Types = h.typeNames(r)
	}
	if !l.filter.Cursor.IsZero() {
		if _, err := h.opts.Service.Get(r.Context(), r.who.Scope(), l.filter.Cursor); err != nil {
			return notFound(l.filter.Cursor.String())
		}
	}
	tasks, err := h.read(r, l)
	if err != nil {
		return err
	}
	answer := map[string]any{"tasks": summaries(tasks), "first": tasksPath, "schema": schemasPath + "tasks"}
	params.Del("marker")
	if len(params) > 0 {
		answer["first"] = tasksPath + "?" + params.Encode()
	}
	if len(tasks) > 0 && len(tasks) == l.limit {
		params.Set("marker", tasks[len(tasks)-1].ID.String())
		answer["next"] = tasksPath + "?" + params.Encode()
	}
	return writeJSON(w, http.StatusOK, answer)
}

func summaries(tasks []task.Task) []summary {
	out := make([]summary, len(tasks))
	for i := range tasks {
		out[i] = summarize(&tasks[i])
	}
	return out
}

func readListing(params url.Values) (l listing, err error) {
	l.limit = defaultLimit
	if v := params.Get("limit"); v != "" {
		n, err := strconv.Atoi(v)
		switch {
		case err != nil:
			return l, fault(http.StatusBadRequest, "limit param must be an integer")
		case n < 0:
			return l, fault(http.StatusBadRequest, "limit param must be positive")
		}
		l.limit = min(n, maxLimit)
	}
	if v := params.Get("marker"); v != "" {
		if l.filter.Cursor, err = task.ParseID(v); err != nil {
			return l, fault(http.StatusBadRequest, "Invalid marker format")
		}
	}
	switch v := params.Get("sort_dir"); v {
	case "", "desc":
	case "asc":
		l.filter.Ascending = true
	default:
		return l, fault(http.StatusBadRequest, "Invalid sort direction: %s", v)
	}
	key := cmp.Or(params.Get("sort_key"), "created_at")
	order, known := orders[key]
	if !known {
		return l, fault(http.StatusBadRequest, "Sort key supplied was not valid.")
	}
	l.order = order
	if v := params.Get("status"); v != "" {
		if l.filter.States = statesOf(v); len(l.filter.States) == 0 {
			return l, fault(http.StatusBadRequest, "Invalid status value: %s", v)
		}
	}
	if v := params.Get("type"); v != "" {
		l.filter.Types = []string{v}
	}
	l.filter.Owner = params.Get("owner")
	return l, nil
}

// read reads the tasks of a list.
func (h *Handler) read(r *request, l listing) ([]task.Task, error) {
	if l.limit == 0 || len(l.filter.Types) == 0 {
		return nil, nil
	}
	if l.order == nil {
		return h.readPages(r, l.filter, l.limit)
	}
	marker := l.filter.Cursor
	ascending := l.filter.Ascending
	l.filter.Cursor, l.filter.Ascending = task.ID{}, false
	all, err := h.readPages(r, l.filter, maxSorted+1)
	if err != nil {
		return nil, err
	}
	if len(all) > maxSorted {
		return nil, fault(http.StatusBadRequest, "More than %d tasks match, too many to be sorted by that: sort by created_at, or name a type or a status.", maxSorted)
	}
	slices.SortStableFunc(all, func(a, b task.Task) int { // what is equal is newest first
		if ascending {
			return l.order(&a, &b)
		}
		return l.order(&b, &a)
	})
	if !marker.IsZero() {
		i := slices.IndexFunc(all, func(t task.Task) bool { return t.ID == marker })
		all = all[i+1:] // of one that is not there any more: from the beginning
	}
	return all[:min(len(all), l.limit)], nil
}

// readPages reads up to limit tasks in the order of their ids.
func (h *Handler) readPages(r *request, f task.Filter, limit int) (all []task.Task, err error) {
	for len(all) < limit {
		f.Limit = min(limit-len(all), task.MaxListLimit)
		page, err := h.opts.Service.List(r.Context(), r.who.Scope(), f)
		if err != nil {
			return nil, err
		}
		all = append(all, page.Tasks...)
		if page.Next.IsZero() {
			break
		}
		f.Cursor = page.Next
	}
	return all, nil
}

// listOfImage lists the tasks whose input names an image.
func (h *Handler) listOfImage(w http.ResponseWriter, r *request) error {
	if err := h.mayUseTasks(r, identity.Viewer); err != nil {
		return err
	}
	image := strings.Split(r.URL.Path, "/")[3]
	tasks, err := h.readPages(r, task.Filter{Labels: map[string]string{labelImage: image}}, maxLimit)
	if err != nil {
		return err
	}
	out := make([]whole, 0, len(tasks))
	for i := range tasks {
		t, err := h.opts.Service.Get(r.Context(), r.who.Scope(), tasks[i].ID)
		if task.CodeOf(err) == task.CodeNotFound { // deleted since
			continue
		}
		if err != nil {
			return err
		}
		out = append(out, show(&t))
	}
	return writeJSON(w, http.StatusOK, map[string]any{"tasks": out})
}
