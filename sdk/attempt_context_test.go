package sdk

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"
)

// What is to be done when an attempt's context ends is done once, unless it was taken back, whoever keeps it.
func TestAfterFunc(t *testing.T) {
	for name, begin := range map[string]func() (context.Context, func(error)){
		"an attempt's": func() (context.Context, func(error)) {
			c := &AttemptContext{}
			return c, c.End
		},
		"another": func() (context.Context, func(error)) {
			c, end := context.WithCancelCause(context.Background())
			return c, end
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, end := begin()
			causes := make(chan error, 10)
			tell := func() { causes <- context.Cause(ctx) }
			stopFirst := AfterFunc(ctx, tell)
			stopSecond := AfterFunc(ctx, func() { causes <- errors.New("it was taken back") })
			AfterFunc(ctx, tell)
			if !stopSecond() || stopSecond() {
				t.Error("it is taken back once")
			}
			end(ErrPause)
			end(ErrCancel)
			stopLate := AfterFunc(ctx, tell)
			if stopFirst() || stopLate() {
				t.Error("what has begun was taken back")
			}
			for range 3 {
				if cause := <-causes; !errors.Is(cause, ErrPause) {
					t.Error(cause)
				}
			}
			if len(causes) > 0 {
				t.Error("a call too many:", <-causes)
			}
		})
	}
}

// A limit ends the context with its cause, is told as its deadline, and ends with the attempt, but not with what
// it is asked.
func TestLimit(t *testing.T) {
	c := &AttemptContext{}
	if _, ok := c.Deadline(); ok {
		t.Error("a deadline without a limit")
	}
	c.Limit(time.Millisecond, nil)
	at, ok := c.Deadline()
	if !ok || time.Until(at) > time.Millisecond {
		t.Error(at, ok)
	}
	<-c.Done()
	if cause := context.Cause(c); !errors.Is(cause, ErrTimeout) || time.Now().Before(at) {
		t.Error(cause, time.Until(at))
	}
	below, cancel := context.WithTimeout(c, time.Hour)
	defer cancel()
	if !errors.Is(context.Cause(below), ErrTimeout) {
		t.Error(context.Cause(below))
	}

	asked, late := &AttemptContext{}, make(chan struct{})
	asked.End(ErrPause)
	asked.Limit(time.Millisecond, func() { close(late) })
	<-late

	over, unlimited := &AttemptContext{}, &AttemptContext{}
	for _, c := range []*AttemptContext{over, unlimited} {
		c.Limit(20*time.Millisecond, func() { t.Error("late, though the limit was taken back") })
	}
	over.End(nil)
	unlimited.Unlimit()
	passed := &AttemptContext{}
	passed.Limit(50*time.Millisecond, nil)
	<-passed.Done()
	if unlimited.Err() != nil || !errors.Is(context.Cause(over), context.Canceled) {
		t.Error(unlimited.Err(), context.Cause(over))
	}
}

// What contexts of the standard library have is there whenever it is asked for, before the end and after it.
func TestAttemptContextIsAnyContext(t *testing.T) {
	early, late := &AttemptContext{}, &AttemptContext{}
	below, cancel := context.WithCancel(early)
	defer cancel()
	done := early.Done()
	if early.Err() != nil || context.Cause(early) != nil || below.Err() != nil {
		t.Error("it has ended before its end")
	}
	var all sync.WaitGroup
	for range 10 {
		all.Go(func() { early.End(ErrPause); <-early.Done() })
		all.Go(func() { late.End(ErrPause); late.End(nil) })
	}
	all.Wait()
	<-done
	<-below.Done()
	for name, ctx := range map[string]context.Context{"asked before": early, "asked after": late, "below": below} {
		if cause := context.Cause(ctx); ctx.Err() != context.Canceled || !errors.Is(cause, ErrPause) {
			t.Errorf("%s: %v, %v", name, ctx.Err(), cause)
		}
	}
}
