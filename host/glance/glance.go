// Package glance serves the tasks of a host at /v2/tasks, as OpenStack's image service
// (Glance) serves its own: for clients and scripts that were written for that. It is a view:
// the tasks are those of /v1, and what it serves of them follows Glance 25.1 key by key, its
// oddities included. docs/glance.md has what differs.
package glance

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/taskhost/taskhost/host/identity"
	"github.com/taskhost/taskhost/host/task"
)

// Service is the life of tasks, as host/engine provides it. Errors carry the codes of host/task.
type Service interface {
	// Submit accepts all specs or none, durably when it returns.
	Submit(ctx context.Context, s task.Scope, specs []task.Spec, idem *task.Idempotency) (tasks []task.Task, replayed bool, err error)
	// Get reads a task whole; not_found if there is none within the scope.
	Get(ctx context.Context, s task.Scope, id task.ID) (task.Task, error)
	// List reads one page, without inputs and results.
	List(ctx context.Context, s task.Scope, f task.Filter) (task.Page, error)
	// Types are all task types, by name.
	Types(s task.Scope) []task.TypeStatus
}

// Settings are the operator's word, in Glance's terms.
type Settings struct {
	// MembersToo opens the tasks to who is no admin: members see and make their project's own.
	MembersToo bool
	// TimeToLive is how long a task is kept after its end. 0: as its type says.
	TimeToLive time.Duration
	// AllowedSchemes are those of the URLs that may be imported from. None: http and https.
	AllowedSchemes []string
	// AllowedHosts are all hosts that may be imported from; none: any but DisallowedHosts.
	AllowedHosts, DisallowedHosts []string
}

// Options are what a Handler is made of.
type Options struct {
	Settings
	Service Service
	// Caller tells who sent a request; its error has the code unauthenticated or forbidden.
	Caller func(*http.Request) (identity.Caller, error)
	// Note is told of every task that was submitted, for the audit. It may be nil.
	Note func(*http.Request, identity.Caller, string)
	// MaxBody bounds the body of a request, in bytes; it is asked for each.
	MaxBody func() int64
	// NewID makes the id of a request.
	NewID func() (task.ID, error)
	// Next serves every other path.
	Next http.Handler
}

// Handler serves Glance's paths, and hands all others on.
type Handler struct{ opts Options }

// NewHandler makes a Handler. It may be used from many goroutines.
func NewHandler(o Options) *Handler {
	if len(o.AllowedSchemes) == 0 {
		o.AllowedSchemes = []string{"http", "https"}
	}
	return &Handler{opts: o}
}

// request is one request with what is known of it.
type request struct {
	*http.Request
	id  string // of the request, as OpenStack writes them
	who identity.Caller
}

// url is where the client that sent the request finds a path of this server.
func (r *request) url(path string) string {
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	return (&url.URL{Scheme: scheme, Host: r.Host, Path: path}).String()
}

// answerFunc answers a request of somebody who may make it.
type answerFunc func(w http.ResponseWriter, r *request) error

// route is a path with what its methods do.
type route struct {
	open    bool // to who does not say who they are
	methods map[string]answerFunc
	// refusal is what is said of a method that is not there; "" is the usual.
	refusal string
}

const (
	tasksPath   = "/v2/tasks"
	schemasPath = "/v2/schemas/"
)

// find is the route of a path; nil if it is none of Glance's.
func (h *Handler) find(path string) *route {
	get := func(f answerFunc) *route { return &route{methods: map[string]answerFunc{http.MethodGet: f}} }
	switch {
	case path == "/" || path == "/versions" || path == "/v2" || path == "/v2/":
		return &route{open: true, methods: map[string]answerFunc{http.MethodGet: h.versions}}
	case path == tasksPath:
		return &route{methods: map[string]answerFunc{http.MethodGet: h.list, http.MethodPost: h.create}}
	case strings.HasPrefix(path, tasksPath+"/") && !strings.Contains(path[len(tasksPath)+1:], "/") && len(path) > len(tasksPath)+1:
		return &route{methods: map[string]answerFunc{http.MethodGet: h.get}, refusal: "A task is not deleted or changed by its clients: it is deleted at its expires_at."}
	case strings.HasPrefix(path, schemasPath):
		if doc := h.schema(path[len(schemasPath):]); doc != nil {
			return get(func(w http.ResponseWriter, _ *request) error { return writeJSON(w, http.StatusOK, doc()) })
		}
	case strings.HasPrefix(path, "/v2/images/") && strings.HasSuffix(path, "/tasks") && strings.Count(path, "/") == 4:
		return get(h.listOfImage)
	}
	if strings.HasPrefix(path, "/v2/") {
		return &route{}
	}
	return nil
}

// ServeHTTP serves a request, or hands it on.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	found := h.find(r.URL.Path)
	if found == nil {
		h.opts.Next.ServeHTTP(w, r)
		return
	}
	own := &request{Request: r, id: "req-"}
	if id, err := h.opts.NewID(); err == nil {
		own.id += id.String()
	}
	w.Header().Set("X-Openstack-Request-Id", own.id)
	if err := h.answer(w, own, found); err != nil {
		writeError(w, own, err)
	}
}

func (h *Handler) answer(w http.ResponseWriter, r *request, found *route) (err error) {
	if !found.open {
		if r.who, err = h.opts.Caller(r.Request); err != nil {
			return err
		}
	}
	if len(found.methods) == 0 {
		return fault(http.StatusNotFound, "The resource could not be found.")
	}
	do := found.methods[r.Method]
	if do == nil {
		var allow []string
		for m := range found.methods {
			allow = append(allow, m)
		}
		slices.Sort(allow)
		w.Header().Set("Allow", strings.Join(allow, ", "))
		said := found.refusal
		if said == "" {
			said = "The method " + r.Method + " is not allowed for this resource."
		}
		return fault(http.StatusMethodNotAllowed, "%s", said)
	}
	return do(w, r)
}

// everyone is the scope in which types are named.
var everyone = task.Scope{All: true}

// mayUseTasks refuses whom the operator has not opened the tasks to.
func (h *Handler) mayUseTasks(r *request, least identity.Role) error {
	if !h.opts.MembersToo {
		least = identity.Admin
	}
	if !r.who.Role.May(least) {
		return fault(http.StatusForbidden, "You are not authorized to complete tasks_api_access action.")
	}
	return nil
}
