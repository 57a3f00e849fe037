package server

import (
	"fmt"
	"hash/fnv"
	"net/http"
	"strings"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

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

// showAfter answers with t once it is final, or as it is after wait.
func (h *handlers) showAfter(w http.ResponseWriter, r *http.Request, s task.Scope, t task.Task, wait time.Duration) error {
	t, err := h.hold(r, s, t, min(wait, h.opts.MaxWait))
	if err != nil {
		return err
	}
	body, err := api.Encode(toTask(&t, true))
	if err != nil {
		return err
	}
	// The version alone would not do: progress and the reason to wait change without it.
	sum := fnv.New64a()
	_, _ = sum.Write(body) // never fails
	tag := fmt.Sprintf(`"%d-%016x"`, t.Version, sum.Sum64())
	header := w.Header()
	header.Set("Etag", tag)
	header.Set("Content-Location", taskPath(t.ID))
	header.Set("Cache-Control", "no-cache")
	if matches(r.Header.Values("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	return h.writeBytes(w, http.StatusOK, body)
}

func matches(header []string, tag string) bool {
	for _, v := range header {
		for part := range strings.SplitSeq(v, ",") {
			if part = strings.TrimSpace(part); part == "*" || strings.TrimPrefix(part, "W/") == tag {
				return true
			}
		}
	}
	return false
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
