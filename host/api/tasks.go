package api

import (
	"fmt"
	"hash/fnv"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// minPrefix is how much of an id must be given where its beginning will do.
const minPrefix = 4

// find is the task that a path names by id, or by the beginning of one.
func (a *api) find(r *http.Request, s task.Scope) (task.Task, error) {
	name := r.PathValue("id")
	if len(name) >= minPrefix && len(name) < 36 {
		return a.svc.ByPrefix(r.Context(), s, name)
	}
	id, err := task.ParseID(name)
	if err != nil {
		return task.Task{}, err
	}
	return a.svc.Get(r.Context(), s, id)
}

func (a *api) get(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	q := newQuery(r)
	wait := q.wait("wait")
	if err := q.err(); err != nil {
		return err
	}
	t, err := a.find(r, s)
	if err != nil {
		return err
	}
	return a.showAfter(w, r, s, t, wait)
}

func (a *api) byKey(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	q := newQuery(r)
	wait := q.wait("wait")
	if err := q.err(); err != nil {
		return err
	}
	t, err := a.svc.ByKey(r.Context(), s, r.PathValue("type"), r.PathValue("key"))
	if err != nil {
		return err
	}
	return a.showAfter(w, r, s, t, wait)
}

// showAfter answers with t once it is final, or as it is after wait.
func (a *api) showAfter(w http.ResponseWriter, r *http.Request, s task.Scope, t task.Task, wait time.Duration) error {
	t, err := a.hold(r, s, t, min(wait, a.opts.MaxWait))
	if err != nil {
		return err
	}
	body, err := encodeJSON(toTask(&t, true))
	if err != nil {
		return err
	}
	// The version alone would not do: progress and the reason to wait change without it.
	sum := fnv.New64a()
	_, _ = sum.Write(body) // never fails
	tag := fmt.Sprintf(`"%d-%016x"`, t.Version, sum.Sum64())
	h := w.Header()
	h.Set("Etag", tag)
	h.Set("Content-Location", taskPath(t.ID))
	h.Set("Cache-Control", "no-cache")
	if matches(r.Header.Values("If-None-Match"), tag) {
		w.WriteHeader(http.StatusNotModified)
		return nil
	}
	return a.writeBytes(w, http.StatusOK, body)
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

// result answers with the bytes that the script left. They are someone else's:
// a browser must neither guess what they are nor run them in our origin.
func (a *api) result(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	if err := newQuery(r).err(); err != nil {
		return err
	}
	t, err := a.find(r, s)
	if err != nil {
		return err
	}
	switch {
	case !t.State.Final():
		return task.Errorf(task.CodeNotFinal, "task %s is %s: it has no result yet", t.ID, t.State)
	case t.ResultType == "":
		return task.Errorf(task.CodeNotFound, "task %s is %s and left no result", t.ID, t.State)
	}
	h := w.Header()
	h.Set("Content-Type", t.ResultType)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	h.Set("Content-Length", strconv.Itoa(len(t.Result)))
	h.Set("Cache-Control", "no-cache")
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return nil
	}
	return a.writeSlowly(w, t.Result)
}

// writeSlowly writes in pieces with a deadline each, so that a large answer may
// take its time as long as it is read.
func (a *api) writeSlowly(w http.ResponseWriter, data []byte) error {
	const piece = 256 << 10
	for len(data) > 0 {
		n := min(piece, len(data))
		a.writeBy(w, time.Now().Add(a.opts.WriteTimeout))
		if _, err := w.Write(data[:n]); err != nil {
			return errGone
		}
		data = data[n:]
	}
	return nil
}

// History is a task's transitions, oldest first.
type History struct {
	Events []Event `json:"events" nullable:"false"`
}

func (a *api) history(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	if err := newQuery(r).err(); err != nil {
		return err
	}
	t, err := a.find(r, s)
	if err != nil {
		return err
	}
	events, err := a.svc.History(r.Context(), s, t.ID, 0)
	if err != nil {
		return err
	}
	out := History{Events: make([]Event, len(events))}
	for i := range events {
		out.Events[i] = toEvent(&events[i])
	}
	return a.writeJSON(w, http.StatusOK, out)
}

// wholeID is the task that a path names, by all of its id: what changes
// something takes no beginnings.
func wholeID(a *api, w http.ResponseWriter, r *http.Request) (task.ID, error) {
	if err := newQuery(r).err(); err != nil {
		return task.ID{}, err
	}
	if err := a.noBody(w, r); err != nil {
		return task.ID{}, err
	}
	return task.ParseID(r.PathValue("id"))
}

func (a *api) cancel(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	id, err := wholeID(a, w, r)
	if err != nil {
		return err
	}
	t, err := a.svc.Cancel(r.Context(), s, id)
	if err != nil {
		return err
	}
	status := http.StatusAccepted
	if t.State == task.Canceled {
		status = http.StatusOK
	}
	return a.writeJSON(w, status, toTask(&t, true))
}

func (a *api) retry(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	id, err := wholeID(a, w, r)
	if err != nil {
		return err
	}
	t, err := a.svc.Retry(r.Context(), s, id)
	if err != nil {
		return err
	}
	return a.writeJSON(w, http.StatusAccepted, toTask(&t, true))
}

func (a *api) remove(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	id, err := wholeID(a, w, r)
	if err != nil {
		return err
	}
	if err := a.svc.Delete(r.Context(), s, id); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}
