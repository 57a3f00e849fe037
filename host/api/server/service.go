package server

import (
	"context"

	"github.com/taskhost/taskhost/host/board"
	"github.com/taskhost/taskhost/host/group"
	"github.com/taskhost/taskhost/host/resource"
	"github.com/taskhost/taskhost/host/schedule"
	"github.com/taskhost/taskhost/host/task"
)

// Tasks is the life of tasks as clients drive it; host/engine provides it.
// Errors carry the codes of host/task.
type Tasks interface {
	// Submit accepts all specs or none, durably when it returns, in their order.
	// replayed says that idem named an earlier submission and these are its tasks.
	Submit(ctx context.Context, s task.Scope, specs []task.Spec, idem *task.Idempotency) (tasks []task.Task, replayed bool, err error)
	// Get reads a task whole; not_found if there is none within the scope.
	Get(ctx context.Context, s task.Scope, id task.ID) (task.Task, error)
	// ByKey reads the task of that type and key which the scope's owner has.
	ByKey(ctx context.Context, s task.Scope, typ, key string) (task.Task, error)
	// ByPrefix is the only task whose id begins so; conflict if there are more.
	ByPrefix(ctx context.Context, s task.Scope, prefix string) (task.Task, error)
	// Wait returns the task once it is final, or as it is when ctx ends.
	Wait(ctx context.Context, s task.Scope, id task.ID) (task.Task, error)
	// List reads one page, without inputs, results and the details of errors.
	List(ctx context.Context, s task.Scope, f task.Filter) (task.Page, error)
	// Cancel asks the task to end: what it returns is canceled, or canceling while an
	// attempt is to end first. already_final if it is over.
	Cancel(ctx context.Context, s task.Scope, id task.ID) (task.Task, error)
	// Retry has a failed, canceled or reverted task wait again, with fresh attempts;
	// not_final if it is not over.
	Retry(ctx context.Context, s task.Scope, id task.ID) (task.Task, error)
	// Pause has a task rest until Resume: one that waits at once, one that runs if its
	// script agrees before ctx ends; conflict if it has not, already_final if it is over.
	Pause(ctx context.Context, s task.Scope, id task.ID) (task.Task, error)
	// Resume has a paused task wait for its turn again; conflict if it is not paused.
	Resume(ctx context.Context, s task.Scope, id task.ID) (task.Task, error)
	// SubmitAction has an action carried out by a task, which it returns.
	SubmitAction(ctx context.Context, s task.Scope, a task.Action, idem *task.Idempotency) (t task.Task, replayed bool, err error)
	// CountAction is to how many tasks an action would be done now.
	CountAction(ctx context.Context, s task.Scope, a task.Action) (int64, error)
	// Delete removes a final task and all that belongs to it; not_final otherwise.
	Delete(ctx context.Context, s task.Scope, id task.ID) error
}

// Children is what running attempts make of their own.
type Children interface {
	// Spawn makes children of the task that the attempt with that token runs, all or none.
	// Those whose names it has already it finds; replayed says that it did so with all.
	// not_found if no attempt runs with the token, forbidden for children of another task.
	Spawn(ctx context.Context, token task.Token, specs []task.Spec, idem *task.Idempotency) (children []task.Task, replayed bool, err error)
	// Tree reads a task with what it has spawned, and what that has, so many in all.
	Tree(ctx context.Context, s task.Scope, id task.ID, limit int) (*task.Tree, error)
}

// Groups is the life of groups of tasks as clients drive it. Errors carry the codes of
// host/task; not_found for a group that is not there within the scope.
type Groups interface {
	// SubmitGroup makes a group and its first members, all or none; there may be none.
	SubmitGroup(ctx context.Context, s task.Scope, spec group.Spec, members []task.Spec, idem *task.Idempotency) (g group.Group, replayed bool, err error)
	// Group reads a group.
	Group(ctx context.Context, s task.Scope, id task.ID) (group.Group, error)
	// Groups reads a page of groups, newest first.
	Groups(ctx context.Context, s task.Scope, f group.Filter) (group.Page, error)
	// CloseGroup lets no more tasks join.
	CloseGroup(ctx context.Context, s task.Scope, id task.ID) (group.Group, error)
	// CancelGroup closes the group and asks its members to end that are not final.
	CancelGroup(ctx context.Context, s task.Scope, id task.ID) (group.Group, error)
	// RetryGroup has the group's failed members wait again, with fresh attempts.
	RetryGroup(ctx context.Context, s task.Scope, id task.ID) (group.Group, error)
	// DeleteGroup removes a finished group and its members; not_final otherwise.
	DeleteGroup(ctx context.Context, s task.Scope, id task.ID) error
}

