package server

import (
	"net/http"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

func (h *handlers) listExecutors(w http.ResponseWriter, _ *http.Request, s task.Scope) error {
	list := h.svc.Executors()
	out := api.ExecutorList{Executors: make([]api.Executor, len(list))}
	for i := range list {
		out.Executors[i] = toExecutor(&list[i], s)
	}
	return h.writeJSON(w, http.StatusOK, out)
}

func (h *handlers) getExecutor(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	name := r.PathValue("name")
	for _, e := range h.svc.Executors() {
		if e.Name == name {
			return h.writeJSON(w, http.StatusOK, toExecutor(&e, s))
		}
	}
	return task.Errorf(task.CodeNotFound, "no executor is named %q", name)
}

// controlExecutor makes the handler of one action, which only operators may ask for.
func (h *handlers) controlExecutor(action string) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request, s task.Scope) error {
		if err := h.requireNoBody(w, r); err != nil {
			return err
		}
		e, err := h.svc.ControlExecutor(r.Context(), r.PathValue("name"), action)
		if err != nil {
			return err
		}
		return h.writeJSON(w, http.StatusOK, toExecutor(&e, s))
	}
}
