package server

import (
	"net/http"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

func (h *handlers) listWorkers(w http.ResponseWriter, _ *http.Request, s task.Scope) error {
	return h.writeJSON(w, http.StatusOK, h.workersNamed("", s))
}

// getWorker gives all workers of one name: there are two while one is restarted.
func (h *handlers) getWorker(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	out := h.workersNamed(r.PathValue("name"), s)
	if len(out.Workers) == 0 {
		return task.Errorf(task.CodeNotFound, "no worker is named %q", r.PathValue("name"))
	}
	return h.writeJSON(w, http.StatusOK, out)
}

// workersNamed are the workers of that name, all if it is "".
func (h *handlers) workersNamed(name string, s task.Scope) api.WorkerList {
	out := api.WorkerList{Workers: []api.Worker{}}
	for _, e := range h.svc.Executors() {
		for i := range e.Nodes {
			if name == "" || e.Nodes[i].Name == name {
				out.Workers = append(out.Workers, toWorker(&e.Nodes[i], e.Name, s))
			}
		}
	}
	return out
}

// controlWorker makes the handler of one action, which only operators may ask for.
func (h *handlers) controlWorker(action string) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request, s task.Scope) error {
		if err := h.requireNoBody(w, r); err != nil {
			return err
		}
		n, err := h.svc.ControlNode(r.Context(), r.PathValue("name"), action)
		if err != nil {
			return err
		}
		return h.writeJSON(w, http.StatusOK, toWorker(&n, n.Executor, s))
	}
}
