package server

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/identity"
	"github.com/taskhost/taskhost/host/task"
)

func (h *handlers) listTypes(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	q := newQuery(r)
	after, limit := q.page()
	if err := q.err(); err != nil {
		return err
	}
	types, next := pageOf(h.svc.Types(s), after, limit, func(t *task.TypeStatus) string { return t.Name })
	out := api.TypeList{Types: make([]api.Type, len(types))}
	for i := range types {
		out.Types[i] = toType(&types[i])
	}
	if next != "" {
		out.Next = q.link(w, r, textCursor(next))
	}
	return h.writeJSON(w, http.StatusOK, out)
}

func (h *handlers) getType(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	t, err := h.svc.Type(s, r.PathValue("name"))
	if err != nil {
		return err
	}
	return h.writeJSON(w, http.StatusOK, toType(&t))
}

// typeFields are the fields that a type in a request may have, as specFields are a task's.
var typeFields = map[string]func(s *task.TypeSpec, v json.RawMessage, at place, bad *faults){
	"description": func(s *task.TypeSpec, v json.RawMessage, at place, bad *faults) { s.Description = bad.str(v, at) },
	"input":       func(s *task.TypeSpec, v json.RawMessage, _ place, _ *faults) { s.Input = v },
	"result":      func(s *task.TypeSpec, v json.RawMessage, _ place, _ *faults) { s.Result = v },
	"executor":    func(s *task.TypeSpec, v json.RawMessage, at place, bad *faults) { s.Executor = bad.str(v, at) },
	"board":       func(s *task.TypeSpec, v json.RawMessage, at place, bad *faults) { s.Board = bad.boolean(v, at) },
	"route":       func(s *task.TypeSpec, v json.RawMessage, at place, bad *faults) { s.Route = bad.stringMap(v, at) },
	"min_version": func(s *task.TypeSpec, v json.RawMessage, at place, bad *faults) { s.MinVersion = bad.str(v, at) },
	"timeout":     func(s *task.TypeSpec, v json.RawMessage, at place, bad *faults) { s.Timeout = bad.positive(v, at) },
	"deadline":    func(s *task.TypeSpec, v json.RawMessage, at place, bad *faults) { s.Deadline = bad.positive(v, at) },
	"max_attempts": func(s *task.TypeSpec, v json.RawMessage, at place, bad *faults) {
		s.MaxAttempts = int(bad.within(v, at, 1, task.MaxTries))
	},
	"max_lost": func(s *task.TypeSpec, v json.RawMessage, at place, bad *faults) { s.MaxLost = new(bad.integer(v, at)) },
	"retain":   func(s *task.TypeSpec, v json.RawMessage, at place, bad *faults) { s.Retain = new(bad.duration(v, at)) },
	"backoff": func(s *task.TypeSpec, v json.RawMessage, at place, bad *faults) {
		s.Backoff = decodeBackoff(v, at, bad)
	},
	"queue_limit": func(s *task.TypeSpec, v json.RawMessage, at place, bad *faults) {
		s.QueueLimit = bad.within(v, at, 1, task.MaxConcurrency)
	},
	"concurrency": func(s *task.TypeSpec, v json.RawMessage, at place, bad *faults) {
		s.Concurrency = []task.Concurrency{}
		scanArray(v, at, bad, func(i int, v json.RawMessage) {
			if i <= task.MaxConcurrencies { // one more is refused, with the others
				s.Concurrency = append(s.Concurrency, decodeConcurrency(v, at.to(strconv.Itoa(i)), bad))
			}
		})
	},
	"rate":     func(s *task.TypeSpec, v json.RawMessage, at place, bad *faults) { s.Rate = new(decodeRate(v, at, bad)) },
	"priority": func(s *task.TypeSpec, v json.RawMessage, at place, bad *faults) { s.Priority = bad.integer(v, at) },
	"max_input": func(s *task.TypeSpec, v json.RawMessage, at place, bad *faults) {
		s.MaxInput = bad.within(v, at, 1, task.MaxPayload)
	},
	"max_result": func(s *task.TypeSpec, v json.RawMessage, at place, bad *faults) {
		s.MaxResult = bad.within(v, at, 1, task.MaxPayload)
	},
}

// decodeType reads what a client says of the type of that name.
func decodeType(name string, body []byte) (task.TypeSpec, error) {
	s := task.TypeSpec{Name: name}
	var bad faults
	readFields(body, nil, typeFields, "a task type", &s, &bad)
	return s, bad.err()
}

func decodeBackoff(data json.RawMessage, at place, bad *faults) (b task.Backoff) {
	scanObject(data, at, bad, func(name string, v json.RawMessage) {
		to := map[string]*time.Duration{"initial": &b.Initial, "max": &b.Max}[name]
		switch {
		case to == nil:
			bad.add(at.to(name), "is not a field of a backoff: initial and max are")
		case !isNull(v):
			*to = bad.positive(v, at.to(name))
		}
	})
	return b
}

func decodeConcurrency(data json.RawMessage, at place, bad *faults) (c task.Concurrency) {
	scanObject(data, at, bad, func(name string, v json.RawMessage) {
		switch {
		case name == "max":
			c.Max = bad.within(v, at.to(name), 1, task.MaxConcurrency)
		case name != "by":
			bad.add(at.to(name), "is not a field of a concurrency limit: max and by are")
		case !isNull(v):
			c.By = bad.str(v, at.to(name))
		}
	})
	if c.Max == 0 && len(*bad) == 0 {
		bad.add(at.to("max"), "is missing: say how many may be under way at once")
	}
	return c
}

