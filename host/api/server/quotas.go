package server

import (
	"cmp"
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
	limit := cmp.Or(int(q.integer("limit", 1, task.MaxListLimit)), task.DefaultListed)
	after := q.text("cursor")
	if err := q.err(); err != nil {
		return err
	}
	all, err := h.svc.OwnerUses(r.Context())
	if err != nil {
		return err
	}
	out := api.OwnerQuotaList{Quotas: []api.OwnerQuota{}}
	for i := range all {
		if all[i].Owner <= after {
			continue
		}
		if len(out.Quotas) == limit {
			out.Next = q.link(w, r, textCursor(out.Quotas[limit-1].Owner))
			break
		}
		out.Quotas = append(out.Quotas, api.OwnerQuota{Owner: all[i].Owner, Quota: api.QuotaOf(&all[i])})
	}
	return h.writeJSON(w, http.StatusOK, out)
}

func (h *handlers) quotaRoutes() []route {
	return []route{
		{method: http.MethodGet, path: "/v1/quotas", id: "listQuotas", tag: "identity", summary: "List what owners have and may have", handle: h.listQuotas, role: identity.Operator,
			description: "Of owners who have something that counts, or a quota of their own, by name. Quotas are the config's. For operators; whoami has the caller's own.",
			params:      []param{pageLimit("owners"), {name: "cursor", in: "query", kind: "string", doc: "next of the page before"}}, codes: reads,
			answers: []answer{{status: http.StatusOK, doc: "one page", body: api.OwnerQuotaList{}, headers: []param{nextLink}}}},
	}
}
