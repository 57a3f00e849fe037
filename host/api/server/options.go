package server

import (
	"log/slog"
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

func (o *Options) setDefaults() {
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
