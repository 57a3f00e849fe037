package server

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/board"
	"github.com/taskhost/taskhost/host/task"
)

// claimFields are the fields that a request for tasks may have.
var claimFields = map[string]func(c *board.Request, v json.RawMessage, at place, bad *faults){
	"worker":  func(c *board.Request, v json.RawMessage, at place, bad *faults) { c.Worker = bad.str(v, at) },
	"types":   func(c *board.Request, v json.RawMessage, at place, bad *faults) { c.Types = bad.strings(v, at) },
	"labels":  func(c *board.Request, v json.RawMessage, at place, bad *faults) { c.Labels = bad.stringMap(v, at) },
	"version": func(c *board.Request, v json.RawMessage, at place, bad *faults) { c.Version = bad.str(v, at) },
	"wait":    func(c *board.Request, v json.RawMessage, at place, bad *faults) { c.Wait = bad.duration(v, at) },
	"limit": func(c *board.Request, v json.RawMessage, at place, bad *faults) {
		if c.Limit = bad.integer(v, at); c.Limit == 0 {
			bad.add(at, "is not between 1 and %d", board.MaxClaims)
		}
	},
	"lease": func(c *board.Request, v json.RawMessage, at place, bad *faults) {
		if c.Lease = bad.duration(v, at); c.Lease == 0 {
			bad.add(at, "is not between %s and %s", board.MinLease, board.MaxLease)
		}
	},
}

// claimTasks gives tasks to a worker. Those of a worker that is gone are given back.
func (h *handlers) claimTasks(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	body, err := h.readBody(w, r, maxClaimBody)
	if err != nil {
		return err
	}
	c := board.Request{Scope: s}
	var bad faults
	decodeFields(body, claimFields, "worker", &c, &bad)
	if err := bad.err(); err != nil {
		return err
	}
	c.Wait = min(c.Wait, h.opts.MaxWait)
	claims, tasks, err := h.svc.ClaimTasks(r.Context(), c)
	if err != nil {
		return err
	}
	out := api.ClaimAnswer{Claims: make([]api.BoardClaim, len(claims))}
	for i := range claims {
		t := toTask(&tasks[i], true)
		t.Checkpoint = tasks[i].Checkpoint
		out.Claims[i] = api.BoardClaim{Token: claims[i].Token.String(), Task: t, LeaseUntil: task.Shown(claims[i].LeaseUntil)}
	}
	if err = clientGone(r.Context().Err()); err == nil {
		err = h.writeJSON(w, http.StatusOK, out)
	}
	if err == nil {
		err = clientGone(http.NewResponseController(w).Flush()) // only what is written through tells
	}
	if err != nil {
		h.svc.AbandonClaims(claims)
	}
	return err
}

// maxClaimBody bounds what a worker says but for checkpoints and results, in bytes.
const maxClaimBody = 1 << 20

// decodeFields reads the body of a request about claims; the field that is required must
// not be absent, or null.
func decodeFields[T any](data json.RawMessage, fields map[string]func(*T, json.RawMessage, place, *faults), required string, into *T, bad *faults) {
	var at place
	given, isObject := readFields(data, at, fields, "this request", into, bad)
	if isObject && required != "" && !given[required] {
		bad.add(at.to(required), "is missing")
	}
}

func (h *handlers) listClaims(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	q := newQuery(r)
	limit := int(q.integer("limit", 1, task.MaxListLimit))
	after := claimCursor(q)
	if err := q.err(); err != nil {
		return err
	}
	held, next := h.svc.Claims(s, after, limit)
	out := api.HeldClaimList{Claims: make([]api.HeldClaim, len(held))}
	for i, c := range held {
		out.Claims[i] = api.HeldClaim{Task: c.Task.String(), Type: c.Type, Owner: c.Owner, Attempt: c.Attempt, Executor: c.Executor, Worker: c.Worker,
			Since: task.Shown(c.Since), LeaseUntil: task.Shown(c.LeaseUntil), Stop: orNull(string(c.Stop))}
	}
	if next != (board.Cursor{}) {
		out.Next = q.link(w, r, fmt.Sprintf("%d_%s", next.Since, next.Task))
	}
	return h.writeJSON(w, http.StatusOK, out)
}

// claimCursor is what a page of claims gave as its next.
func claimCursor(q *query) (c board.Cursor) {
	v := q.single("cursor")
	if v == "" {
		return c
	}
	since, id, _ := strings.Cut(v, "_")
	var err, errSince error
	c.Since, errSince = strconv.ParseInt(since, 10, 64)
	if c.Task, err = task.ParseID(id); err != nil || errSince != nil {
		q.bad.add(place{"cursor"}, "query parameter cursor is not what an earlier page gave as next: list anew without it")
	}
	return c
}

