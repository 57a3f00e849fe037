package group

import (
	"context"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// Filter selects groups for a list. Empty fields match all.
type Filter struct {
	Name   string
	Limit  int     // at most task.MaxListLimit; task.DefaultListed if 0
	Cursor task.ID // the list goes on behind this id
}

// Page is one page of a list, newest first. Next is the cursor of the next; zero if there
// is none.
type Page struct {
	Groups []Group
	Next   task.ID
}

// Store keeps groups. It counts their members, and says when they are finished, in the
// commits that change the members' states: whoever has seen the last member final sees the
// group finished. Errors carry the codes of host/task.
type Store interface {
	// CreateGroup writes a group with its first members, all or none: the tasks of the
	// submission name it, and there may be none. The idempotency key is as for Insert.
	CreateGroup(ctx context.Context, g *Group, s task.Submission) (task.Receipt, error)
	// Group reads a group.
	Group(ctx context.Context, s task.Scope, id task.ID) (Group, error)
	// Groups reads a page of them, newest first.
	Groups(ctx context.Context, s task.Scope, f Filter) (Page, error)
	// CloseGroup lets no more tasks join. A group that is closed stays as it is.
	CloseGroup(ctx context.Context, s task.Scope, id task.ID, now time.Time) error
	// FinishGroup puts a group's finisher on record and uses up the signal that asked for
	// it; conflict if the group is not finished, has a finisher, or was signalled anew. A nil
	// finisher uses up the signal alone.
	FinishGroup(ctx context.Context, id task.ID, finisher *task.Task, used task.Signal) error
	// PostponeFinisher keeps why a group's finisher could not be submitted, and until when
	// that is not tried again. It uses up the signal that asked for it; conflict if it was
	// signalled anew.
	PostponeFinisher(ctx context.Context, id task.ID, problem string, until time.Time, used task.Signal) error
	// RetryFinishers signals groups anew whose finishers were postponed until now, up to so
	// many, and says when the next is due; zero if none is.
	RetryFinishers(ctx context.Context, now time.Time, limit int) (next time.Time, err error)
	// GroupProblems are the newest groups with a problem.
	GroupProblems(ctx context.Context, s task.Scope, limit int) ([]Group, error)
	// DeleteGroup removes a finished group; not_final otherwise. Its members stay.
	DeleteGroup(ctx context.Context, s task.Scope, id task.ID) error
	// DeleteFinishedGroups removes up to limit groups that were finished before that time
	// and have no members any more, and says which. One whose finisher is still to be made stays.
	DeleteFinishedGroups(ctx context.Context, before time.Time, limit int) ([]task.ID, error)
}