// Schedules is the life of schedules. Errors carry the codes of host/task; not_found for
// one that is not there within the scope.
type Schedules interface {
	// CreateSchedule makes a schedule; conflict if its owner has one of that name.
	CreateSchedule(ctx context.Context, s task.Scope, spec schedule.Spec) (schedule.Schedule, error)
	// Schedule reads a schedule.
	Schedule(ctx context.Context, s task.Scope, id task.ID) (schedule.Schedule, error)
	// Schedules reads a page of schedules, newest first.
	Schedules(ctx context.Context, s task.Scope, f schedule.Filter) (schedule.Page, error)
	// ChangeSchedule changes what a schedule is asked to be: change gets what it is, and
	// may be called again if somebody else changed it meanwhile.
	ChangeSchedule(ctx context.Context, s task.Scope, id task.ID, change func(*schedule.Spec) error) (schedule.Schedule, error)
	// DeleteSchedule removes a schedule. The tasks of its runs stay.
	DeleteSchedule(ctx context.Context, s task.Scope, id task.ID) error
	// RunSchedule submits a run now, and gives its task.
	RunSchedule(ctx context.Context, s task.Scope, id task.ID) (task.Task, error)
}

// Resources is what tasks hold and wait for.
type Resources interface {
	// Resources reads a page of those that are held or waited for, by name.
	Resources(ctx context.Context, s task.Scope, after string, limit int) (resource.Page, error)
	// Resource reads the one of that name within the scope; not_found if nobody holds it or
	// waits for it, conflict if several owners have one.
	Resource(ctx context.Context, s task.Scope, name string) (resource.Resource, error)
}

// Board is where workers outside claim tasks, and say how they go. Errors carry the codes of
// host/task: stale_claim for a token that is not current, which has changed nothing.
type Board interface {
	// ClaimTasks gives a worker tasks, which are on record as its own, and is held while
	// there are none. What the worker does not get is for AbandonClaims.
	ClaimTasks(ctx context.Context, r board.Request) ([]board.Claim, []task.Task, error)
	// AbandonClaims gives back what was claimed for a worker that never got the answer.
	AbandonClaims(claims []board.Claim)
	// Claims reads a page of what is held, the latest first; the cursor is zero on the last.
	Claims(s task.Scope, after board.Cursor, limit int) ([]board.Held, board.Cursor)
	// RenewClaim has a lease begin anew; so do the next three.
	RenewClaim(ctx context.Context, s task.Scope, token task.Token) (board.Heard, error)
	// ClaimProgress says how far a worker is.
	ClaimProgress(ctx context.Context, s task.Scope, token task.Token, p task.Progress) (board.Heard, error)
	// ClaimLog keeps lines that a worker logs.
	ClaimLog(ctx context.Context, s task.Scope, token task.Token, lines []board.Line) (board.Heard, error)
	// ClaimCheckpoint keeps data for the next attempt, durably when it returns.
	ClaimCheckpoint(ctx context.Context, s task.Scope, token task.Token, data []byte) (board.Heard, error)
	// MaxClaimResult is how many bytes a claim's task may have as its result.
	MaxClaimResult(ctx context.Context, s task.Scope, token task.Token) (int64, error)
	// FinishClaim has a claim's task succeed. It is on record when it returns, as are the
	// ends of the next three.
	FinishClaim(ctx context.Context, s task.Scope, token task.Token, contentType string, data []byte) error
	// FailClaim has an attempt fail.
	FailClaim(ctx context.Context, s task.Scope, token task.Token, f board.Failure) error
	// ReleaseClaim gives a task back of which nothing was done.
	ReleaseClaim(ctx context.Context, s task.Scope, token task.Token) error
	// TrashClaim fails a task for good that is no use to anybody.
	TrashClaim(ctx context.Context, s task.Scope, token task.Token, reason string) error
}

