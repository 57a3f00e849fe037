package server

import (
	"net/http"

	"github.com/taskhost/taskhost/host/task"
)

// minPrefix is how much of an id must be given where its beginning will do.
const minPrefix = 4

// find is the task that a path names by id, or by the beginning of one.
func (h *handlers) find(r *http.Request, s task.Scope) (task.Task, error) {
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

func (h *handlers) get(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	q := newQuery(r)
	wait := q.wait("wait")
	if err := q.err(); err != nil {
		return err
	}
	t, err := h.find(r, s)
	if err != nil {
		return err
	}
	return h.showAfter(w, r, s, t, wait)
}

func (h *handlers) byKey(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	q := newQuery(r)
	wait := q.wait("wait")
	if err := q.err(); err != nil {
		return err
	}
	t, err := h.svc.ByKey(r.Context(), s, r.PathValue("type"), r.PathValue("key"))
	if err != nil {
		return err
	}
	return h.showAfter(w, r, s, t, wait)
}

// wholeID is the task that a path names, by all of its id: what changes
// something takes no beginnings.
func (h *handlers) wholeID(w http.ResponseWriter, r *http.Request) (task.ID, error) {
	if err := newQuery(r).err(); err != nil {
		return task.ID{}, err
	}
	if err := h.noBody(w, r); err != nil {
		return task.ID{}, err
	}
	return task.ParseID(r.PathValue("id"))
}

func (h *handlers) cancel(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	id, err := h.wholeID(w, r)
	if err != nil {
		return err
	}
	t, err := h.svc.Cancel(r.Context(), s, id)
	if err != nil {
		return err
	}
	status := http.StatusAccepted
	if t.State == task.Canceled {
		status = http.StatusOK
	}
	return h.writeJSON(w, status, toTask(&t, true))
}

func (h *handlers) retry(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	id, err := h.wholeID(w, r)
	if err != nil {
		return err
	}
	t, err := h.svc.Retry(r.Context(), s, id)
	if err != nil {
		return err
	}
	return h.writeJSON(w, http.StatusAccepted, toTask(&t, true))
}

func (h *handlers) remove(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	id, err := h.wholeID(w, r)
	if err != nil {
		return err
	}
	if err := h.svc.Delete(r.Context(), s, id); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