func (h *handlers) boardRoutes() []route {
	const tag = "board"
	token := param{name: "token", in: "path", kind: "string", pattern: "^[0-9A-Fa-f]{32}$", doc: "the claim's token"}
	current := []task.Code{task.CodeStoreUnavailable, task.CodeStaleClaim}
	sent := codes(current, task.CodeTooLarge, api.CodeRequestTimeout)
	says := func(what, summary, description string, r route) route {
		r.method, r.path, r.id, r.tag, r.summary, r.description = http.MethodPost, "/v1/board/claims/{token}/"+what, what+"Claim", tag, summary, description
		r.params = []param{token}
		return r
	}
	heard := []answer{{status: http.StatusOK, doc: "until when the worker has the task now, and whether it is to stop", body: api.ClaimHeard{}}}
	ended := []answer{{status: http.StatusNoContent, doc: "it is on record"}}
	const renews = " The lease begins anew, as by every call with the token."
	all := []route{
		{method: http.MethodPost, path: "/v1/board/claims", id: "claimTasks", tag: tag, summary: "Claim tasks to do", handle: h.claimTasks,
			description: "For a worker that has nothing but HTTP. Tasks come by priority and age over all types that it names; each is on record as running on this worker when this answers. " +
				"A worker that does not speak of a task for the lease loses it. The lease is counted in time in which the host is up, and outlives it. A type that no board offers is 422.",
			body: api.ClaimRequest{}, codes: []task.Code{task.CodeStoreUnavailable, task.CodeUnknownType, task.CodeTooLarge, api.CodeUnsupportedMediaType, api.CodeRequestTimeout},
			answers: []answer{{status: http.StatusOK, doc: "the tasks; none if there was none within the wait", body: api.ClaimAnswer{}}}},
		{method: http.MethodGet, path: "/v1/board/claims", id: "listClaims", tag: tag, summary: "List claims", handle: h.listClaims,
			description: "Who has what, since when; the latest first.",
			params:      []param{pageLimit("claims"), textPageCursor},
			answers:     []answer{{status: http.StatusOK, doc: "one page", body: api.HeldClaimList{}, headers: []param{nextLink}}}},
		says("renew", "Go on with a claimed task", "The worker has the task for the lease from now on, and hears whether it is to stop. One that is to stop has the lease once more, and no longer than the cancel grace.",
			route{handle: h.heard(h.renewClaim), codes: current, answers: heard}),
		says("progress", "Say how far a claimed task is", "Some of it is kept each second, the last in any case."+renews,
			route{handle: h.heard(h.claimProgress), body: api.ClaimProgress{}, codes: codes(sent, api.CodeUnsupportedMediaType), answers: heard}),
		says("log", "Log what a worker does", "The lines are kept with the task's log."+renews,
			route{handle: h.heard(h.claimLog), body: api.ClaimLog{}, codes: codes(sent, api.CodeUnsupportedMediaType), answers: heard}),
		says("checkpoint", "Save where the next attempt is to resume", "The bytes, 1 MiB at the most, are on disk when this answers. An attempt that is claimed after this one finds them in its task."+renews,
			route{handle: h.heard(h.claimCheckpoint), bodyDoc: "the checkpoint, any bytes", codes: codes(sent, task.CodeStoreFull), answers: heard}),
		says("finish", "Finish a claimed task", "The task has succeeded, with the body as its result, of the request's content type: JSON if it names none. A result of more than the type's max_result is 413.",
			route{handle: h.endClaim(h.finishClaim), bodyDoc: "the result, with its own content type", codes: sent, answers: ended}),
		says("fail", "Fail a claimed task", "It is tried again by the rules of its type, unless the failure is permanent. Said of a task that is canceled, it confirms that the worker has stopped.",
			route{handle: h.endClaim(h.failClaim), body: api.ClaimFailure{}, codes: codes(sent, api.CodeUnsupportedMediaType), answers: ended}),
		says("release", "Give a claimed task back", "The worker says that nothing was done of it that must not be done twice: it waits again, at no cost. Said of a task that is canceled, it confirms that the worker has stopped; a task that is to be paused rests until it is resumed.",
			route{handle: h.endClaim(h.releaseClaim), codes: current, answers: ended}),
		says("trash", "Throw a claimed task away", "It is no use to anybody: it is failed for good, with code trashed and the reason, and counts as no failure.",
			route{handle: h.endClaim(h.trashClaim), body: api.ClaimTrash{}, codes: codes(sent, api.CodeUnsupportedMediaType), answers: ended}),
	}
	for i := range all {
		all[i].quiet = true // it is work, and the history of each task tells of it
	}
	return all
}
