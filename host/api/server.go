package api

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// closingKey is where a request finds the context that ends with the server.
type closingKey struct{}

// Server serves h with the timeouts that keep slow clients from holding it. Its
// Shutdown ends held requests and event streams, and lets others finish. Log gets
// what net/http has to say; nil discards it.
func Server(h http.Handler, log *slog.Logger) *http.Server {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	closing, end := context.WithCancel(context.Background())
	s := &http.Server{
		Handler: h,
		// The head of a request must be here in 10 s; bodies and answers have
		// deadlines of their own, by route: see readBody and writeBy.
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
