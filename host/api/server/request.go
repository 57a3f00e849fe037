package server

import (
	"net/http"

	"github.com/taskhost/taskhost/host/task"
)

// idLength is how many characters a whole id has.
const idLength = 36

// findTask is the task that a path names by id, or by the beginning of one.
func (h *handlers) findTask(r *http.Request, s task.Scope) (task.Task, error) {
	name := r.PathValue("id")
	if _, _, err := task.PrefixRange(name); err == nil && len(name) < idLength {
		return h.svc.ByPrefix(r.Context(), s, name)
	}
	id, err := pathID(r)
	if err != nil {
		return task.Task{}, err
	}
	return h.svc.Get(r.Context(), s, id)
}

// pathID is the id of what a path names, all of it. What can be no id is nothing's: not_found,
// as for one that nothing has.
func pathID(r *http.Request) (task.ID, error) {
	name := r.PathValue("id")
	id, err := task.ParseID(name)
	if err != nil {
		return id, task.Errorf(task.CodeNotFound, "there is nothing with the id %q: want a UUID such as 01990f4e-7f3a-7c55-a1b2-0123456789ab", name)
	}
	return id, nil
}

// changedID is the id of what a request changes that has no body: by all of it, since what
// changes something takes no beginnings.
func (h *handlers) changedID(w http.ResponseWriter, r *http.Request) (task.ID, error) {
	if err := h.requireNoBody(w, r); err != nil {
		return task.ID{}, err
	}
	return pathID(r)
}