// Records is what is told of tasks.
type Records interface {
	// History is the task's events with a higher Seq than after, oldest first.
	History(ctx context.Context, s task.Scope, id task.ID, after int64) ([]task.Event, error)
	// Logs reads log lines of a task in the order of their numbers.
	Logs(ctx context.Context, s task.Scope, id task.ID, f task.LogFilter) ([]task.LogLine, error)
	// Watch tells what happens to a task from now on, until ctx ends or the task
	// is deleted; then the channel is closed. Updates are dropped, and the
	// channel closed, for a reader that falls far behind: read History and Logs from where
	// you were, and watch again.
	Watch(ctx context.Context, s task.Scope, id task.ID) (<-chan task.Update, error)
	// Events waits until something has happened to tasks after that place, and tells those
	// transitions of it that f selects, which may be none, in the order of their commits. With 0 it
	// says where to begin, at once. A reader is a place: one that is slow loses what is no more
	// kept, which is a gap.
	Events(ctx context.Context, s task.Scope, f *task.EventFilter, after int64) (task.EventPage, error)
}

// Registry is what can be run, and by whom.
type Registry interface {
	// Types are all task types, by name; of tasks, those of the scope are counted.
	Types(s task.Scope) []task.TypeStatus
	// Type is one of them; not_found if there is none of that name.
	Type(s task.Scope, name string) (task.TypeStatus, error)
	// PutType keeps what a client says of a type, in place of what it said before; created
	// says that there was no such type.
	PutType(ctx context.Context, s task.Scope, spec task.TypeSpec) (t task.TypeStatus, created bool, err error)
	// ControlType does "pause" or "resume"; conflict if the type is so already.
	ControlType(ctx context.Context, s task.Scope, name, action string) (task.TypeStatus, error)
	// DeleteType forgets what clients said of a type; conflict while there are tasks of it.
	// With force these are canceled and deleted.
	DeleteType(ctx context.Context, s task.Scope, name string, force bool) error
	// Executors are all executors, in the order of the config, with their workers.
	Executors() []task.ExecutorStatus
	// ControlExecutor does "pause", "resume", "drain" or "restart".
	ControlExecutor(ctx context.Context, name, action string) (task.ExecutorStatus, error)
	// ControlNode does "drain" or "resume" to the workers of that name.
	ControlNode(ctx context.Context, name, action string) (task.Node, error)
	// Status is the host at one look: of tasks, those of the scope.
	Status(ctx context.Context, s task.Scope) task.HostStatus
	// Ready says whether tasks can be accepted and some executor can run them; the error, why not.
	Ready(ctx context.Context) (task.Readiness, error)
}

// Attempts is what workers fetch and put by reference; the attempt's token is
// the key. not_found once the attempt no longer holds its task.
type Attempts interface {
	// AttemptInput is the input of the attempt's task.
	AttemptInput(token task.Token) ([]byte, error)
	// AttemptCheckpoint is what an earlier attempt at the task left.
	AttemptCheckpoint(token task.Token) ([]byte, error)
	// AttemptChildren is what the attempt is told of its task's children, as JSON.
	AttemptChildren(ctx context.Context, token task.Token) ([]byte, error)
	// PutAttemptResult keeps the result until the attempt's success is reported.
	PutAttemptResult(ctx context.Context, token task.Token, contentType string, data []byte) error
}

// Quotas is what owners have, and may have.
type Quotas interface {
	// OwnerUse is what one owner has.
	OwnerUse(ctx context.Context, owner string) (task.OwnerUse, error)
	// OwnerUses are those of all owners that have something that counts, or a quota of their
	// own, by name.
	OwnerUses(ctx context.Context) ([]task.OwnerUse, error)
}

// Service is all that the API serves.
type Service interface {
	Quotas
	Tasks
	Children
	Groups
	Resources
	Schedules
	Board
	Records
	Registry
	Attempts
}
