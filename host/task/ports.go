package task

import (
	"context"
	"time"
)

// The ports of this file are kept by a store beside Store; each has cases of its own
// in storetest. Whoever needs one asks for it, and for no more.

// Transaction is what Commit writes, all or none.
type Transaction struct {
	// Changes are guarded as for Apply. No task may be changed twice.
	Changes []Change
	// Inserts are new tasks, as in a Submission. Commit gives each its Seq.
	Inserts []*Task
	// Signals are used up. One that was given anew since it was read is a guard that does
	// not hold.
	Signals []Signal
	// Versions are guards on what is no task: a flow, a group, whatever several
	// callers decide about. None may be named twice.
	Versions []VersionChange
}

// VersionChange expects a version, and sets it.
type VersionChange struct {
	Name string // of whose version it is, in the words of whoever keeps it
	From int64  // that it must be; 0: there must be none
	To   int64  // that it becomes: From only expects it, 0 forgets it
}

// TransactionStore commits what must happen all together or not at all: a decision
// about several tasks, made on what was read before.
type TransactionStore interface {
	// Commit writes a transaction if every guard of it holds, and nothing of it
	// otherwise: conflict then, and the message names the first that does not hold.
	// All guards are checked before anything is written, so they are of what was there
	// before the transaction.
	Commit(ctx context.Context, t Transaction) error
	// Version reads a version that transactions have set; 0 if there is none.
	Version(ctx context.Context, name string) (int64, error)
}

// LimitStore keeps limits on when attempts begin: in the commit that begins one, whoever
// begins it. What such a limit keeps stays queued, and Claim leaves it out.
type LimitStore interface {
	// SetStartLimits puts limits in force, by type, in place of all before; a type that is
	// not named has none. An attempt counts from its begin to its end, also one that began
	// before the limit was in force. A task that was inserted as begun and may not begin
	// is pending, queued, when Insert returns.
	SetStartLimits(ctx context.Context, byType map[string]StartLimits) error
	// OpenRates has Ready see again what waited for the rate of its type, if that lets an
	// attempt begin by now: opened says that there may be some. next is when there may be
	// more; zero for never. It is cheap.
	OpenRates(now time.Time) (opened bool, next time.Time)
	// StartBlock is about what keeps a queued task of that type, owner and labels from being
	// begun; as old as Ready. value gives a label's value, false where it is not known.
	StartBlock(taskType, owner string, value func(label string) (string, bool)) StartBlock
}

// QuotaStore holds owners to their quotas: in the commit that brings new tasks or has one wait
// that was final, whoever makes it, and in the one that begins an attempt. What a quota refuses
// is quota_exceeded, before anything is written; what keeps an attempt from beginning is told as
// of LimitStore.
type QuotaStore interface {
	// SetQuotas puts quotas in force, in place of all before. What is there already stays, also
	// if it is more. It may take as long as a look at all tasks, with others served meanwhile,
	// if bytes are to be counted that were not.
	SetQuotas(ctx context.Context, q Quotas) error
	// OwnerUse is what owners have now: of one, or with "" of all that have something, or a quota
	// of their own, by name.
	OwnerUse(ctx context.Context, owner string) ([]OwnerUse, error)
}

// StoredType is what is on record of a task type.
type StoredType struct {
	Name   string
	Spec   []byte // what a client said of it, as the host wrote it; nil if none did
	Paused bool   // by an operator
}

// TypeStore keeps what clients say of task types. Whether it is right is for its callers
// to say.
type TypeStore interface {
	// Types reads all that is on record, by name.
	Types(ctx context.Context) ([]StoredType, error)
	// PutType keeps what is said of a type, in place of what was.
	PutType(ctx context.Context, name string, spec []byte) error
	// PauseType keeps whether a type is paused.
	PauseType(ctx context.Context, name string, paused bool) error
	// DeleteType forgets what was said of a type, its pause included; conflict while tasks
	// of it are not final.
	DeleteType(ctx context.Context, name string) error
}

// Offer is what an executor of a host offers, as it said last.
type Offer struct {
	Host     HostID
	Executor string
	Document []byte // as the host wrote it
	// Expires is when nobody reads the offer any more, so that what a host offered
	// which is gone for good is forgotten; zero for never.
	Expires time.Time
}

// Oldest is the oldest of some tasks; zero if there is none.
type Oldest struct {
	ID        ID
	CreatedAt time.Time
}

// BacklogStore tells of what waits, for whoever looks at a host. No rule may rest on it.
type BacklogStore interface {
	// Reasons is about why the tasks of a lane wait that are pending and not queued, those
	// included that are dispatched; as old as Queue.Ready.
	Reasons(ctx context.Context, lane LaneID) (ReasonCounts, error)
	// Oldest is the oldest task of a lane that is queued, or waits for children, a resource or
	// an operator; of very many priorities that of the highest ones.
	Oldest(ctx context.Context, lane LaneID, w Waiting) (Oldest, error)
}

// OfferStore keeps what executors offer: a plugin that is down must not make its types
// unknown, and where several hosts share a store each knows what the others run.
type OfferStore interface {
	// SaveOffer keeps an offer in place of the last one of that host and executor.
	SaveOffer(ctx context.Context, o Offer) error
	// Offers reads what a host offers that has not expired, by executor; "" is every
	// host, by host and executor.
	Offers(ctx context.Context, host HostID, now time.Time) ([]Offer, error)
}

// StoreInfo is what operators are told of a store.
type StoreInfo struct {
	Place string // where it is: a file, a database
	Bytes int64  // what it takes there, with what is yet to be carried over
}

// InfoStore tells of itself.
type InfoStore interface {
	// Info says where the store is, and how large. It reads no rows.
	Info(ctx context.Context) (StoreInfo, error)
}