func decodeRate(data json.RawMessage, at place, bad *faults) (r task.Rate) {
	scanObject(data, at, bad, func(name string, v json.RawMessage) {
		switch {
		case name == "per_second":
			if err := json.Unmarshal(v, &r.PerSecond); err != nil || r.PerSecond <= 0 {
				bad.add(at.to(name), "is not a number above 0")
			}
		case name != "burst":
			bad.add(at.to(name), "is not a field of a rate: per_second and burst are")
		case !isNull(v):
			r.Burst = bad.within(v, at.to(name), 1, task.MaxBurst)
		}
	})
	if r.PerSecond == 0 && len(*bad) == 0 {
		bad.add(at.to("per_second"), "is missing: say how many may begin in a second")
	}
	return r
}

func (h *handlers) putType(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	body, err := h.readBody(w, r, h.opts.MaxBody())
	if err != nil {
		return err
	}
	spec, err := decodeType(r.PathValue("name"), body)
	if err != nil {
		return err
	}
	t, created, err := h.svc.PutType(r.Context(), s, spec)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
		w.Header()["Location"] = []string{"/v1/types/" + spec.Name}
	}
	return h.writeJSON(w, status, toType(&t))
}

// controlType makes the handler of one action, which only operators may ask for.
func (h *handlers) controlType(action string) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request, s task.Scope) error {
		if err := h.requireNoBody(w, r); err != nil {
			return err
		}
		t, err := h.svc.ControlType(r.Context(), s, r.PathValue("name"), action)
		if err != nil {
			return err
		}
		return h.writeJSON(w, http.StatusOK, toType(&t))
	}
}

func (h *handlers) deleteType(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	q := newQuery(r)
	force := q.boolean("force")
	if err := q.err(); err != nil {
		return err
	}
	if err := h.requireNoBody(w, r); err != nil {
		return err
	}
	if err := h.svc.DeleteType(r.Context(), s, r.PathValue("name"), force); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h *handlers) typeRoutes() []route {
	const tag = "types"
	one := []answer{{status: http.StatusOK, doc: "the type as it is now", body: api.Type{}}}
	control := codes(writes, task.CodeNotFound, task.CodeConflict)
	return []route{
		{method: http.MethodGet, path: "/v1/types", id: "listTypes", tag: tag, summary: "List task types", handle: h.listTypes,
			description: "Those that an executor offers, or offered before the host was started and may again, and those that were put.",
			params:      []param{pageLimit("types"), textPageCursor},
			answers:     []answer{{status: http.StatusOK, doc: "one page", body: api.TypeList{}, headers: []param{nextLink}}}},
		{method: http.MethodGet, path: "/v1/types/{name}", id: "getType", tag: tag, summary: "Read a task type", handle: h.getType,
			description: "Its schemas, its executor, its limits, each with whose word it is, and how many tasks of it are not final.", params: []param{typeName}, codes: []task.Code{task.CodeNotFound},
			answers: []answer{{status: http.StatusOK, doc: "the type", body: api.Type{}}}},
		{method: http.MethodPut, path: "/v1/types/{name}", id: "putType", tag: tag, role: identity.Operator, summary: "Say what holds for a task type", handle: h.putType,
			description: "In place of all that was put before. The type need not be offered by anything yet: its tasks are accepted, and wait for an executor. " +
				"What is put goes before what the executor declares, and the host's config before both. Limits on concurrency and rate are in force when this answers, for tasks that wait, too. For operators.",
			params: []param{typeName}, body: api.TypeRequest{},
			codes: codes(writes, task.CodeConflict, task.CodeTooLarge, api.CodeUnsupportedMediaType, api.CodeRequestTimeout),
			answers: []answer{{status: http.StatusOK, doc: "the type as it is now", body: api.Type{}},
				{status: http.StatusCreated, doc: "the type, which was not there before", body: api.Type{}, headers: []param{{name: "Location", kind: "string", doc: "the path of the type", always: true}}}}},
		{method: http.MethodPost, path: "/v1/types/{name}/pause", id: "pauseType", tag: tag, role: identity.Operator, summary: "Pause a task type", handle: h.controlType("pause"),
			description: "No more attempts at its tasks begin; those that run go on, and tasks are accepted. The pause outlasts the host. A type that is paused is 409. For operators.",
			params:      []param{typeName}, codes: control, answers: one},
		{method: http.MethodPost, path: "/v1/types/{name}/resume", id: "resumeType", tag: tag, role: identity.Operator, summary: "Resume a paused task type", handle: h.controlType("resume"),
			description: "Attempts begin again. A type that is not paused is 409. For operators.", params: []param{typeName}, codes: control, answers: one},
		{method: http.MethodDelete, path: "/v1/types/{name}", id: "deleteType", tag: tag, role: identity.Operator, summary: "Delete what was put of a task type", handle: h.deleteType,
			description: "With its pause. A type that an executor offers is there still, as the executor declares it; one that was never put is 409, and so is one of which there are tasks, final ones too. For operators.",
			params:      []param{typeName, {name: "force", in: "query", kind: "boolean", doc: "cancel and delete all tasks of the type first, whoever owns them: the answer comes when they are gone"}},
			codes:       control, answers: []answer{{status: http.StatusNoContent, doc: "it is deleted"}}},
	}
}
