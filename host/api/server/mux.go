package server

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"path"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/taskhost/taskhost/host/api"
	"github.com/taskhost/taskhost/host/identity"
	"github.com/taskhost/taskhost/host/task"
)

// mux is the whole API as one http.Handler. It lets nobody through whom the API is
// not for, hands each request to the handler of its route, and answers for a
// handler that fails or panics.
type mux struct {
	handlers *handlers
	guard    guard
	routes   *http.ServeMux
	log      *slog.Logger
}

// NewHandler serves svc under the routes of /v1. It may be used from many
// goroutines, and is best served by New: streams and held requests rely on its
// timeouts, and end with its Shutdown.
func NewHandler(svc Service, opts Options) http.Handler {
	opts.setDefaults()
	h := &handlers{svc: svc, opts: opts}
	m := &mux{handlers: h, guard: newGuard(opts), routes: http.NewServeMux(), log: opts.Log}
	routes := h.routes()
	h.openAPI, h.openAPIErr = describe(routes, opts.Version)
	for i := range routes {
		rt := &routes[i]
		m.routes.Handle(rt.method+" "+rt.path, m.handle(rt))
	}
	m.routes.HandleFunc("/", m.unknown)
	return m
}

// ServeHTTP guards every request against panics and against whom the API is not for.
func (m *mux) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	sw := &startedWriter{ResponseWriter: w}
	giveRequestID(sw, r)
	if m.log.Enabled(r.Context(), slog.LevelDebug) {
		began := time.Now()
		defer func() {
			m.log.LogAttrs(r.Context(), slog.LevelDebug, "request", requestAttrs(r, sw, time.Since(began))...)
		}()
	}
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			panic(v)
		}
		m.log.LogAttrs(r.Context(), slog.LevelError, "panic in a request", slog.String("method", r.Method),
			slog.String("path", loggedPath(r)), slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
		if sw.started {
			panic(http.ErrAbortHandler) // half an answer must not look like a whole one
		}
		p, _ := problemOf(errors.New("panic"))
		m.handlers.writeProblem(sw, p, 0)
	}()
	if err := m.guard.check(r); err != nil {
		m.handlers.fail(sw, r, err)
		return
	}
	if err := checkPath(r); err != nil {
		m.handlers.fail(sw, r, err)
		return
	}
	m.routes.ServeHTTP(sw, r)
}

// checkPath refuses what http.ServeMux would answer by itself, and in no problem: the
// path * of OPTIONS, and paths that it would redirect to others. A path with an empty part
// most often lacks the name that was to stand there, and another answer than the one
// asked for (the list of tasks, for the task whose id is "") is worse than none.
func checkPath(r *http.Request) error {
	if r.RequestURI == "*" {
		return task.Errorf(task.CodeInvalidRequest, "* is no path: OPTIONS takes it, %s does not", r.Method)
	}
	if p := r.URL.EscapedPath(); !strings.HasPrefix(p, "/") || p != path.Clean(p) {
		return task.Errorf(task.CodeNotFound, "there is nothing at %q: a path has no empty part, no part . or .., and no / at its end; see /openapi.json for what there is", p)
	}
	return nil
}

// handle makes of a route what net/http can serve: it finds out who calls and whether they
// may, and turns an error into the answer.
func (m *mux) handle(rt *route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		sw := w.(*startedWriter)
		err := m.serve(rt, sw, r)
		switch {
		case err == nil, errors.Is(err, errClientGone):
		case sw.started:
			m.log.LogAttrs(r.Context(), slog.LevelError, "answer broken off", slog.String("path", loggedPath(r)), slog.Any("error", err))
			panic(http.ErrAbortHandler)
		default:
			m.handlers.fail(w, r, err)
		}
	}
}

// serve has a route's handler answer, if the caller may ask.
func (m *mux) serve(rt *route, w *startedWriter, r *http.Request) (err error) {
	if rt.open {
		return rt.answer(w, r, task.Scope{})
	}
	if rt.spawns && secretOf(r) != "" && m.handlers.byAttempt(r) == nil { // what it submits is for the handler to look at
		return rt.answer(w, asAttempt(r), task.Scope{})
	}
	who := &w.caller
	if *who, err = m.guard.caller(r); err != nil {
		return err
	}
	if err := who.Require(rt.needs()); err != nil {
		m.note(rt, w, r, http.StatusForbidden)
		return err
	}
	own, end := as(r, who)
	defer end()
	err = rt.answer(w, own, who.Scope())
	if err != nil && r.Context().Err() == nil && own.Context().Err() != nil && errors.Is(err, own.Context().Err()) {
		return task.Errorf(task.CodeUnauthenticated, "the token was revoked, or has expired, while the request was held")
	}
	if err == nil && w.status < http.StatusBadRequest {
		m.note(rt, w, r, w.status)
	}
	return err
}

// note has a change written down, as it was answered. On a host that nobody has to say
// who they are to, there is nothing to say.
func (m *mux) note(rt *route, w *startedWriter, r *http.Request, status int) {
	a := m.guard.access
	if rt.reads() || rt.quiet || a == nil || !a.Guarded() {
		return
	}
	who := &w.caller
	e := identity.Event{Name: who.Name, Owner: who.Owner, Role: who.Role, By: who.By, Token: who.Token, Address: AddressOf(r).String(),
		RequestID: requestIDOf(w), Action: rt.id, Target: loggedPath(r), Status: status}
	if err := a.Note(context.WithoutCancel(r.Context()), e); err != nil {
		m.log.LogAttrs(r.Context(), slog.LevelError, "a change is missing in the audit", slog.String("path", loggedPath(r)), slog.Any("error", err))
	}
}

// unknown answers what no route matches: 405 if the path is one of ours.
func (m *mux) unknown(w http.ResponseWriter, r *http.Request) {
	var allow []string
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		probe := &http.Request{Method: method, URL: r.URL, Host: r.Host}
		if _, pattern := m.routes.Handler(probe); strings.HasPrefix(pattern, method+" ") {
			allow = append(allow, method)
			if method == http.MethodGet {
				allow = append(allow, http.MethodHead)
			}
		}
	}
	if len(allow) == 0 {
		m.handlers.fail(w, r, task.Errorf(task.CodeNotFound, "there is nothing at %s: see /openapi.json for what there is", r.URL.Path))
		return
	}
	slices.Sort(allow)
	w.Header().Set("Allow", strings.Join(allow, ", "))
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	m.handlers.fail(w, r, task.Errorf(api.CodeMethodNotAllowed, "%s does not take %s, but %s", r.URL.Path, r.Method, strings.Join(allow, ", ")))
}
