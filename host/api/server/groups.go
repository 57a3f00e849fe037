package server

import (
	"encoding/json"
	"net/http"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/group"
	"github.com/taskhost/taskhost/host/task"
)

func groupPath(id task.ID) string { return "/v1/groups/" + id.String() }

// groupFields are the fields that a group in a request may have, as specFields are a task's.
var groupFields = map[string]func(s *group.Spec, v json.RawMessage, at place, bad *faults){
	"name":   func(s *group.Spec, v json.RawMessage, at place, bad *faults) { s.Name = bad.str(v, at) },
	"labels": func(s *group.Spec, v json.RawMessage, at place, bad *faults) { s.Labels = bad.stringMap(v, at) },
	"on_finished": func(s *group.Spec, v json.RawMessage, at place, bad *faults) {
		finisher := decodeSpec(v, at, bad)
		s.OnFinished = &finisher
	},
}

// decodeGroup reads a group of a request, which stands at that place. inBatch says that it
// may be said to stay open; one of its own is open.
func decodeGroup(data json.RawMessage, at place, inBatch bool, bad *faults) group.Spec {
	s := group.Spec{Open: !inBatch}
	scanObject(data, at, bad, func(name string, v json.RawMessage) {
		read, known := groupFields[name]
		switch {
		case name == "open" && inBatch:
			if !isNull(v) {
				s.Open = bad.boolean(v, at.to(name))
			}
		case !known:
			bad.add(at.to(name), "is not a field of a group")
		case !isNull(v):
			read(&s, v, at.to(name), bad)
		}
	})
	return s
}

func (h *handlers) createGroup(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	body, err := h.readBody(w, r, h.opts.MaxBody())
	if err != nil {
		return err
	}
	var bad faults
	spec := decodeGroup(body, nil, false, &bad)
	if err := bad.err(); err != nil {
		return err
	}
	g, _, err := h.svc.SubmitGroup(r.Context(), s, spec, nil, nil)
	if err != nil {
		return err
	}
	w.Header()["Location"] = []string{groupPath(g.ID)}
	return h.writeGroup(w, http.StatusCreated, &g)
}

func (h *handlers) listGroups(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	q := newQuery(r)
	f := group.Filter{Name: q.filled("name"), Limit: int(q.integer("limit", 1, task.MaxListLimit)), Cursor: q.cursor("cursor")}
	if err := q.err(); err != nil {
		return err
	}
	page, err := h.svc.Groups(r.Context(), s, f)
	if err != nil {
		return err
	}
	out := api.GroupList{Groups: make([]api.Group, len(page.Groups)), Next: q.linkNext(w, r, page.Next)}
	for i := range page.Groups {
		out.Groups[i] = group.Summarize(&page.Groups[i])
	}
	return h.writeJSON(w, http.StatusOK, out)
}

func (h *handlers) getGroup(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	id, err := pathID(r)
	if err != nil {
		return err
	}
	g, err := h.svc.Group(r.Context(), s, id)
	if err != nil {
		return err
	}
	return h.writeGroup(w, http.StatusOK, &g)
}

// changeGroup answers a request that changes a group with the group as it is then.
func (h *handlers) changeGroup(status int, change func(r *http.Request, s task.Scope, id task.ID) (group.Group, error)) handlerFunc {
	return func(w http.ResponseWriter, r *http.Request, s task.Scope) error {
		id, err := h.changedID(w, r)
		if err != nil {
			return err
		}
		g, err := change(r, s, id)
		if err != nil {
			return err
		}
		return h.writeGroup(w, status, &g)
	}
}

// writeGroup answers with a group, as writeTask does with a task.
func (h *handlers) writeGroup(w http.ResponseWriter, status int, g *group.Group) error {
	d := group.Summarize(g)
	if status == http.StatusAccepted {
		d.Group = groupPath(g.ID)
	}
	return h.writeJSON(w, status, &d)
}

