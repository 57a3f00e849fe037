package server

import (
	"net/http"
	"strconv"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

// getResult answers with the bytes that the script left. They are someone else's:
// a browser must neither guess what they are nor run them in our origin.
func (h *handlers) getResult(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	t, err := h.findTask(r, s)
	if err != nil {
		return err
	}
	switch {
	case !t.State.Final():
		return task.Errorf(task.CodeNotFinal, "task %s is %s: it has no result yet", t.ID, t.State)
	case t.ResultType == "":
		return task.Errorf(task.CodeNotFound, "task %s is %s and left no result", t.ID, t.State)
	}
	header := w.Header()
	header.Set("Content-Type", t.ResultType)
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	header.Set("Content-Length", strconv.Itoa(len(t.Result)))
	header.Set("Cache-Control", "no-cache")
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	return h.writeInPieces(w, t.Result)
}

func (h *handlers) getHistory(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	t, err := h.findTask(r, s)
	if err != nil {
		return err
	}
	events, err := h.svc.History(r.Context(), s, t.ID, 0)
	if err != nil {
		return err
	}
	out := api.History{Events: make([]api.Event, len(events))}
	for i := range events {
		out.Events[i] = toEvent(&events[i])
	}
	return h.writeJSON(w, http.StatusOK, out)
}
