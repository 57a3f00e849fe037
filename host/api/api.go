package api

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// Options are how the API is served. The zero value is a loopback server that is
// open to its machine.
type Options struct {
	// Version is told at /version and in the OpenAPI document.
	Version string
	// Log gets failures of ours and refused requests; nil discards them.
	Log *slog.Logger
	// Tokens are who may call. Without any, whoever reaches the server is the
	// admin of owner "default": listen on loopback only then.
	Tokens []Token
	// Hosts are names besides loopback's that a Host header may carry while there
	// are no tokens.
	Hosts []string
	// MaxBody bounds a request of one task, MaxBatch one of many; in bytes.
	// 0: 2 MiB and 64 MiB.
	MaxBody, MaxBatch int64
	// BodyTimeout bounds how long a body may take to arrive, WriteTimeout how long
	// a client may take to read what is written to it. 0: 30 s each.
	BodyTimeout, WriteTimeout time.Duration
	// Heartbeat is how often a silent event stream says that it is there. 0: 15 s.
	Heartbeat time.Duration
	// MaxWait bounds how long a request is held. 0: 5 minutes.
	MaxWait time.Duration
}

// Token lets its bearer act in a scope.
type Token struct {
	Secret string
	Scope  task.Scope
}

func (o *Options) defaults() {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.MaxBody <= 0 {
		o.MaxBody = 2 << 20
	}
	if o.MaxBatch <= 0 {
		o.MaxBatch = 64 << 20
	}
	for _, d := range []struct {
		at *time.Duration
		to time.Duration
	}{{&o.BodyTimeout, 30 * time.Second}, {&o.WriteTimeout, 30 * time.Second}, {&o.Heartbeat, 15 * time.Second}, {&o.MaxWait, 5 * time.Minute}} {
		if *d.at <= 0 {
			*d.at = d.to
		}
	}
}

type api struct {
	svc   Service
	opts  Options
	mux   *http.ServeMux
	guard guard
	// openAPI is made once. That it cannot be made would be a mistake of this
	// package, and no reason to serve nothing.
	openAPI    []byte
	openAPIErr error
}

// New serves svc.
func New(svc Service, opts Options) http.Handler {
	opts.defaults()
	a := &api{svc: svc, opts: opts, mux: http.NewServeMux(), guard: newGuard(opts)}
	routes := a.routes()
	a.openAPI, a.openAPIErr = describe(routes, opts.Version)
	for _, rt := range routes {
		a.mux.Handle(rt.method+" "+rt.path, a.handler(rt))
	}
	a.mux.HandleFunc("/", a.unknown)
	return a
}

// ServeHTTP guards every request against panics and against whom the API is not for.
func (a *api) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	sw := &startedWriter{ResponseWriter: w}
	defer func() {
		v := recover()
		if v == nil {
			return
		}
		if err, ok := v.(error); ok && errors.Is(err, http.ErrAbortHandler) {
			panic(v)
		}
		a.opts.Log.LogAttrs(r.Context(), slog.LevelError, "panic in a request", slog.String("method", r.Method),
			slog.String("path", r.URL.Path), slog.Any("panic", v), slog.String("stack", string(debug.Stack())))
		if sw.started {
			panic(http.ErrAbortHandler) // half an answer must not look like a whole one
		}
		p, _ := ProblemOf(errors.New("panic"))
		a.problem(sw, p, 0)
	}()
	if err := a.guard.check(r); err != nil {
		a.fail(sw, r, err)
		return
	}
	a.mux.ServeHTTP(sw, r)
}

// startedWriter knows whether the answer has begun.
type startedWriter struct {
	http.ResponseWriter
	started bool
}

func (w *startedWriter) WriteHeader(status int) {
	w.started = true
	w.ResponseWriter.WriteHeader(status)
}

func (w *startedWriter) Write(p []byte) (int, error) {
	w.started = true
	return w.ResponseWriter.Write(p)
}

// Unwrap is for http.ResponseController.
func (w *startedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// handlerFunc answers a request of a caller; an error is answered as a problem.
type handlerFunc func(w http.ResponseWriter, r *http.Request, s task.Scope) error

func (a *api) handler(rt route) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		var scope task.Scope
		var err error
		if !rt.open {
			scope, err = a.guard.caller(r)
		}
		if err == nil {
			err = rt.handle(w, r, scope)
		}
		switch {
		case err == nil, errors.Is(err, errGone):
		case w.(*startedWriter).started:
			a.opts.Log.LogAttrs(r.Context(), slog.LevelError, "answer broken off", slog.String("path", r.URL.Path), slog.Any("error", err))
			panic(http.ErrAbortHandler)
		default:
			a.fail(w, r, err)
		}
	}
}

// unknown answers what no route matches: 405 if the path is one of ours.
func (a *api) unknown(w http.ResponseWriter, r *http.Request) {
	var allow []string
	for _, m := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		probe := &http.Request{Method: m, URL: r.URL, Host: r.Host}
		if _, pattern := a.mux.Handler(probe); strings.HasPrefix(pattern, m+" ") {
			allow = append(allow, m)
			if m == http.MethodGet {
				allow = append(allow, http.MethodHead)
			}
		}
	}
	if len(allow) == 0 {
		a.fail(w, r, task.Errorf(task.CodeNotFound, "there is nothing at %s: see /openapi.json for what there is", r.URL.Path))
		return
	}
	slices.Sort(allow)
	w.Header().Set("Allow", strings.Join(allow, ", "))
	if r.Method == http.MethodOptions {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	a.fail(w, r, task.Errorf(codeMethodNotAllowed, "%s does not take %s, but %s", r.URL.Path, r.Method, strings.Join(allow, ", ")))
}

// held is a context that ends with the request, with the server's shutdown, or
// after d: held requests must not keep a server from stopping.
func held(r *http.Request, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithTimeout(r.Context(), d)
	stop := func() bool { return false }
	if closing, ok := r.Context().Value(closingKey{}).(context.Context); ok {
		stop = context.AfterFunc(closing, cancel)
	}
	return ctx, func() { stop(); cancel() }
}