// HostID names a host among those that share a store: the same after a restart.
type HostID string

// Host is one run of a host on a store.
type Host struct {
	ID HostID
	// Epoch is this run's alone: no other host and no other run had it, and those of
	// earlier runs of the host were lower. Executors obey only the highest.
	Epoch uint64
}

// HostStore is what a store knows of the hosts that share it. Whoever opens the store is
// a run of a host, and holds every attempt that begins through it. A host has a lease, on
// the store's clock, not the host's. One whose lease lapses may be fenced by another: what
// it still writes is refused with conflict, and its attempts are the others' to settle or
// to join. A store that one host has to itself keeps that host's lease for as long as it
// is open.
type HostStore interface {
	// Host is the run of a host that this store was opened by.
	Host() Host
	// RenewLease has this host's lease lapse no sooner than after ttl from now. An error
	// of code conflict says that the host was fenced, and must end: it writes no more.
	RenewLease(ctx context.Context, ttl time.Duration) error
	// FenceLapsed fences the hosts whose lease has lapsed, and names those among the
	// fenced that attempts are still held by; InFlight reads these. Never this host.
	FenceLapsed(ctx context.Context) ([]HostID, error)
}

// Upload is a result that came before the outcome that refers to it.
type Upload struct {
	ContentType string
	Data        []byte
}

// UploadStore keeps what an attempt uploaded until it ends, over a restart of the host too.
type UploadStore interface {
	// SaveUpload keeps a result for the attempt with that token, in place of what it
	// uploaded before; conflict if it does not hold the task with that Seq.
	SaveUpload(ctx context.Context, seq int64, token Token, u Upload) error
	// Upload reads what the attempt with that token uploaded for the task with that Seq;
	// not_found if there is nothing, as when the attempt has ended.
	Upload(ctx context.Context, seq int64, token Token) (Upload, error)
}

// FeedChange is what a feed tells: a committed change of one task: it was inserted, it changed, or it was
// deleted. Progress and log lines are none.
type FeedChange struct {
	Seq     int64
	ID      ID
	Owner   string
	State   State // after it
	Version int64 // after it; 0 if Deleted
	Deleted bool
	// Next is where to go on after this change.
	Next int64
	// Transition is what the change was, if it was one; nil otherwise. Nobody may write to it.
	Transition *Transition
}

// Changes is what a feed tells.
type Changes struct {
	Tasks []FeedChange // in the order of their commits; what the feed did not see, in that of its times
	Next  int64        // where to go on; never 0, and higher than all before, over restarts too
	// Gap says that what changed since then can't be told any more, here or at all:
	// whoever follows must read anew what it follows, once it has Next.
	Gap bool
}

// ChangeFeed tells what changes in a store, whichever host changes it. What it tells is
// on disk, and a read that begins afterwards sees it. It tells of every change, or of a gap.
type ChangeFeed interface {
	// Shared says that others than this process may change the store. Where nobody else
	// can, what this process did itself needs no telling, and nobody need follow.
	Shared() bool
	// Changes waits until something has changed since that place, and tells it, or part
	// of it; since is Next of the last call. 0 answers at once, with Next alone. From a place of
	// before the store was opened, or of before nobody followed for a while, it may tell what it
	// finds on record by its times: transitions alone, and again those of the seconds before.
	// now is the host's time, by which such a place is found.
	Changes(ctx context.Context, since int64, now time.Time) (Changes, error)
}

// SignalKind is what a signal asks of its addressee.
type SignalKind uint8

// The kinds of signals. They are stored: a number is never used again for another.
const (
	SignalGroup        SignalKind = iota + 1 // a group is finished, and its finisher is due
	SignalChildrenDone                       // the children that a parent waits for are final
	SignalCancelDown                         // a parent was canceled: its children are to be
	SignalResource                           // a resource may be had by more than one commit gave it to
)

// Signal says that something is to be decided, because of what became of tasks that it
// depends on. It is written by the commit that changes them, one row however often, and
// stays until a decision uses it up: a crash in between has it decided again.
type Signal struct {
	Kind SignalKind
	ID   ID // of whoever is to decide: a group, a task
	// Owner and Name are of the resource that is to be given on; "" for the other kinds.
	Owner, Name string
	N           int64 // another each time it is given: one that was given anew is not used up
}

// SignalStore keeps signals. They are used up by the commit of what was decided: by
// TransactionStore.Commit, or by a port of whoever decides.
type SignalStore interface {
	// Signals reads up to limit of them, in no certain order.
	Signals(ctx context.Context, limit int) ([]Signal, error)
}

// Child is a task that another has spawned, as that one sees it.
type Child struct {
	ID    ID
	Name  string
	Type  string
	State State
	// Result and ResultType are what the child left; ResultLeftOut says that it left
	// more than was asked for.
	Result        []byte
	ResultType    string
	ResultLeftOut bool
	// Error is why the child, or its last attempt, did not succeed; nil if it did.
	// It has no details.
	Error *Failure
}

// ChildStore answers for the children of tasks; List gives them, too. A child that is final
// stays at least until its parent is: so a name that was given is never given again.
type ChildStore interface {
	// Child finds the child of that name, without what became of it; not_found if the
	// parent has none.
	Child(ctx context.Context, parent ID, name string) (Child, error)
	// Children reads up to limit children of a task, in the order in which they were made,
	// and their results as long as these have no more than so many bytes together: one
	// that has no room is left out, and a later one that has may follow.
	Children(ctx context.Context, parent ID, limit int, results int64) ([]Child, error)
}

// Tree is a task with those that it has spawned, and theirs.
type Tree struct {
	Task     Task
	Children []*Tree
	// More says that it has children which are not told.
	More bool
}
