package load

import (
	"context"
	"time"
)

// Clients is how many submit at the same time.
const Clients = 64

// Poll is how often those look for work that have to look: the same for all.
const Poll = 5 * time.Millisecond

// About is what a reader of figures must know of a peer.
type About struct {
	// Name is short, and the peer's key in the figures.
	Name string `json:"name"`
	// Version is of the library, and of the server under it.
	Version string `json:"version"`
	// Settings are what was set other than by default, and why.
	Settings string `json:"settings"`
	// Batch says how a hundred jobs are submitted.
	Batch string `json:"batch"`
	// OnDisk is what is on the disk when a submit is answered.
	OnDisk string `json:"on_disk"`
	// Stored is what is on record of a job that is done, by which its end is told.
	Stored string `json:"stored"`
}

// A Peer has jobs done. Opening it starts the servers that it needs.
type Peer struct {
	// Name is About's.
	Name string
	// Open makes a queue on fresh servers that keep all they have in dir. Each job calls
	// done with its number when it runs. No workers run yet.
	Open func(ctx context.Context, dir string, done func(job int64)) (Queue, error)
}

// A Queue is an open peer.
type Queue interface {
	// About says what it is.
	About() About
	// Submit hands in the jobs first to first+count-1, and returns once the peer has said that
	// it has them. It is called from many goroutines.
	Submit(ctx context.Context, first int64, count int) error
	// Work starts the workers; stop ends them in good order, and returns when they are gone.
	Work(ctx context.Context) (stop func() error, err error)
	// Unfinished says whether some job is not on record as done. It is asked every millisecond
	// at the end of a measurement, and must be cheap.
	Unfinished(ctx context.Context) (bool, error)
	// Finished counts the jobs that are on record as done since the queue was opened, of
	// submitted ones. It may be slow. No workers run.
	Finished(ctx context.Context, submitted int64) (int64, error)
	// RoundTrip submits one job and returns how long it took until a client sees its end on
	// record. Workers run, and have nothing else to do.
	RoundTrip(ctx context.Context, job int64) (time.Duration, error)
	// Close ends the queue and its servers.
	Close() error
}
