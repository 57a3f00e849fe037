package server

import (
	"fmt"
	"net/http"
	"runtime"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

func (h *handlers) health(w http.ResponseWriter, _ *http.Request, _ task.Scope) error {
	return h.writeJSON(w, http.StatusOK, api.Health{Status: "ok"})
}

func (h *handlers) ready(w http.ResponseWriter, r *http.Request, _ task.Scope) error {
	q := newQuery(r)
	verbose := q.boolean("verbose")
	if err := q.err(); err != nil {
		return err
	}
	ready, err := h.svc.Ready(r.Context())
	if !verbose {
		ready.Checks = nil
	}
	if err == nil {
		status := "ready"
		if ready.Degraded {
			status = "degraded"
		}
		return h.writeJSON(w, http.StatusOK, api.Health{Status: status, Checks: ready.Checks})
	}
	if task.CodeOf(err) == task.CodeInternal {
		err = &task.Error{Code: task.CodeStoreUnavailable, Message: "the host is not ready", Cause: err}
	}
	p, retryAfter := problemOf(err)
	p.Checks = ready.Checks
	h.writeProblem(w, p, retryAfter)
	return nil
}

func (h *handlers) getStatus(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	now := h.svc.Status(r.Context(), s)
	return h.writeJSON(w, http.StatusOK, h.toStatus(&now, s))
}

// toStatus is the host as a caller of that scope sees it.
func (h *handlers) toStatus(now *task.HostStatus, s task.Scope) api.Status {
	out := api.Status{Status: api.StatusReady, Version: h.opts.Version, StartedAt: task.Shown(now.StartedAt),
		Store: api.StoreState{State: api.StoreOK, Bytes: now.Store.Bytes}, Tasks: api.Counts(now.Tasks),
		Executors: make([]api.Executor, len(now.Executors)), Backlog: make([]api.Backlog, len(now.Backlog)), Failed: make([]api.Task, len(now.Failed))}
	switch {
	case now.Unready != nil:
		out.Status = api.StatusUnavailable
		out.Reason = toldOf(now.Unready)
	case now.Degraded:
		out.Status = api.StatusDegraded
	}
	if now.StoreFault != nil {
		out.Store.State = api.StatusUnavailable
		out.Store.Reason = toldOf(now.StoreFault)
	}
	if s.All {
		out.Store.Place = orNull(now.Store.Place)
	}
	for i := range now.Executors {
		out.Executors[i] = toExecutor(&now.Executors[i], s)
	}
	for i, b := range now.Backlog {
		out.Backlog[i] = api.Backlog{Type: b.Type, Executor: orNull(b.Executor), Waiting: b.Waiting.String(), Reason: orNull(b.Reason), Tasks: b.Tasks,
			Oldest: idOrNull(b.Oldest.ID), OldestAt: timeOrNull(b.Oldest.CreatedAt)}
	}
	out.FullQueues = make([]api.FullQueue, len(now.FullQueues))
	for i, q := range now.FullQueues {
		out.FullQueues[i] = api.FullQueue{Type: q.Type, Waiting: q.Waiting, QueueLimit: q.Limit}
	}
	out.Problems = make([]api.HostProblem, len(now.Problems))
	for i, p := range now.Problems {
		out.Problems[i] = api.HostProblem{Kind: p.Kind, ID: p.ID.String(), Name: p.Name, Reason: p.Reason}
	}
	for i := range now.Failed {
		out.Failed[i] = toTask(&now.Failed[i], false)
	}
	return out
}

// toldOf is as much of an error as clients are told.
func toldOf(err error) *string {
	p, _ := problemOf(err)
	return &p.Detail
}

func (h *handlers) version(w http.ResponseWriter, _ *http.Request, _ task.Scope) error {
	return h.writeJSON(w, http.StatusOK, api.VersionInfo{Name: "taskhost", Version: h.opts.Version, API: "v1", Go: runtime.Version()})
}

func (h *handlers) openAPIDocument(w http.ResponseWriter, r *http.Request, _ task.Scope) error {
	if !accepts(r, "application/json", "application/vnd.oai.openapi+json") {
		return task.Errorf(api.CodeNotAcceptable, "the document is application/json")
	}
	if h.openAPIErr != nil {
		return fmt.Errorf("describe the API: %w", h.openAPIErr)
	}
	return h.writeBytes(w, http.StatusOK, h.openAPI)
}
