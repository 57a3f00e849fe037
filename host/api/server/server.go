// Package server serves /v1 over HTTP: the routes, the guards before them, event and
// log streams, the one table from error codes to statuses, and the OpenAPI document
// made from the same list of routes that are served.
//
// The handlers are plain net/http: huma describes them (types to schemas, routes
// to operations) but does not run them. Its errors have another shape, which can
// be changed only by a package variable; its decoder takes names whatever their
// case and the last of two equal ones. That a submit is a little cheaper without
// it (BenchmarkSubmit) was not the reason.
//
// The files stand on one another: what reads and writes HTTP and JSON at the bottom
// (scan, faults, query, media, body, answer, problem, refusals, stream), the domain's
// types as clients see them beside it (task_view, registry_view), on these the handlers,
// a file a noun, and on top the routes, their description (openapi, with openapi_problems
// and openapi_schemas) and the mux.
package server

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// closingKey is where a request finds the context that ends with the server.
type closingKey struct{}

// Server is an HTTP server with the timeouts that keep slow clients from holding it, and
// all of whose errors are problems, those of net/http too. Make one with New.
type Server struct{ http http.Server }

// New makes a server of h, which NewHandler made. log gets what net/http has to say; nil
// discards it.
func New(h http.Handler, log *slog.Logger) *Server {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	closing, end := context.WithCancel(context.Background())
	s := &Server{http: http.Server{
		Handler: markHandled(h),
		// The head of a request must be here in 10 s; bodies and answers have
		// deadlines of their own, by route: see readBody and extendWriteDeadline.
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    maxHead,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context {
			return context.WithValue(context.Background(), closingKey{}, closing)
		},
		ConnContext: withConn,
		ConnState:   markIdle,
	}}
	s.http.RegisterOnShutdown(end)
	return s
}

// Serve answers the connections of l until Shutdown or Close, and returns
// http.ErrServerClosed then. It closes l.
func (s *Server) Serve(l net.Listener) error { return s.http.Serve(refusalListener{l}) }

// Shutdown ends held requests and event streams, lets others finish until ctx ends, and
// takes no new ones. ctx's error says that some were left.
func (s *Server) Shutdown(ctx context.Context) error { return s.http.Shutdown(ctx) }

// Close cuts all connections.
func (s *Server) Close() error { return s.http.Close() }
