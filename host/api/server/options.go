package server

import (
	"log/slog"
	"time"

	"github.com/taskhost/taskhost/host/identity"
)

// Options are how the API is served. The zero value is a loopback server that is
// open to its machine.
type Options struct {
	// Version is told at /version and in the OpenAPI document.
	Version string
	// Log gets failures of ours and refused requests; nil discards them.
	Log *slog.Logger
	// Access says who calls. Without it, whoever reaches the server is its admin: listen on
	// loopback only then.
	Access *identity.Access
	// Hosts are names besides loopback's that the Host header of a request may carry which
	// does not say who sent it.
	Hosts []string
	// MaxBody says how many bytes the body of a request for one task may have; it is asked
	// for each, since a reload may change it. nil: 2 MiB.
	MaxBody func() int64
	// MaxBatch bounds the body of a batch, and the result that a worker puts, in bytes.
	// 0: 64 MiB.
	MaxBatch int64
	// BodyTimeout bounds how long a body may take to arrive. 0: 30 s.
	BodyTimeout time.Duration
	// WriteTimeout bounds how long a client may take to read what is written to it;
	// of a large answer or a stream, each piece. 0: 30 s.
	WriteTimeout time.Duration
	// Heartbeat is how often a silent event stream says that it is there. 0: 15 s.
	Heartbeat time.Duration
	// MaxWait bounds how long a request waits for its task to be final. 0: 5 minutes.
	MaxWait time.Duration
}

func (o *Options) setDefaults() {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.MaxBody == nil {
		o.MaxBody = func() int64 { return 2 << 20 }
	}
	o.MaxBatch = orDefault(o.MaxBatch, 64<<20)
	o.BodyTimeout = orDefault(o.BodyTimeout, 30*time.Second)
	o.WriteTimeout = orDefault(o.WriteTimeout, 30*time.Second)
	o.Heartbeat = orDefault(o.Heartbeat, 15*time.Second)
	o.MaxWait = orDefault(o.MaxWait, 5*time.Minute)
}

func orDefault[T int64 | time.Duration](v, otherwise T) T {
	if v <= 0 {
		return otherwise
	}
	return v
}
