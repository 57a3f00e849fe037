package server

import (
	"fmt"
	"hash/fnv"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

func (h *handlers) getTask(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	q := newQuery(r)
	wait := q.duration("wait")
	if err := q.err(); err != nil {
		return err
	}
	t, err := h.findTask(r, s)
	if err != nil {
		return err
	}
	return h.answerTask(w, r, s, t, wait)
}

func (h *handlers) getTaskByKey(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	q := newQuery(r)
	wait := q.duration("wait")
	if err := q.err(); err != nil {
		return err
	}
	t, err := h.svc.ByKey(r.Context(), s, r.PathValue("type"), r.PathValue("key"))
	if err != nil {
		return err
	}
	return h.answerTask(w, r, s, t, wait)
}

// answerTask answers with t once it is final, or as it is after wait.
func (h *handlers) answerTask(w http.ResponseWriter, r *http.Request, s task.Scope, t task.Task, wait time.Duration) error {
	t, err := h.waitFinal(r, s, t, wait)
	if err != nil {
		return err
	}
	shown := toTask(&t, true)
	body, err := api.Encode(&shown)
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
	if hasETag(r.Header.Values("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	return h.writeBytes(w, http.StatusOK, body)
}

// writeTask answers with a whole task. Whoever is answered 202 is told where it is, since what
// was asked for goes on there.
func (h *handlers) writeTask(w http.ResponseWriter, status int, t *task.Task) error {
	d := toTask(t, true)
	if status == http.StatusAccepted {
		d.Task = taskPath(t.ID)
	}
	room := taskRoom.Get().(*[]byte)
	defer taskRoom.Put(room)
	body, err := api.AppendTask((*room)[:0], &d)
	if err != nil {
		return err
	}
	body = append(body, '\n')
	if len(body) <= maxTaskRoom {
		*room = body
	}
	return h.writeBytes(w, status, body)
}

// taskRoom is where answers with a task are put together, which the next ones use again: of the size that most have.
var taskRoom = sync.Pool{New: func() any { return new(make([]byte, 0, 2<<10)) }}

// maxTaskRoom is how large an answer may have been whose room is kept.
const maxTaskRoom = 16 << 10

// hasETag says whether the values of If-None-Match name this tag, or any.
func hasETag(header []string, tag string) bool {
	for _, v := range header {
		for part := range strings.SplitSeq(v, ",") {
			if part = strings.TrimSpace(part); part == "*" || strings.TrimPrefix(part, "W/") == tag {
				return true
			}
		}
	}
	return false
}

func (h *handlers) cancelTask(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	id, err := h.changedID(w, r)
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
	return h.writeTask(w, status, &t)
}

func (h *handlers) retryTask(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	id, err := h.changedID(w, r)
	if err != nil {
		return err
	}
	t, err := h.svc.Retry(r.Context(), s, id)
	if err != nil {
		return err
	}
	return h.writeTask(w, http.StatusAccepted, &t)
}

func (h *handlers) deleteTask(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	id, err := h.changedID(w, r)
	if err != nil {
		return err
	}
	if err := h.svc.Delete(r.Context(), s, id); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
