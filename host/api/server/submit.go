package server

import (
	"crypto/sha256"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

func (h *handlers) submitTask(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	body, err := h.receiveBody(w, r, h.opts.MaxBody())
	if err != nil {
		return err
	}
	specs := make([]task.Spec, 1)
	if specs[0], err = readSpec(body); err != nil {
		return err
	}
	specs[0].Trace = traceOf(r)
	idem, err := idempotencyOf(r, s, body)
	if err != nil {
		return err
	}
	tasks, replayed, err := h.submit(r, s, specs, idem)
	if err != nil {
		return err
	}
	t := &tasks[0]
	if t.State == task.None {
		return task.ErrDeletedSince(t.ID)
	}
	s.Owner = t.Owner // of a child: its parent's
	status := http.StatusAccepted
	if !t.Existing().IsZero() {
		status = http.StatusOK
	}
	if replayed {
		w.Header().Set("Idempotency-Replayed", "true")
	}
	if wait, ok := preferredWait(r); ok {
		wait = min(wait, h.opts.MaxWait)
		// The task is accepted: whatever hinders telling more of it must not look as if it were not.
		if now, err := h.waitFinal(r, s, *t, wait); err == nil {
			t = &now
		}
		w.Header().Set("Preference-Applied", "wait="+strconv.Itoa(int(wait/time.Second)))
		if t.State.Final() {
			status = http.StatusOK
		}
	}
	w.Header()["Location"] = []string{taskPath(t.ID)}
	return h.writeTask(w, status, t)
}

// readSpec reads a body that is one task.
func readSpec(body []byte) (s task.Spec, err error) {
	if plainSpec(body, &s) {
		return s, nil
	}
	if err := checkJSON(body); err != nil {
		return s, err
	}
	var bad faults
	s = decodeSpec(body, nil, &bad)
	return s, bad.err()
}

func (h *handlers) submitBatch(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	body, err := h.readBody(w, r, h.opts.MaxBatch)
	if err != nil {
		return err
	}
	specs, own, err := decodeBatch(body)
	if err != nil {
		return err
	}
	trace := traceOf(r)
	for i := range specs {
		specs[i].Trace = trace
	}
	idem, err := idempotencyOf(r, s, body)
	if err != nil {
		return err
	}
	if own != nil && isAttempt(r) {
		return onlyChildren()
	}
	if own != nil {
		g, replayed, err := h.svc.SubmitGroup(r.Context(), s, *own, specs, idem)
		if err != nil {
			return inBatch(err)
		}
		if replayed {
			w.Header().Set("Idempotency-Replayed", "true")
		}
		w.Header()["Location"] = []string{groupPath(g.ID)}
		return h.writeJSON(w, http.StatusAccepted, api.BatchAnswer{Group: groupPath(g.ID)})
	}
	tasks, replayed, err := h.submit(r, s, specs, idem)
	if err != nil {
		return inBatch(err)
	}
	if replayed {
		w.Header().Set("Idempotency-Replayed", "true")
	}
	out := api.BatchAnswer{Tasks: make([]api.TaskRef, len(tasks))}
	for i := range tasks {
		out.Tasks[i] = api.TaskRef{ID: tasks[i].ID.String(), Href: taskPath(tasks[i].ID), Existing: !tasks[i].Existing().IsZero()}
	}
	return h.writeJSON(w, http.StatusAccepted, out)
}

// inBatch is an error about one task of a batch as one about the batch: its fields
// are found below that task. Where only one was submitted, the error numbers none. One about
// the batch's group is found below that.
func inBatch(err error) error {
	var e *task.Error
	if !errors.As(err, &e) || e.TaskNumber == 0 && len(e.Fields) == 0 {
		return err
	}
	if e.GroupsOwn {
		return task.WithField(e, "group")
	}
	at := taskInBatch(max(e.TaskNumber, 1) - 1)
	out := *e
	if e.TaskNumber > 0 {
		out.Message = api.Pointer(at) + ": " + e.Message
	}
	out.Fields = make([]task.FieldError, len(e.Fields))
	for i, f := range e.Fields {
		out.Fields[i] = task.FieldError{Path: slices.Concat(at, f.Path), Message: f.Message}
	}
	if len(e.Fields) == 0 { // of the task as a whole
		out.Fields = []task.FieldError{{Path: at, Message: e.Message}}
	}
	return &out
}

const maxIdempotencyKey = 255

// idempotencyOf is the client's key for this request; nil if it has none. The
// hash tells another request under the same key.
func idempotencyOf(r *http.Request, s task.Scope, body []byte) (*task.Idempotency, error) {
	values := r.Header.Values("Idempotency-Key")
	if len(values) == 0 {
		return nil, nil
	}
	key := values[0]
	if len(values) > 1 || key == "" || len(key) > maxIdempotencyKey {
		return nil, task.Errorf(task.CodeInvalidRequest, "Idempotency-Key must be one value of 1 to %d bytes", maxIdempotencyKey)
	}
	hash := sha256.New()
	hash.Write([]byte(r.Method + " " + r.URL.Path + "\n"))
	hash.Write(body)
	idem := &task.Idempotency{Owner: s.Owner, Key: key}
	hash.Sum(idem.Hash[:0])
	return idem, nil
}

// preferredWait is the wait of RFC 7240; what cannot be read is ignored, as it says.
func preferredWait(r *http.Request) (time.Duration, bool) {
	for _, v := range r.Header.Values("Prefer") {
		for part := range strings.SplitSeq(v, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
			if !strings.EqualFold(strings.TrimSpace(name), "wait") {
				continue
			}
			value, _, _ = strings.Cut(value, ";")
			n, err := strconv.ParseUint(strings.Trim(strings.TrimSpace(value), `"`), 10, 31)
			if err == nil {
				return time.Duration(n) * time.Second, true
			}
		}
	}
	return 0, false
}

// traceOf is the caller's W3C trace context, if it looks like one.
func traceOf(r *http.Request) string {
	if t := r.Header.Get("Traceparent"); len(t) == 55 {
		return t
	}
	return ""
}
