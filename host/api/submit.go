package api

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// decodeSpec reads one task of a request at a pointer ("" for the whole body).
func decodeSpec(data json.RawMessage, at string, bad *faults) task.Spec {
	var s task.Spec
	typed := false
	object := scanObject(data, at, bad, func(name string, v json.RawMessage) {
		p := at + "/" + escape(name)
		if isNull(v) && name != "input" && name != "type" && known(name) {
			return // null leaves a value to the type, as absence does
		}
		switch name {
		case "type":
			typed = true
			if s.Type = bad.str(v, p); v[0] == '"' && s.Type == "" {
				bad.add(p, "is empty")
			}
		case "input":
			s.Input = v
		case "key":
			s.Key = bad.str(v, p)
		case "executor":
			s.Executor = bad.str(v, p)
		case "priority":
			s.Priority = bad.integer(v, p)
		case "run_at":
			s.RunAt = bad.time(v, p)
		case "deadline":
			s.Deadline = bad.time(v, p)
		case "labels":
			s.Labels = bad.stringMap(v, p)
		case "route":
			s.Route = bad.stringMap(v, p)
		case "timeout":
			s.Timeout = bad.duration(v, p)
		case "retain":
			d := bad.duration(v, p)
			s.Retain = &d
		case "max_attempts":
			s.MaxAttempts = bad.integer(v, p)
			if s.MaxAttempts == 0 {
				bad.add(p, "is not between 1 and %d", task.MaxTries)
			}
		case "max_lost":
			n := bad.integer(v, p)
			s.MaxLost = &n
		default:
			bad.add(p, "is not a field of a task")
		}
	})
	if object && !typed {
		bad.add(at+"/type", "is missing: name a task type, GET /v1/types lists them")
	}
	return s
}

// known says whether a task may have a field of this name.
func known(name string) bool {
	switch name {
	case "type", "input", "key", "executor", "priority", "run_at", "deadline", "labels", "route", "timeout", "retain", "max_attempts", "max_lost":
		return true
	}
	return false
}

// decodeBatch reads the body of a batch.
func decodeBatch(body []byte) ([]task.Spec, error) {
	var bad faults
	var specs []task.Spec
	found := false
	scanObject(body, "", &bad, func(name string, v json.RawMessage) {
		if name != "tasks" {
			bad.add("/"+escape(name), "is not a field of a batch")
			return
		}
		found = true
		scanArray(v, "/tasks", &bad, func(i int, v json.RawMessage) {
			if i < task.MaxBatch {
				specs = append(specs, decodeSpec(v, "/tasks/"+strconv.Itoa(i), &bad))
			} else if i == task.MaxBatch {
				bad.add("/tasks", "has more than %d tasks", task.MaxBatch)
			}
		})
	})
	if !found && len(bad) == 0 {
		bad.add("/tasks", "is missing")
	} else if len(specs) == 0 && len(bad) == 0 {
		bad.add("/tasks", "is empty")
	}
	return specs, bad.err()
}

func (a *api) submit(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	body, err := a.readBody(w, r, a.opts.MaxBody)
	if err != nil {
		return err
	}
	var bad faults
	spec := decodeSpec(body, "", &bad)
	if err := bad.err(); err != nil {
		return err
	}
	spec.Trace = traceOf(r)
	idem, err := idempotencyOf(r, s, body)
	if err != nil {
		return err
	}
	tasks, replayed, err := a.svc.Submit(r.Context(), s, []task.Spec{spec}, idem)
	if err != nil {
		return err
	}
	t, status := tasks[0], http.StatusAccepted
	if replayed {
		w.Header().Set("Idempotency-Replayed", "true")
	}
	if wait, ok := preferWait(r); ok {
		wait = min(wait, a.opts.MaxWait)
		if t, err = a.hold(r, s, t, wait); err != nil {
			return err
		}
		w.Header().Set("Preference-Applied", "wait="+strconv.Itoa(int(wait/time.Second)))
		if t.State.Final() {
			status = http.StatusOK
		}
	}
	w.Header()["Location"] = []string{taskPath(t.ID)}
	return a.writeJSON(w, status, toTask(&t, true))
}

// BatchAnswer is what a batch is answered with, in the order of its tasks.
type BatchAnswer struct {
	Tasks []TaskRef `json:"tasks" nullable:"false"`
}

// TaskRef says where a task is.
type TaskRef struct {
	ID   string `json:"id" format:"uuid"`
	Href string `json:"href" format:"uri-reference"`
}

func (a *api) batch(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	body, err := a.readBody(w, r, a.opts.MaxBatch)
	if err != nil {
		return err
	}
	specs, err := decodeBatch(body)
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
	tasks, replayed, err := a.svc.Submit(r.Context(), s, specs, idem)
	if err != nil {
		return inBatch(err)
	}
	if replayed {
		w.Header().Set("Idempotency-Replayed", "true")
	}
	out := BatchAnswer{Tasks: make([]TaskRef, len(tasks))}
	for i := range tasks {
		out.Tasks[i] = TaskRef{ID: tasks[i].ID.String(), Href: taskPath(tasks[i].ID)}
	}
	return a.writeJSON(w, http.StatusAccepted, out)
}

// hold returns t once it is final, or as it is after d.
func (a *api) hold(r *http.Request, s task.Scope, t task.Task, d time.Duration) (task.Task, error) {
	if t.State.Final() || d <= 0 {
		return t, nil
	}
	ctx, cancel := held(r, d)
	defer cancel()
	now, err := a.svc.Wait(ctx, s, t.ID)
	if err != nil && ctx.Err() != nil && (errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)) {
		return a.svc.Get(r.Context(), s, t.ID)
	}
	return now, err
}

// inBatch puts the place in the batch into the pointers of an error that lack
// it: for whom one task is submitted, there is nothing to be told apart.
func inBatch(err error) error {
	var e *task.Error
	if !errors.As(err, &e) || len(e.Fields) == 0 {
		return err
	}
	out := *e
	out.Fields = make([]task.FieldError, len(e.Fields))
	for i, f := range e.Fields {
		if !strings.HasPrefix(f.Pointer, "/tasks/") {
			f.Pointer = "/tasks/0" + f.Pointer
		}
		out.Fields[i] = f
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
	h := sha256.New()
	h.Write([]byte(r.Method + " " + r.URL.Path + "\n"))
	h.Write(body)
	idem := &task.Idempotency{Owner: s.Owner, Key: key}
	h.Sum(idem.Hash[:0])
	return idem, nil
}

// preferWait is the wait of RFC 7240; what cannot be read is ignored, as it says.
func preferWait(r *http.Request) (time.Duration, bool) {
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

func taskPath(id task.ID) string { return "/v1/tasks/" + id.String() }
