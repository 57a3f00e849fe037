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
// that it never met is not waited for. The zero value is ready; it is for one caller.
type reconnect struct {
	// lastContact is when the server last said anything; zero if it never did.
	lastContact time.Time
	delay       time.Duration
}

// connected is to be called whenever the server says anything.
func (r *reconnect) connected() {
	r.lastContact = time.Now()
	r.delay = 0
}

// wait waits until it is time to try again after err; false says to give up.
func (r *reconnect) wait(ctx context.Context, err error) bool {
	var e *task.Error
	gone := errors.As(err, &e) && (e.Code == CodeUnreachable || e.Code == task.CodeStoreUnavailable)
	if !gone || r.lastContact.IsZero() || time.Since(r.lastContact) > patience || ctx.Err() != nil {
		return false
	}
	r.delay = min(max(2*r.delay, 100*time.Millisecond), 5*time.Second)
	return sleep(ctx, max(r.delay, min(e.RetryAfter, 10*time.Second)))
}