func (h *handlers) deleteGroup(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	id, err := h.changedID(w, r)
	if err != nil {
		return err
	}
	if err := h.svc.DeleteGroup(r.Context(), s, id); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h *handlers) groupRoutes() []route {
	const tag = "groups"
	one := func(status int, doc string) []answer { return []answer{{status: status, doc: doc, body: api.Group{}}} }
	return []route{
		{method: http.MethodPost, path: "/v1/groups", id: "createGroup", tag: tag, summary: "Make an open group", handle: h.createGroup,
			description: "Tasks join by naming it in group, until it is closed.", body: api.GroupRequest{},
			codes: codes(writes, task.CodeUnknownType, task.CodeTooLarge, api.CodeUnsupportedMediaType, api.CodeRequestTimeout, task.CodeExecutorUnavailable),
			answers: []answer{{status: http.StatusCreated, doc: "the group", body: api.Group{},
				headers: []param{{name: "Location", kind: "string", doc: "the path of the group", always: true}}}}},
		{method: http.MethodGet, path: "/v1/groups", id: "listGroups", tag: tag, summary: "List groups", handle: h.listGroups,
			description: "Newest first.", params: []param{selector("name", "groups of this name"), pageLimit("groups"), pageCursor}, codes: reads,
			answers: []answer{{status: http.StatusOK, doc: "one page", body: api.GroupList{}, headers: []param{nextLink}}}},
		{method: http.MethodGet, path: "/v1/groups/{id}", id: "getGroup", tag: tag, summary: "Read a group", handle: h.getGroup,
			description: "The counts are exact: whoever has seen the last member final sees the group finished.", params: []param{groupID},
			codes: codes(reads, task.CodeNotFound), answers: one(http.StatusOK, "the group")},
		{method: http.MethodPost, path: "/v1/groups/{id}/close", id: "closeGroup", tag: tag, summary: "Close a group",
			description: "No more tasks may join. A group that is closed stays as it is.", params: []param{groupID},
			handle: h.changeGroup(http.StatusOK, func(r *http.Request, s task.Scope, id task.ID) (group.Group, error) {
				return h.svc.CloseGroup(r.Context(), s, id)
			}), codes: codes(writes, task.CodeNotFound), answers: one(http.StatusOK, "the group, closed")},
		{method: http.MethodPost, path: "/v1/groups/{id}/cancel", id: "cancelGroup", tag: tag, summary: "Close a group and ask its members to end",
			description: "All members that are not final, those that run and those that wait.", params: []param{groupID},
			handle: h.changeGroup(http.StatusAccepted, func(r *http.Request, s task.Scope, id task.ID) (group.Group, error) {
				return h.svc.CancelGroup(r.Context(), s, id)
			}), codes: codes(writes, task.CodeNotFound), answers: one(http.StatusAccepted, "the group: those of its members that run are canceling")},
		{method: http.MethodPost, path: "/v1/groups/{id}/retry", id: "retryGroup", tag: tag, summary: "Run a group's failed members again",
			description: "They wait again, with fresh attempts; those that were trashed stay. A finished group is closed again, until they are final too.", params: []param{groupID},
			handle: h.changeGroup(http.StatusAccepted, func(r *http.Request, s task.Scope, id task.ID) (group.Group, error) {
				return h.svc.RetryGroup(r.Context(), s, id)
			}), codes: codes(writes, task.CodeNotFound, task.CodeQueueFull, task.CodeQuotaExceeded), answers: one(http.StatusAccepted, "the group: what had failed waits again")},
		{method: http.MethodDelete, path: "/v1/groups/{id}", id: "deleteGroup", tag: tag, summary: "Delete a finished group", handle: h.deleteGroup,
			description: "Its members go with it.", params: []param{groupID}, codes: codes(writes, task.CodeNotFound, task.CodeNotFinal),
			answers: []answer{{status: http.StatusNoContent, doc: "it is deleted"}}},
	}
}
