package client

import (
	"context"
	"errors"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// patience is how long a stream or a wait goes on without a server that was there and is gone.
const patience = 2 * time.Minute

// persistence is how a stream outlasts a server that goes away: backing off, and
// giving up when it has met nobody for a while. A server never met is not waited for.
type persistence struct {
	seen  time.Time
	delay time.Duration
}

func newPersistence() *persistence { return &persistence{} }

func (p *persistence) met() { p.seen, p.delay = time.Now(), 0 }

// again waits, and says whether to try again after err.
func (p *persistence) again(ctx context.Context, err error) bool {
	var e *task.Error
	gone := errors.As(err, &e) && (e.Code == CodeUnreachable || e.Code == task.CodeStoreUnavailable)
	if !gone || p.seen.IsZero() || time.Since(p.seen) > patience || ctx.Err() != nil {
		return false
	}
	p.delay = min(max(2*p.delay, 100*time.Millisecond), 5*time.Second)
	return sleep(ctx, max(p.delay, min(e.RetryAfter, 10*time.Second)))
}
