package server

import (
	"cmp"
	"context"
	"net/http"
	"slices"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/task"
)

// submit submits tasks, or has the attempt whose token the request carries spawn them: those
// with a parent.
func (h *handlers) submit(r *http.Request, s task.Scope, specs []task.Spec, idem *task.Idempotency) ([]task.Task, bool, error) {
	if !slices.ContainsFunc(specs, func(s task.Spec) bool { return !s.Parent.IsZero() }) {
		if isAttempt(r) {
			return nil, false, onlyChildren()
		}
		return h.svc.Submit(r.Context(), s, specs, idem)
	}
	if err := h.byAttempt(r); err != nil {
		return nil, false, err
	}
	token, err := parseToken(secretOf(r))
	if err != nil {
		return nil, false, err
	}
	return h.svc.Spawn(r.Context(), token, specs, idem)
}

// byAttempt is nil if the request carries the token of an attempt that runs.
func (h *handlers) byAttempt(r *http.Request) error {
	if secretOf(r) == "" {
		return task.Errorf(task.CodeUnauthenticated, "a task with a parent is spawned by an attempt that runs: send its token, Authorization: Bearer TOKEN")
	}
	token, err := parseToken(secretOf(r))
	if err == nil {
		_, err = h.svc.AttemptInput(token)
	}
	if err != nil {
		return &task.Error{Code: task.CodeUnauthenticated, Message: "no attempt runs with this token: one that has ended, or lost its task, spawns nothing", Cause: err}
	}
	return nil
}

// attemptKey is where the context of a request says that an attempt has sent it.
type attemptKey struct{}

func asAttempt(r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), attemptKey{}, true))
}

func isAttempt(r *http.Request) bool { return r.Context().Value(attemptKey{}) != nil }

func onlyChildren() error {
	return &task.Error{Code: task.CodeForbidden, Message: "the token of an attempt is for children of its task: name that task as the parent",
		Fields: []task.FieldError{{Path: []string{"parent"}, Message: "is missing"}}}
}

// treeListed is how many tasks of a tree are told where the request does not say.
const (
	treeListed = 1000
	treeMost   = 10_000
)

func (h *handlers) getTree(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	q := newQuery(r)
	limit := cmp.Or(q.integer("limit", 1, treeMost), treeListed)
	if err := q.err(); err != nil {
		return err
	}
	t, err := h.findTask(r, s)
	if err != nil {
		return err
	}
	tree, err := h.svc.Tree(r.Context(), s, t.ID, int(limit))
	if err != nil {
		return err
	}
	return h.writeJSON(w, http.StatusOK, toTree(tree))
}

func toTree(t *task.Tree) *api.TaskTree {
	out := &api.TaskTree{Task: toTask(&t.Task, false), Children: make([]*api.TaskTree, len(t.Children)), More: t.More}
	for i, c := range t.Children {
		out.Children[i] = toTree(c)
	}
	return out
}

func (h *handlers) childRoutes() []route {
	return []route{
		{method: http.MethodGet, path: "/v1/tasks/{id}/tree", id: "getTaskTree", tag: "tasks", summary: "Read a task with all that it has spawned", handle: h.getTree,
			description: "The task, its children, and theirs, each as in lists. Where there are more than limit, those nearest to the task are told.",
			params:      []param{taskPrefix, {name: "limit", in: "query", kind: "integer", least: 1, most: treeMost, otherwise: treeListed, doc: "tasks in all"}},
			codes:       named, answers: []answer{{status: http.StatusOK, doc: "the tree", body: api.TaskTree{}}}},
	}
}
