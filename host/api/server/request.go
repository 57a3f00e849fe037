package server

import (
	"net/http"

	"github.com/taskhost/taskhost/host/task"
)

// minPrefix is how much of an id must be given where its beginning will do.
const minPrefix = 4

// findTask is the task that a path names by id, or by the beginning of one.
func (h *handlers) findTask(r *http.Request, s task.Scope) (task.Task, error) {
	name := r.PathValue("id")
	if len(name) >= minPrefix && len(name) < 36 {
		return h.svc.ByPrefix(r.Context(), s, name)
	}
	id, err := task.ParseID(name)
	if err != nil {
		return task.Task{}, err
	}
	return h.svc.Get(r.Context(), s, id)
}

// taskID is the task that a path names, by all of its id: what changes
// something takes no beginnings.
func (h *handlers) taskID(w http.ResponseWriter, r *http.Request) (task.ID, error) {
	if err := h.nothingElse(w, r); err != nil {
		return task.ID{}, err
	}
	return task.ParseID(r.PathValue("id"))
}

// nothingElse refuses a request that has more than its path.
func (h *handlers) nothingElse(w http.ResponseWriter, r *http.Request) error {
	if err := newQuery(r).err(); err != nil {
		return err
	}
	return h.requireNoBody(w, r)
}
