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
// (scan, faults, query, media, body, answer, problem, stream), the domain's types as
// clients see them beside it (task_view, registry_view), on these the handlers, a
// file a noun, and on top the routes, their description and the mux.
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

// New makes a server of h, which NewHandler made, with the timeouts that keep slow
// clients from holding it. Its Shutdown ends held requests and event streams, and
// lets others finish. log gets what net/http has to say; nil discards it.
func New(h http.Handler, log *slog.Logger) *http.Server {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	closing, end := context.WithCancel(context.Background())
	s := &http.Server{
		Handler: h,
		// The head of a request must be here in 10 s; bodies and answers have
		// deadlines of their own, by route: see readBody and extendWriteDeadline.
		ReadHeaderTimeout: 10 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context {
			return context.WithValue(context.Background(), closingKey{}, closing)
		},
	}
	s.RegisterOnShutdown(end)
	return s
}
