package identity

import (
	"context"
	"errors"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// Event is a change that somebody asked for: what is kept of it.
type Event struct {
	ID        task.ID
	At        time.Time
	Name      string // the caller's
	Owner     string
	Role      Role
	By        Way
	Token     task.ID // zero if by no token
	Address   string  // the caller's, without port
	RequestID string
	Action    string // the operation, such as cancelTask
	Target    string // the path, such as /v1/tasks/ID/cancel
	Status    int    // the HTTP status that was answered
}

// Filter is which events are asked for. Zero fields ask for nothing.
type Filter struct {
	Owner, Action, Name string
	After, Before       time.Time
	Cursor              task.ID // Next of the page before
	Limit               int     // 0: task.DefaultListed; at most task.MaxListLimit
}

// Page is some events, newest first.
type Page struct {
	Events []Event
	Next   task.ID // zero on the last page
}

const (
	// maxUnwritten is how many events may wait to be written: more, and changes wait for them.
	maxUnwritten = 10_000
	// eventsAtOnce are written together.
	eventsAtOnce = 500
	// forgottenAtOnce are removed together.
	forgottenAtOnce = 500
)

// Note has an event written down, soon: a host that is killed may lose those of its last
// moment. It waits while very many are unwritten, until ctx ends.
func (a *Access) Note(ctx context.Context, e Event) error {
	id, err := a.source.ID()
	if err != nil {
		return err
	}
	e.ID = id
	e.At = a.source.Now()
	select {
	case a.events <- e:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Events reads a page of what was written down.
func (a *Access) Events(ctx context.Context, f Filter) (Page, error) { return a.store.Events(ctx, f) }

// Run writes events and the use of tokens, and forgets what is older than keep, until ctx
// ends; then it writes what is left. ticks say when to look for what is old. What fails is
// told to warn and tried again.
func (a *Access) Run(ctx context.Context, ticks <-chan time.Time, keep time.Duration, warn func(error)) {
	var unwritten []Event
	for {
		var more <-chan Event
		if len(unwritten) == 0 {
			more = a.events
		}
		select {
		case e := <-more:
			unwritten = a.write(ctx, append(unwritten, e), warn)
		case <-ticks:
			unwritten = a.write(ctx, unwritten, warn)
			if err := errors.Join(a.writeUsed(ctx), a.forget(ctx, a.source.Now().Add(-keep))); err != nil && ctx.Err() == nil {
				warn(err)
			}
		case <-ctx.Done():
			last := context.WithoutCancel(ctx)
			a.write(last, unwritten, warn)
			if err := a.writeUsed(last); err != nil {
				warn(err)
			}
			return
		}
	}
}

// write writes what is given and whatever waits, and returns what could not be written.
func (a *Access) write(ctx context.Context, events []Event, warn func(error)) []Event {
	for {
		for len(events) < eventsAtOnce && len(a.events) > 0 {
			events = append(events, <-a.events)
		}
		if len(events) == 0 {
			return nil
		}
		if err := a.store.AppendEvents(ctx, events); err != nil {
			if ctx.Err() == nil {
				warn(err)
			}
			return events
		}
		events = nil
	}
}

func (a *Access) forget(ctx context.Context, before time.Time) error {
	for {
		n, err := a.store.ForgetEvents(ctx, before, forgottenAtOnce)
		if err != nil || n < forgottenAtOnce {
			return err
		}
	}
}
