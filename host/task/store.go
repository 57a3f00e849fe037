package task

import (
	"context"
	"time"
)

// Scope is whose tasks a caller may see. Every query takes one.
type Scope struct {
	Owner string
	All   bool // an admin: every owner's
	// By is who acts, as the history is to have it; "" is the owner.
	By string
}

// LaneID is a process's name for a lane that has tasks: a number from 1, with gaps
// where lanes went, and never given again within the process, also not to a lane
// that comes back. It means nothing to another process, nor after a restart.
type LaneID int64

// Lane is the queue of waiting tasks of one type, owner and route; of one pinned
// executor, if the submit named it; and suspects apart from the others, so that
// they can be run singly. Which executor serves a lane is config, not data.
type Lane struct {
	ID       LaneID
	Type     string
	Owner    string
	Route    string // the route's labels as canonical JSON; "" for none
	Executor string // pinned; "" leaves it to config
	Suspect  bool
	Child    bool // of spawned tasks, which wait at their parents' places
	// Values are those of labels by whose value a limit of the type was reached when they
	// came here, as JSON; "" for none.
	Values string
}

// LaneCount is how many tasks of a lane are in which phase now.
type LaneCount struct {
	Ready, Waiting, Active int64 // queued; pending for another reason; dispatched, running, canceling or reverting
}

// ReasonCounts are numbers of pending tasks by why they wait; those that are queued, or
// wait for nothing, are in none.
type ReasonCounts [WaitChildren + 1]int64

// Add counts tasks that wait for a reason.
func (c *ReasonCounts) Add(w Waiting, n int64) {
	if w > WaitQueued && int(w) < len(c) {
		c[w] += n
	}
}

// Submission is what Insert writes, all or none.
type Submission struct {
	// Tasks are new, by New, and where a slot is reserved for one, by Begin.
	// Insert gives each its Seq: higher than any before, also of tasks that were deleted.
	// What a task asks for in OnConflict is done in the commit, and said there.
	Tasks []*Task
	// Idempotency, if set, makes the submission happen once.
	Idempotency *Idempotency
}

// Idempotency is a client's key for one request.
type Idempotency struct {
	Owner string
	Key   string
	Hash  [32]byte // of the request; another one under the same key is refused
}

// Receipt answers an Insert.
type Receipt struct {
	// Replayed is the ids of the first submission under the same key, if there
	// was one: nothing was written this time.
	Replayed []ID
}

// Claim asks for work for one executor: at most Max tasks, of each share at most its own.
type Claim struct {
	Executor string
	Shares   []Share
	Max      int
	Deferred bool // dispatched rather than running: see Begin
	Now      time.Time
	NewToken func() Token
}

// Share is how many tasks a claim may take from some lanes together.
type Share struct {
	Lanes []LaneID
	Max   int
}

// Claimed is an attempt that a claim began. Change is on record, and its Task has the
// version that it has there.
type Claimed struct {
	Change *Change
	Share  int // the index in Claim.Shares that it was taken from
}

// Filter selects tasks for a list. Empty fields match all. As JSON it has what it selects,
// and not in which order and how many.
type Filter struct {
	States        []State           `json:"state,omitempty"`
	Types         []string          `json:"type,omitempty"`
	Executor      string            `json:"executor,omitempty"` // that holds the task's attempt or held the last, or that it is pinned to or placed on while it waits
	Placed        []string          `json:"-"`                  // the types that Executor serves now, where no task says otherwise
	Owner         string            `json:"owner,omitempty"`
	Key           string            `json:"key,omitempty"`
	Labels        map[string]string `json:"labels,omitempty"`
	Group         ID                `json:"group,omitzero"`  // of which the tasks are members; zero for any or none
	Flow          ID                `json:"flow,omitzero"`   // of which they are steps
	Parent        ID                `json:"parent,omitzero"` // that spawned them
	CreatedAfter  time.Time         `json:"created_after,omitzero"`
	CreatedBefore time.Time         `json:"created_before,omitzero"`
	// FinishedAfter and FinishedBefore select among the final tasks alone.
	FinishedAfter  time.Time `json:"finished_after,omitzero"`
	FinishedBefore time.Time `json:"finished_before,omitzero"`
	Ascending      bool      `json:"-"` // oldest (lowest id) first; newest first otherwise
	Limit          int       `json:"-"` // at most MaxListLimit
	Cursor         ID        `json:"-"` // the list goes on behind this id; zero: from the beginning
}

// Page is one page of a list. Next is the cursor of the next; zero if there is none.
type Page struct {
	Tasks []Task
	Next  ID
}

// LogFilter selects log lines of a task.
type LogFilter struct {
	After   int64 // lines with a higher Seq
	Attempt int   // 0 for all
	Level   string
	Limit   int
}

// ProgressNote is progress of a running attempt for the record. It changes no
// state and no version, and is dropped if the attempt no longer holds the task.
type ProgressNote struct {
	Seq      int64
	Attempt  int
	Progress Progress
	At       time.Time
}

