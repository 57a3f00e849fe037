package server

import (
	"net/http"

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
	open         bool // to callers without a token
	params       []param
	body         any // a value of the request's type; nil for none
	answers      []answer
	codes        []task.Code // besides those of every route
	handle       handlerFunc
}

// param is a query parameter or a header.
type param struct {
	name, in, doc, kind string // kind: a JSON type, "date-time", "strings", or "state"
	enum                []string
}

// answer is what a route says when all is well.
type answer struct {
	status  int
	doc     string
	body    any    // a value of the answer's type; nil for none
	media   string // of a body that is no JSON
	headers []param
}
