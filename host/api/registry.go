package api

import (
	"fmt"
	"net/http"
	"runtime"

	"github.com/taskhost/taskhost/host/task"
)

// TypeList is all task types.
type TypeList struct {
	Types []Type `json:"types" nullable:"false"`
}

// ExecutorList is all executors.
type ExecutorList struct {
	Executors []Executor `json:"executors" nullable:"false"`
}

// WorkerList is all workers behind all executors.
type WorkerList struct {
	Workers []Worker `json:"workers" nullable:"false"`
}

// Health is the answer of /healthz and /readyz.
type Health struct {
	Status string            `json:"status" doc:"of /healthz: ok; of /readyz: ready, or degraded where some executors can run nothing"`
	Checks map[string]string `json:"checks,omitempty" doc:"of ?verbose: a line for each part"`
}

func (a *api) types(w http.ResponseWriter, r *http.Request, _ task.Scope) error {
	if err := newQuery(r).err(); err != nil {
		return err
	}
	types := a.svc.Types()
	out := TypeList{Types: make([]Type, len(types))}
	for i := range types {
		out.Types[i] = toType(&types[i])
	}
	return a.writeJSON(w, http.StatusOK, out)
}

func (a *api) typ(w http.ResponseWriter, r *http.Request, _ task.Scope) error {
	if err := newQuery(r).err(); err != nil {
		return err
	}
	name := r.PathValue("name")
	for _, t := range a.svc.Types() {
		if t.Name == name {
			return a.writeJSON(w, http.StatusOK, toType(&t))
		}
	}
	return task.Errorf(task.CodeNotFound, "no task type is named %q", name)
}

func (a *api) executors(w http.ResponseWriter, r *http.Request, _ task.Scope) error {
	if err := newQuery(r).err(); err != nil {
		return err
	}
	list := a.svc.Executors()
	out := ExecutorList{Executors: make([]Executor, len(list))}
	for i := range list {
		out.Executors[i] = toExecutor(&list[i])
	}
	return a.writeJSON(w, http.StatusOK, out)
}

func (a *api) executor(w http.ResponseWriter, r *http.Request, _ task.Scope) error {
	if err := newQuery(r).err(); err != nil {
		return err
	}
	name := r.PathValue("name")
	for _, e := range a.svc.Executors() {
		if e.Name == name {
			return a.writeJSON(w, http.StatusOK, toExecutor(&e))
		}
	}
	return task.Errorf(task.CodeNotFound, "no executor is named %q", name)
}

// controlExecutor makes the handler of one action, which only admins may ask for.
func (a *api) controlExecutor(action string) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request, s task.Scope) error {
		if err := a.admin(w, r, s); err != nil {
			return err
		}
		e, err := a.svc.ControlExecutor(r.Context(), r.PathValue("name"), action)
		if err != nil {
			return err
		}
		return a.writeJSON(w, http.StatusOK, toExecutor(&e))
	}
}

func (a *api) workers(w http.ResponseWriter, r *http.Request, _ task.Scope) error {
	if err := newQuery(r).err(); err != nil {
		return err
	}
	out := WorkerList{Workers: []Worker{}}
	for _, e := range a.svc.Executors() {
		for i := range e.Nodes {
			out.Workers = append(out.Workers, toWorker(&e.Nodes[i], e.Name))
		}
	}
	return a.writeJSON(w, http.StatusOK, out)
}

func (a *api) drainWorker(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	if err := a.admin(w, r, s); err != nil {
		return err
	}
	n, err := a.svc.ControlNode(r.Context(), r.PathValue("name"), "drain")
	if err != nil {
		return err
	}
	return a.writeJSON(w, http.StatusOK, toWorker(&n, n.Executor))
}

func (a *api) admin(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	if !s.All {
		return task.Errorf(task.CodeForbidden, "only an admin may do this")
	}
	if err := newQuery(r).err(); err != nil {
		return err
	}
	return a.noBody(w, r)
}

func (a *api) health(w http.ResponseWriter, _ *http.Request, _ task.Scope) error {
	return a.writeJSON(w, http.StatusOK, Health{Status: "ok"})
}

func (a *api) ready(w http.ResponseWriter, r *http.Request, _ task.Scope) error {
	q := newQuery(r)
	verbose := q.flag("verbose")
	if err := q.err(); err != nil {
		return err
	}
	ready, err := a.svc.Ready(r.Context())
	if !verbose {
		ready.Checks = nil
	}
	if err == nil {
		status := "ready"
		if ready.Degraded {
			status = "degraded"
		}
		return a.writeJSON(w, http.StatusOK, Health{Status: status, Checks: ready.Checks})
	}
	if task.CodeOf(err) == task.CodeInternal {
		err = &task.Error{Code: task.CodeStoreUnavailable, Message: "the host is not ready", Cause: err}
	}
	p, retryAfter := ProblemOf(err)
	p.Checks = ready.Checks
	a.problem(w, p, retryAfter)
	return nil
}

func (a *api) version(w http.ResponseWriter, _ *http.Request, _ task.Scope) error {
	return a.writeJSON(w, http.StatusOK, VersionInfo{Name: "taskhost", Version: a.opts.Version, API: "v1", Go: runtime.Version()})
}

func (a *api) document(w http.ResponseWriter, r *http.Request, _ task.Scope) error {
	if !accepts(r, "application/json", "application/vnd.oai.openapi+json") {
		return task.Errorf(codeNotAcceptable, "the document is application/json")
	}
	if a.openAPIErr != nil {
		return fmt.Errorf("describe the API: %w", a.openAPIErr)
	}
	return a.writeBytes(w, http.StatusOK, a.openAPI)
}
