package client

import (
	"context"
	"errors"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// patience is how long a stream or a wait goes on without a server that was there and is gone.
const patience = 2 * time.Minute

// reconnect is how a stream or a wait outlasts a server that goes away: it backs off,
// and gives up when it has met no server for as long as its patience lasts. A server
// that its client never met is not waited for. It is for one caller.
type reconnect struct {
	client *Client
	// goneSince is when the server was first missed; zero while it is there.
	goneSince time.Time
	delay     time.Duration
}

// connected is to be called whenever the server says anything.
func (r *reconnect) connected() {
	r.goneSince = time.Time{}
	r.delay = 0
}

// wait waits until it is time to try again after err; false says to give up.
func (r *reconnect) wait(ctx context.Context, err error) bool {
	var e *task.Error
	gone := errors.As(err, &e) && (e.Code == CodeUnreachable || e.Code == task.CodeStoreUnavailable)
	if !gone || !r.client.met.Load() || ctx.Err() != nil {
		return false
	}
	if r.goneSince.IsZero() {
		r.goneSince = time.Now()
	}
	if time.Since(r.goneSince) > patience {
		return false
	}
	r.delay = min(max(2*r.delay, 100*time.Millisecond), 5*time.Second)
	return sleep(ctx, max(r.delay, min(e.RetryAfter, 10*time.Second)))
}

// Outlast calls read until it succeeds, or fails for another reason than that the server
// is away, as it is while it restarts: for two minutes at the most, and not at all if
// this client never had an answer from it. It is for what may be asked twice.
func (c *Client) Outlast(ctx context.Context, read func() error) error {
	r := reconnect{client: c}
	for {
		err := read()
		if err == nil || !r.wait(ctx, err) {
			return err
		}
	}
}
