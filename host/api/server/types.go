package server

import (
	"net/http"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

func (h *handlers) listTypes(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	if err := newQuery(r).err(); err != nil {
		return err
	}
	types := h.svc.Types(s)
	out := api.TypeList{Types: make([]api.Type, len(types))}
	for i := range types {
		out.Types[i] = toType(&types[i])
	}
	return h.writeJSON(w, http.StatusOK, out)
}

func (h *handlers) getType(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	if err := newQuery(r).err(); err != nil {
		return err
	}
	name := r.PathValue("name")
	for _, t := range h.svc.Types(s) {
		if t.Name == name {
			return h.writeJSON(w, http.StatusOK, toType(&t))
		}
	}
	return task.Errorf(task.CodeNotFound, "no task type is named %q", name)
}
