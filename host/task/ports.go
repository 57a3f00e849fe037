package task

import "context"

// The ports of this file are kept by a store beside Store; each has cases of its own
// in storetest. Whoever needs one asks for it, and for no more.

// Transaction is what Commit writes, all or none.
type Transaction struct {
	// Changes are guarded as for Apply. No task may be changed twice.
	Changes []Change
	// Inserts are new tasks, as in a Submission. Commit gives each its Seq.
	Inserts []*Task
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

// OfferStore keeps what executors offer: a plugin that is down must not make its types unknown.
type OfferStore interface {
	// SaveOffer keeps what an executor last offered, an opaque document.
	SaveOffer(ctx context.Context, executor string, offer []byte) error
	// Offers reads all, by executor.
	Offers(ctx context.Context) (map[string][]byte, error)
}

// HostStore is what a store knows of the hosts that use it.
type HostStore interface {
	// Epoch is this host's: no other host and no earlier open of the store had it, and
	// those of earlier opens were lower.
	Epoch() uint64
}
