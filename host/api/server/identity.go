package server

import (
	"bytes"
	"cmp"
	"encoding/json"
	"net/http"
	"slices"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/identity"
	"github.com/taskhost/taskhost/host/task"
)

// maxTokenRequest is how many bytes the request for a token may have.
const maxTokenRequest = 16 << 10

// tokenFields are the fields that the request for a token may have, each with how it is read.
var tokenFields = map[string]func(s *identity.Spec, v json.RawMessage, at place, bad *faults){
	"name":  func(s *identity.Spec, v json.RawMessage, at place, bad *faults) { s.Name = bad.str(v, at) },
	"owner": func(s *identity.Spec, v json.RawMessage, at place, bad *faults) { s.Owner = bad.str(v, at) },
	"role": func(s *identity.Spec, v json.RawMessage, at place, bad *faults) {
		s.Role = identity.Role(bad.str(v, at))
	},
	"expires_at": func(s *identity.Spec, v json.RawMessage, at place, bad *faults) { s.ExpiresAt = bad.time(v, at) },
}

func decodeToken(body []byte) (s identity.Spec, err error) {
	var bad faults
	readFields(body, nil, tokenFields, "a token", &s, &bad)
	return s, bad.err()
}

// access knows the tokens; conflict where nobody has to say who they are.
func (h *handlers) access() (*identity.Access, error) {
	if h.opts.Access == nil {
		return nil, task.Errorf(task.CodeConflict, "this server takes no tokens: the program that it is part of lets everyone in")
	}
	return h.opts.Access, nil
}

func (h *handlers) createToken(w http.ResponseWriter, r *http.Request, _ task.Scope) error {
	access, err := h.access()
	if err != nil {
		return err
	}
	body, err := h.readBody(w, r, maxTokenRequest)
	if err != nil {
		return err
	}
	spec, err := decodeToken(body)
	if err != nil {
		return err
	}
	t, secret, err := access.Create(r.Context(), spec)
	if err != nil {
		return err
	}
	w.Header()["Location"] = []string{"/v1/tokens/" + t.ID.String()}
	w.Header()["Cache-Control"] = []string{"no-store"}
	return h.writeJSON(w, http.StatusCreated, api.NewToken{Token: api.TokenOf(&t), Secret: secret})
}

func (h *handlers) listTokens(w http.ResponseWriter, r *http.Request, _ task.Scope) error {
	q := newQuery(r)
	limit := cmp.Or(int(q.integer("limit", 1, task.MaxListLimit)), task.DefaultListed)
	cursor := q.cursor("cursor")
	if err := q.err(); err != nil {
		return err
	}
	out := api.TokenList{Tokens: []api.Token{}}
	if h.opts.Access == nil {
		return h.writeJSON(w, http.StatusOK, out)
	}
	all := h.opts.Access.Tokens()
	if !cursor.IsZero() { // newest first: the list goes on with lower ids
		all = slices.DeleteFunc(all, func(t identity.Token) bool { return bytes.Compare(t.ID[:], cursor[:]) >= 0 })
	}
	page := all[:min(len(all), limit)]
	for i := range page {
		out.Tokens = append(out.Tokens, api.TokenOf(&page[i]))
	}
	if len(page) < len(all) {
		out.Next = q.linkNext(w, r, page[limit-1].ID)
	}
	return h.writeJSON(w, http.StatusOK, out)
}

func (h *handlers) getToken(w http.ResponseWriter, r *http.Request, _ task.Scope) error {
	id, err := h.changedID(w, r)
	if err != nil {
		return err
	}
	access, err := h.access()
	if err != nil {
		return err
	}
	t, err := access.Token(id)
	if err != nil {
		return err
	}
	return h.writeJSON(w, http.StatusOK, api.TokenOf(&t))
}

