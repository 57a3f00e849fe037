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
