package server

import (
	"net/http"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/resource"
	"github.com/taskhost/taskhost/host/task"
)

func (h *handlers) listResources(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	q := newQuery(r)
	after, limit := q.page()
	if err := q.err(); err != nil {
		return err
	}
	page, err := h.svc.Resources(r.Context(), s, after, limit)
	if err != nil {
		return err
	}
	out := api.ResourceList{Resources: make([]api.Resource, len(page.Resources))}
	for i := range page.Resources {
		out.Resources[i] = toResource(&page.Resources[i])
	}
	if page.Next != "" {
		out.Next = q.link(w, r, textCursor(page.Next))
	}
	return h.writeJSON(w, http.StatusOK, out)
}

func (h *handlers) getResource(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	q := newQuery(r)
	owner := q.filled("owner")
	if err := q.err(); err != nil {
		return err
	}
	if owner != "" && s.All {
		s = task.Scope{Owner: owner}
	}
	name := r.PathValue("name")
	if owner != "" && owner != s.Owner { // of which the caller sees none
		return task.Errorf(task.CodeNotFound, "nobody holds or waits for a resource %q", name)
	}
	res, err := h.svc.Resource(r.Context(), s, name)
	if err != nil {
		return err
	}
	return h.writeJSON(w, http.StatusOK, toResource(&res))
}

func toResource(r *resource.Resource) api.Resource {
	return api.Resource{Name: r.Name, Owner: r.Owner, Holders: toClaims(r.Holders), Queue: toClaims(r.Queue), Held: r.Held, Waiting: r.Waiting}
}

func toClaims(claims []resource.Claim) []api.Claim {
	out := make([]api.Claim, len(claims))
	for i, c := range claims {
		out[i] = api.Claim{Task: c.Task.String(), Mode: c.Mode.String(), Since: task.Shown(c.Since)}
	}
	return out
}

func (h *handlers) resourceRoutes() []route {
	const tag = "resources"
	return []route{
		{method: http.MethodGet, path: "/v1/resources", id: "listResources", tag: tag, summary: "List resources", handle: h.listResources,
			description: "Those that tasks have or wait for, by name. A name that nobody has or waits for does not exist.",
			params:      []param{pageLimit("resources"), textPageCursor}, codes: reads,
			answers: []answer{{status: http.StatusOK, doc: "one page", body: api.ResourceList{}, headers: []param{nextLink}}}},
		{method: http.MethodGet, path: "/v1/resources/{name}", id: "getResource", tag: tag, summary: "Read a resource", handle: h.getResource,
			description: "Who has it, and who waits for it in which order. Who sees all owners' resources gets the one of that name; of several it is 409 conflict, which names owners, unless owner says whose.",
			params:      []param{resourceName, selector("owner", "whose; who is no operator sees their own alone")},
			codes:       codes(reads, task.CodeNotFound, task.CodeConflict), answers: []answer{{status: http.StatusOK, doc: "holders and queue", body: api.Resource{}}}},
	}
}
