package server

import (
	"encoding/json"
	"net/http"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

// filterFields are the fields that the filter of an action may have. What is empty is refused:
// it would not select, and have the action at everything.
var filterFields = map[string]func(f *task.Filter, v json.RawMessage, at place, bad *faults){
	"state": func(f *task.Filter, v json.RawMessage, at place, bad *faults) {
		for _, name := range bad.some(v, at) {
			var s task.State
			if err := s.UnmarshalText([]byte(name)); err != nil || s == task.None {
				bad.add(at, "has %q, which is not a state: want some of %v", name, task.States())
			}
			f.States = append(f.States, s)
		}
	},
	"type":            func(f *task.Filter, v json.RawMessage, at place, bad *faults) { f.Types = bad.some(v, at) },
	"executor":        func(f *task.Filter, v json.RawMessage, at place, bad *faults) { f.Executor = bad.filled(v, at) },
	"owner":           func(f *task.Filter, v json.RawMessage, at place, bad *faults) { f.Owner = bad.filled(v, at) },
	"key":             func(f *task.Filter, v json.RawMessage, at place, bad *faults) { f.Key = bad.filled(v, at) },
	"group":           func(f *task.Filter, v json.RawMessage, at place, bad *faults) { f.Group = bad.id(v, at) },
	"parent":          func(f *task.Filter, v json.RawMessage, at place, bad *faults) { f.Parent = bad.id(v, at) },
	"labels":          func(f *task.Filter, v json.RawMessage, at place, bad *faults) { f.Labels = bad.stringMap(v, at) },
	"created_after":   func(f *task.Filter, v json.RawMessage, at place, bad *faults) { f.CreatedAfter = bad.time(v, at) },
	"created_before":  func(f *task.Filter, v json.RawMessage, at place, bad *faults) { f.CreatedBefore = bad.time(v, at) },
	"finished_after":  func(f *task.Filter, v json.RawMessage, at place, bad *faults) { f.FinishedAfter = bad.time(v, at) },
	"finished_before": func(f *task.Filter, v json.RawMessage, at place, bad *faults) { f.FinishedBefore = bad.time(v, at) },
}

// decodeAction reads the body of an action.
func decodeAction(body []byte) (a task.Action, dryRun bool, err error) {
	var bad faults
	var root place
	given := map[string]bool{}
	scanObject(body, root, &bad, func(name string, v json.RawMessage) {
		at := root.to(name)
		given[name] = !isNull(v)
		switch {
		case name == "to":
			a.To = v
		case name != "action" && name != "filter" && name != "dry_run":
			bad.add(at, "is not a field of an action")
		case isNull(v):
		case name == "action":
			a.Action = bad.str(v, at)
		case name == "dry_run":
			dryRun = bad.boolean(v, at)
		default:
			readFields(v, at, filterFields, "a filter", &a.Filter, &bad)
		}
	})
	for _, name := range []string{"action", "filter"} {
		if !given[name] && len(bad) == 0 {
			bad.add(root.to(name), "is missing")
		}
	}
	if isNull(a.To) && a.Action != task.ActionMove { // which moves to whom the config says
		a.To = nil
	}
	if err := bad.err(); err != nil {
		return a, false, err
	}
	return a, dryRun, a.Check()
}

func (h *handlers) submitAction(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	body, err := h.readBody(w, r, h.opts.MaxBody())
	if err != nil {
		return err
	}
	a, dryRun, err := decodeAction(body)
	if err != nil {
		return err
	}
	if dryRun {
		n, err := h.svc.CountAction(r.Context(), s, a)
		if err != nil {
			return err
		}
		return h.writeJSON(w, http.StatusOK, api.ActionCount{Matched: n})
	}
	idem, err := idempotencyOf(r, s, body)
	if err != nil {
		return err
	}
	t, again, err := h.svc.SubmitAction(r.Context(), s, a, idem)
	if err != nil {
		return err
	}
	if again {
		w.Header().Set("Idempotency-Replayed", "true")
	}
	w.Header()["Location"] = []string{taskPath(t.ID)}
	return h.writeTask(w, http.StatusAccepted, &t)
}

// pauseWait is how long a script has to agree to rest if the caller does not say: one that
// agrees does so in a moment, on another machine in a few.
const pauseWait = 10 * time.Second

func (h *handlers) pauseTask(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	q := newQuery(r)
	wait := pauseWait
	if q.has("wait") {
		wait = q.duration("wait")
	}
	if err := q.err(); err != nil {
		return err
	}
	if err := h.requireNoBody(w, r); err != nil {
		return err
	}
	id, err := pathID(r)
	if err != nil {
		return err
	}
	ctx, cancel := requestContext(r, min(wait, h.opts.MaxWait))
	defer cancel()
	t, err := h.svc.Pause(ctx, s, id)
	if err != nil {
		return err
	}
	return h.writeTask(w, http.StatusOK, &t)
}

func (h *handlers) resumeTask(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	id, err := h.changedID(w, r)
	if err != nil {
		return err
	}
	t, err := h.svc.Resume(r.Context(), s, id)
	if err != nil {
		return err
	}
	return h.writeTask(w, http.StatusOK, &t)
}

func (h *handlers) actionRoutes() []route {
	return []route{
		{method: http.MethodPost, path: "/v1/actions", id: "submitAction", tag: "tasks", summary: "Do something to all tasks that match", handle: h.submitAction,
			description: "The action is carried out by a task of type taskhost.action: its progress counts, its result says how many it was done to, its cancel stops it, " +
				"and a restart of the host goes on with it. It is done to what matches when it comes to it, from the oldest on; a retry passes by what was trashed. With dry_run it is not done, and the answer says to how many it would be.",
			params: []param{idemParam}, body: api.ActionRequest{},
			codes: codes(writes, task.CodeIdempotencyMismatch, task.CodeConflict, task.CodeTooLarge, api.CodeUnsupportedMediaType, api.CodeRequestTimeout),
			answers: []answer{{status: http.StatusAccepted, doc: "the task that carries it out", body: api.Task{}, headers: []param{location, replayed}},
				{status: http.StatusOK, doc: "to how many it would be done", body: api.ActionCount{}}}},
		{method: http.MethodPost, path: "/v1/tasks/{id}/pause", id: "pauseTask", tag: "tasks", summary: "Have a task rest", handle: h.pauseTask,
			description: "A task that waits rests at once, and keeps its place and its resources. One that runs is asked to: if its script agrees it rests until it is resumed. " +
				"If it has not when the time is up the answer is 409 conflict; it goes on, and rests if it agrees later.",
			params:  []param{taskID, {name: "wait", in: "query", kind: "string", doc: "how long the script of a task that runs has to agree: 30s, or a number of seconds; 10 seconds if not said, 5 minutes are granted"}},
			codes:   codes(writes, task.CodeNotFound, task.CodeAlreadyFinal, task.CodeConflict),
			answers: []answer{{status: http.StatusOK, doc: "it rests", body: api.Task{}}}},
		{method: http.MethodPost, path: "/v1/tasks/{id}/resume", id: "resumeTask", tag: "tasks", summary: "Have a paused task wait for its turn again", handle: h.resumeTask,
			description: "One that was paused, or that rests until it is resumed.",
			params:      []param{taskID}, codes: codes(writes, task.CodeNotFound, task.CodeAlreadyFinal, task.CodeConflict),
			answers: []answer{{status: http.StatusOK, doc: "it waits for its turn", body: api.Task{}}}},
	}
}