// Store keeps tasks. Each method is safe for many callers at once. Whatever a
// method has written is on disk when it returns without error. Errors carry the
// codes of this package: not_found, conflict, store_full, store_unavailable.
// What else a store can keep is asked of it by ports of their own, here or beside the
// rules that need them: this one does not grow.
type Store interface {
	Queue
	Ledger
	Journal
}

// ReadyEnough is how many ready tasks Queue.Ready need count, for no claim is larger.
const ReadyEnough = 1000

// Queue is how tasks come in and attempts begin.
type Queue interface {
	// Insert writes new tasks with their first events, all or none. conflict if
	// a task's key is taken (Error.Message names the holder);
	// idempotency_mismatch if the idempotency key was used for another request.
	Insert(ctx context.Context, s Submission) (Receipt, error)
	// FindSubmission is the receipt of the submission under that key, if there was one in the 24 hours before now:
	// what a client sends again is answered before anything else is asked of it.
	// idempotency_mismatch as for Insert, which alone decides between two at once.
	FindSubmission(ctx context.Context, key Idempotency, now time.Time) (Receipt, error)
	// Claim begins attempts at ready tasks of the shares' lanes, by priority and then
	// age over all of them, and returns them with input and checkpoint.
	Claim(ctx context.Context, c Claim) ([]Claimed, error)
	// Promote makes ready up to limit scheduled tasks that are due, and says how
	// many, and when the next is due (zero if none). Due work of every kind is taken
	// under a guard: whoever asks first has it, and nothing of it is done twice.
	Promote(ctx context.Context, now time.Time, limit int) (n int, next time.Time, err error)
	// Lanes are those with an ID above after, in order. A lane is there from its
	// first task on, and until DropEmptyLanes finds it empty; one with tasks that
	// are pending or held by an attempt is always among them.
	Lanes(after LaneID) []Lane
	// DropEmptyLanes forgets the lanes in which no task is pending or held, and
	// says how many went. A lane that a task comes into at that moment stays; one
	// that is gone comes back under a new ID with the next task for it. To be
	// called now and then: each lane costs memory, and whoever goes through Lanes time.
	DropEmptyLanes(ctx context.Context) (n int, err error)
	// Ready is about how many tasks of these lanes wait to be claimed, and are not kept by
	// a limit of their type (LimitStore), or ReadyEnough at the least; a lane that is gone has none. It is cheap, and may be a second old where several hosts share
	// a store: no rule may rest on it, only where to look and when. What this host
	// has written before it asks is in it.
	Ready(ctx context.Context, lanes []LaneID) (int64, error)
	// Count is about what lanes hold, in their order, nothing where one is gone; as old as
	// Ready, and all as it was at one moment.
	Count(ctx context.Context, lanes []LaneID) ([]LaneCount, error)
}

// Ledger is what becomes of tasks.
type Ledger interface {
	// Apply makes each change whose guard holds, and gives an error for each:
	// conflict where it does not hold. Changes do not depend on one another.
	Apply(ctx context.Context, changes []Change) []error
	// SaveProgress writes progress.
	SaveProgress(ctx context.Context, notes []ProgressNote) error
	// Get reads a task whole.
	Get(ctx context.Context, s Scope, id ID) (Task, error)
	// ByKey reads the task of that owner (the scope's), type and key.
	ByKey(ctx context.Context, s Scope, taskType, key string) (Task, error)
	// ByPrefix finds the ids in a range, two at the most.
	ByPrefix(ctx context.Context, s Scope, lo, hi ID) ([]ID, error)
	// List reads one page, without inputs, results and details of errors, in the order of
	// ids: they are made by time, so it is that of age, and rests on the rows
	// alone. Whatever was there when a walk began and stays is on one page of it;
	// what comes or goes meanwhile may be.
	List(ctx context.Context, s Scope, f Filter) (Page, error)
	// InFlight reads the tasks that an attempt of that host holds (active, or
	// dispatched), of whichever run of it: what is found after its crash. "" is every
	// host. In pages: from after that Seq.
	InFlight(ctx context.Context, host HostID, after int64, limit int) ([]Task, error)
	// Delete removes a final task and all that belongs to it; not_final otherwise.
	Delete(ctx context.Context, s Scope, id ID) error
	// DeleteExpired removes up to limit tasks whose time to be kept is up and says which, looking
	// at no more than a bounded number of rows from a cursor of its own; more says that it
	// did not come to the end of them, or of the idempotency keys that are kept no longer.
	DeleteExpired(ctx context.Context, now time.Time, limit int) (gone []ID, more bool, err error)
	// Overdue reads up to limit pending tasks whose deadline has passed, as lists give tasks.
	Overdue(ctx context.Context, now time.Time, limit int) ([]Task, error)
}

// Journal is what is kept beside the tasks.
type Journal interface {
	// History is a task's events after that Seq, oldest first.
	History(ctx context.Context, s Scope, id ID, after int64) ([]Event, error)
	// AppendLogs writes log lines of the task with that Seq. The caller numbers them.
	AppendLogs(ctx context.Context, seq int64, lines []LogLine) error
	// Logs reads log lines in order.
	Logs(ctx context.Context, s Scope, id ID, f LogFilter) ([]LogLine, error)
}
