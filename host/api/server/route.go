package server

import (
	"maps"
	"net/http"
	"slices"

	"github.com/taskhost/taskhost/host/identity"
	"github.com/taskhost/taskhost/host/task"
)

// handlerFunc answers a request of a caller. An error is answered as a problem if
// the answer has not begun, and otherwise breaks the connection off.
type handlerFunc func(w http.ResponseWriter, r *http.Request, s task.Scope) error

// route is one entry of the API: what is served and what is said of it. Both
// come from here, so that neither can lack what the other has.
type route struct {
	// path is as for http.ServeMux. A last {name...} takes all that is left, which is how a
	// value is found that is nothing but a slash.
	method, path string
	id           string // of the operation
	tag          string
	summary      string
	description  string
	open         bool          // to callers who do not say who they are
	spawns       bool          // to running attempts, too, by their tokens: for children of their tasks
	role         identity.Role // that a caller needs at the least; "": viewer to read, member to change
	quiet        bool          // the audit does not tell of it, though it changes something
	params       []param       // those of the path, too
	body         any           // a value of the request's type; nil for none
	bodyDoc      string        // of a body that is no JSON of ours, and may be any bytes
	answers      []answer
	codes        []task.Code // of the problems that it may answer with, besides those of every route
	handle       handlerFunc
}

// reads says that a route changes nothing.
func (rt *route) reads() bool { return rt.method == http.MethodGet }

// needs is the role that a caller needs at the least.
func (rt *route) needs() identity.Role {
	switch {
	case rt.role != "":
		return rt.role
	case rt.reads():
		return identity.Viewer
	}
	return identity.Member
}

// checkQuery refuses a query that cannot be read, and parameters that the route does not have:
// what is mistyped, or is no part of this request (POST /v1/actions?dry_run=true), must not be
// without effect.
func (rt *route) checkQuery(r *http.Request) error {
	if r.URL.RawQuery == "" {
		return nil
	}
	q := newQuery(r)
	for _, name := range slices.Sorted(maps.Keys(q.values)) {
		if !slices.ContainsFunc(rt.params, func(p param) bool { return p.in == "query" && p.name == name }) {
			q.bad.add(place{name}, "%q is not a query parameter of this route", name)
		}
	}
	return q.err()
}

// answer has the handler answer what the route takes.
func (rt *route) answer(w http.ResponseWriter, r *http.Request, s task.Scope) error {
	if err := rt.checkQuery(r); err != nil {
		return err
	}
	return rt.handle(w, r, s)
}

// param is a parameter of a request, or a header of an answer.
type param struct {
	name, in, doc string
	kind          string   // a JSON type, "date-time", "uuid", "strings", or "states"
	enum          []string // of a string
	pattern       string   // of a string
	least, most   int      // of an integer, or of a string's length; 0 for no bound
	otherwise     any      // what absence means
	flag          bool     // a boolean that may stand without a value
	always        bool     // a header that every such answer has
}

// answer is what a route says when all is well.
type answer struct {
	status  int
	doc     string
	body    any    // a value of the answer's type; nil for none
	media   string // of a body that is not of type application/json
	content string // what is in a body that has no type
	headers []param
}
