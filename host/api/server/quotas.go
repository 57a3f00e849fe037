package server

import (
	"net/http"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/identity"
	"github.com/taskhost/taskhost/host/task"
)

// quotaOf is what an owner has and may have; nil if nothing bounds it.
func (h *handlers) quotaOf(r *http.Request, owner string) (*api.Quota, error) {
	use, err := h.svc.OwnerUse(r.Context(), owner)
	if err != nil || use.Limit == (task.Quota{}) {
		return nil, err
	}
	q := api.QuotaOf(&use)
	return &q, nil
}

func (h *handlers) listQuotas(w http.ResponseWriter, r *http.Request, _ task.Scope) error {
	q := newQuery(r)
	after, limit := q.page()
	if err := q.err(); err != nil {
		return err
	}
	all, err := h.svc.OwnerUses(r.Context())
	if err != nil {
		return err
	}
	owners, next := pageOf(all, after, limit, func(u *task.OwnerUse) string { return u.Owner })
	out := api.OwnerQuotaList{Quotas: make([]api.OwnerQuota, len(owners))}
	for i := range owners {
		out.Quotas[i] = api.OwnerQuota{Owner: owners[i].Owner, Quota: api.QuotaOf(&owners[i])}
	}
	if next != "" {
		out.Next = q.link(w, r, textCursor(next))
	}
	return h.writeJSON(w, http.StatusOK, out)
}

func (h *handlers) quotaRoutes() []route {
	return []route{
		{method: http.MethodGet, path: "/v1/quotas", id: "listQuotas", tag: "identity", summary: "List what owners have and may have", handle: h.listQuotas, role: identity.Operator,
			description: "Of owners who have something that counts, or a quota of their own, by name. Quotas are the config's. For operators; whoami has the caller's own.",
			params:      []param{pageLimit("owners"), textPageCursor}, codes: reads,
			answers: []answer{{status: http.StatusOK, doc: "one page", body: api.OwnerQuotaList{}, headers: []param{nextLink}}}},
	}
}