func (h *handlers) revokeToken(w http.ResponseWriter, r *http.Request, _ task.Scope) error {
	id, err := h.changedID(w, r)
	if err != nil {
		return err
	}
	access, err := h.access()
	if err != nil {
		return err
	}
	if err := access.Revoke(r.Context(), id); err != nil {
		return err
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func (h *handlers) whoami(w http.ResponseWriter, r *http.Request, _ task.Scope) error {
	who := &w.(*startedWriter).caller
	quota, err := h.quotaOf(r, who.Owner)
	if err != nil {
		return err
	}
	return h.writeJSON(w, http.StatusOK, api.Caller{Name: who.Name, Owner: who.Owner, Role: string(who.Role), By: string(who.By),
		Token: idOrNull(who.Token), ExpiresAt: timeOrNull(who.ExpiresAt), Quota: quota})
}

func (h *handlers) listAudit(w http.ResponseWriter, r *http.Request, _ task.Scope) error {
	q := newQuery(r)
	f := identity.Filter{Owner: q.filled("owner"), Action: q.filled("action"), Name: q.filled("name"), After: q.time("after"), Before: q.time("before"),
		Limit: int(q.integer("limit", 1, task.MaxListLimit)), Cursor: q.cursor("cursor")}
	if err := q.err(); err != nil {
		return err
	}
	out := api.AuditList{Events: []api.AuditEvent{}}
	if h.opts.Access == nil {
		return h.writeJSON(w, http.StatusOK, out)
	}
	page, err := h.opts.Access.Events(r.Context(), f)
	if err != nil {
		return err
	}
	for _, e := range page.Events {
		out.Events = append(out.Events, api.AuditEvent{ID: e.ID.String(), At: task.Shown(e.At), Name: e.Name, Owner: e.Owner, Role: string(e.Role), By: string(e.By),
			Token: idOrNull(e.Token), Address: e.Address, RequestID: e.RequestID, Action: e.Action, Target: e.Target, Status: e.Status})
	}
	out.Next = q.linkNext(w, r, page.Next)
	return h.writeJSON(w, http.StatusOK, out)
}

func (h *handlers) identityRoutes() []route {
	const tag = "identity"
	tokenID := param{name: "id", in: "path", kind: "uuid", doc: "the token's id"}
	return []route{
		{method: http.MethodGet, path: "/v1/whoami", id: "whoami", tag: tag, summary: "Ask who you are here", handle: h.whoami,
			description: "The caller's owner and role, how the host knows them, and what the owner has of what it may have.", codes: reads, answers: []answer{{status: http.StatusOK, doc: "the caller", body: api.Caller{}}}},
		{method: http.MethodPost, path: "/v1/tokens", id: "createToken", tag: tag, summary: "Make a token", handle: h.createToken, role: identity.Admin,
			description: "Its secret is told in this answer and never again. The first must be an admin's; from then on every request needs one. For admins.", body: api.TokenRequest{},
			codes: codes(writes, task.CodeConflict, task.CodeTooLarge, api.CodeUnsupportedMediaType, api.CodeRequestTimeout),
			answers: []answer{{status: http.StatusCreated, doc: "the token and its secret", body: api.NewToken{}, headers: []param{
				{name: "Location", kind: "string", doc: "the path of the token", always: true},
				{name: "Cache-Control", kind: "string", enum: []string{"no-store"}, doc: "a secret is not kept", always: true}}}}},
		{method: http.MethodGet, path: "/v1/tokens", id: "listTokens", tag: tag, summary: "List tokens", handle: h.listTokens, role: identity.Admin,
			description: "All that were not revoked, those that have expired, too. Newest first. For admins.", params: []param{pageLimit("tokens"), pageCursor},
			answers: []answer{{status: http.StatusOK, doc: "one page", body: api.TokenList{}, headers: []param{nextLink}}}},
		{method: http.MethodGet, path: "/v1/tokens/{id}", id: "getToken", tag: tag, summary: "Read a token", handle: h.getToken, role: identity.Admin,
			description: "Without its secret, which is not kept. For admins.", params: []param{tokenID}, codes: []task.Code{task.CodeNotFound, task.CodeConflict},
			answers: []answer{{status: http.StatusOK, doc: "the token", body: api.Token{}}}},
		{method: http.MethodDelete, path: "/v1/tokens/{id}", id: "revokeToken", tag: tag, summary: "Revoke a token", handle: h.revokeToken, role: identity.Admin,
			description: "Requests and streams that are held for it end now. The last admin's is 409. For admins.", params: []param{tokenID},
			codes: codes(writes, task.CodeNotFound, task.CodeConflict), answers: []answer{{status: http.StatusNoContent, doc: "it is revoked"}}},
		{method: http.MethodGet, path: "/v1/audit", id: "listAudit", tag: tag, summary: "Read who changed what", handle: h.listAudit, role: identity.Admin,
			description: "Every change that was asked for and answered, and those that were refused for want of a role, by who has to say who they are. Newest first. For admins.",
			params: []param{selector("owner", "of callers of this owner"), selector("name", "of callers of this name"),
				selector("action", "of this operation, such as cancelTask"),
				{name: "after", in: "query", kind: "date-time", doc: "later than this"}, {name: "before", in: "query", kind: "date-time", doc: "earlier than this"},
				pageLimit("events"), pageCursor},
			codes: reads, answers: []answer{{status: http.StatusOK, doc: "one page", body: api.AuditList{}, headers: []param{nextLink}}}},
	}
}
