package sdk

import (
	"context"
	"slices"
	"sync"
	"time"
)

// An AttemptContext is the context of one attempt, for whoever runs executors and never has two attempts of one
// token at a time. The zero value has begun; End it when the attempt is over. It is below no other, which would
// keep a list of thousands, and costs little where a script does not look at it: what contexts of the standard
// library have is made when somebody asks for it.
type AttemptContext struct {
	mu       sync.Mutex
	standard context.Context // made when first asked for
	cancel   context.CancelCauseFunc
	ended    bool
	cause    error // of the end
	atEnd    []*func()
	timeout  *time.Timer // nil before Limit
	deadline time.Time   // zero before Limit
}

// made is the context of the standard library's that ends with this one.
func (c *AttemptContext) made() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.standard == nil {
		c.standard, c.cancel = context.WithCancelCause(context.Background())
		if c.ended {
			c.cancel(c.cause)
		}
	}
	return c.standard
}

// Done is closed when the context ends.
func (c *AttemptContext) Done() <-chan struct{} { return c.made().Done() }

// Value knows what context.Cause asks for, and nothing else.
func (c *AttemptContext) Value(key any) any { return c.made().Value(key) }

// Err is context.Canceled once the context has ended.
func (c *AttemptContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		return context.Canceled
	}
	return nil
}

// End ends the context. Of many ends the first one's cause counts. An attempt that is over ends without one, and
// with that its limit; one that is told to stop may still be late.
func (c *AttemptContext) End(cause error) {
	c.mu.Lock()
	if !c.ended {
		c.ended = true
		c.cause = cause
	}
	if cause == nil && c.timeout != nil {
		c.timeout.Stop()
	}
	cancel, first, atEnd := c.cancel, c.cause, c.atEnd
	c.atEnd = nil
	c.mu.Unlock()
	if cancel != nil {
		cancel(first)
	}
	for _, f := range atEnd {
		go (*f)()
	}
}

// Limit has late called, in a goroutine of its own, when timeout has passed; that is to end the context with
// ErrTimeout, and nil does. The context tells its deadline from now on. It is limited once at the most.
func (c *AttemptContext) Limit(timeout time.Duration, late func()) {
	if late == nil {
		late = func() { c.End(ErrTimeout) }
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.deadline = time.Now().Add(timeout)
	c.timeout = time.AfterFunc(timeout, late)
}

// Unlimit takes back what Limit said, but for the deadline that is told. It does not wait for a late that has begun.
func (c *AttemptContext) Unlimit() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.timeout != nil {
		c.timeout.Stop()
	}
}

// Deadline is when the attempt times out, if it is limited.
func (c *AttemptContext) Deadline() (at time.Time, ok bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.deadline, !c.deadline.IsZero()
}

// AfterFunc is context.AfterFunc for this context. See the function of that name for one of any kind.
func (c *AttemptContext) AfterFunc(f func()) (stop func() bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended {
		go f()
		return func() bool { return false }
	}
	c.atEnd = append(c.atEnd, &f)
	return func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		i := slices.Index(c.atEnd, &f)
		if i < 0 {
			return false
		}
		c.atEnd = slices.Delete(c.atEnd, i, i+1)
		return true
	}
}

// AfterFunc is context.AfterFunc, for executors of attempts that run elsewhere: an attempt's context
// keeps by itself what is to be done when it ends, which takes half of the time.
func AfterFunc(ctx context.Context, f func()) (stop func() bool) {
	if own, ok := ctx.(interface{ AfterFunc(f func()) func() bool }); ok {
		return own.AfterFunc(f)
	}
	return context.AfterFunc(ctx, f)
}
