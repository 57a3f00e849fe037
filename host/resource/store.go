package resource

import (
	"context"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// MaxClaims bounds how many holders, and how many of a queue, are read of one resource.
const MaxClaims = 1000

// Page is one page of a list, in the order of names. Next is where the list goes on; ""
// on the last.
type Page struct {
	Resources []Resource
	Next      string
}

// Store keeps who holds what. A task with resources that becomes ready joins the queues of
// all of them in one commit, so that the order is the same in each, and waits for its
// turn in each, unless they are free; what it has it keeps until it is final. The commit that
// makes it final gives them on to whoever is next, and makes those ready that wait for no other.
// Should they be more than one commit is to hold, a task.SignalResource asks for the rest by Grant.
type Store interface {
	// Resources reads a page of them, each with its first claims.
	Resources(ctx context.Context, s task.Scope, after string, limit int) (Page, error)
	// Resource reads the one of that name within the scope; not_found if nobody holds it or
	// waits for it, conflict, naming the first of them, if several owners have one.
	Resource(ctx context.Context, s task.Scope, name string) (Resource, error)
	// Grant gives a resource on to more of those who are to have it now. It uses up the signal,
	// and gives it anew if there are still more. conflict if it was signalled anew before.
	Grant(ctx context.Context, used task.Signal, now time.Time) error
	// BlockedBy is who holds what a task waits for, a hundred at the most.
	BlockedBy(ctx context.Context, seq int64) ([]task.ID, error)
}
