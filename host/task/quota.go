package task

import (
	"fmt"
	"strings"
	"time"
)

// OwnTypes begin the names of the task types that are the host's own: nobody submits
// tasks of them but the host, on behalf of who asked.
const OwnTypes = "taskhost."

// HostsOwn says that tasks of a type are the host's own work. They are under no quota and count
// against none: an action must be able to clear a queue that is full.
func HostsOwn(taskType string) bool { return strings.HasPrefix(taskType, OwnTypes) }

// Quota is what an owner may have at a time. A block without a name, quota { … }, is for each
// owner; one with a name for the owner of that name, key by key before the other. SIGHUP puts
// changes in force, and what is there stays. Nothing that was accepted is lost by a quota: what
// an attempt leaves is counted, and never refused. The host's own work (taskhost action) is
// under none.
type Quota struct {
	// Waiting is how many of an owner's tasks may wait, for whatever reason; further ones are
	// refused until some have begun. What comes back from an attempt is not. "unlimited" is no
	// bound.
	Waiting int64
	// Running is how many attempts at an owner's tasks may be under way at once, over all
	// executors; others wait. An attempt counts from when it is handed to its executor.
	// "unlimited" is no bound.
	Running int64
	// Bytes is how much an owner's tasks may take in the store, in inputs, labels, checkpoints,
	// results, errors and logs, until they are deleted; at the bound new tasks are refused.
	// "unlimited" is no bound.
	Bytes int64
}

// Unlimited is the value of a quota's field that lifts a bound which is laid below it; 0 says
// nothing.
const Unlimited = -1

// MaxQuotaBytes is the most that Quota.Bytes may be: a pebibyte.
const MaxQuotaBytes = 1 << 50

// over is q laid over below, field by field.
func (q Quota) over(below Quota) Quota {
	lay := func(v, below int64) int64 {
		if v == 0 {
			v = below
		}
		return max(v, 0)
	}
	return Quota{Waiting: lay(q.Waiting, below.Waiting), Running: lay(q.Running, below.Running), Bytes: lay(q.Bytes, below.Bytes)}
}

// Quotas are the quotas of all owners. The zero value bounds nobody.
type Quotas struct {
	Default Quota            // of each owner
	Owners  map[string]Quota // of some, laid over Default
}

// Of is what an owner may have: in it 0 is no bound. The host, whose name is "", may have
// anything.
func (q *Quotas) Of(owner string) Quota {
	if owner == "" {
		return Quota{}
	}
	return q.Owners[owner].over(q.Default)
}

// any says whether a field bounds any owner.
func (q *Quotas) any(field func(Quota) int64) bool {
	if field(q.Default) > 0 {
		return true
	}
	for _, own := range q.Owners {
		if field(own) > 0 {
			return true
		}
	}
	return false
}

// AnyBytes says whether there is a bound on bytes, so that they must be counted.
func (q *Quotas) AnyBytes() bool { return q.any(func(q Quota) int64 { return q.Bytes }) }

// AnyWaiting says whether there is a bound on waiting tasks.
func (q *Quotas) AnyWaiting() bool { return q.any(func(q Quota) int64 { return q.Waiting }) }

// AnyRunning says whether there is a bound on attempts under way.
func (q *Quotas) AnyRunning() bool { return q.any(func(q Quota) int64 { return q.Running }) }

// OwnerUse is what an owner has, and may have.
type OwnerUse struct {
	Owner   string
	Limit   Quota // 0 in it is no bound
	Waiting int64
	Running int64 // handed on, running, canceling or reverting
	Bytes   int64 // only if BytesCounted
	// BytesCounted says that bytes are counted: while no owner has a bound on them they are not.
	BytesCounted bool
}

// How soon a task that a quota refused may be accepted: one that waits begins any time, what
// is kept goes with its task.
const (
	waitingRetry = 5 * time.Second
	bytesRetry   = time.Minute
)

// CheckWaiting refuses tasks of an owner that would come into the queue, of which so many wait
// already.
func (q Quota) CheckWaiting(owner string, waiting, coming int64) error {
	if q.Waiting <= 0 || coming <= 0 || waiting+coming <= q.Waiting {
		return nil
	}
	return &Error{Code: CodeQuotaExceeded, RetryAfter: waitingRetry, Message: fmt.Sprintf(
		"the quota of owner %q is %d waiting tasks: %d wait already, and %d would come; try again when some have begun, or cancel some", owner, q.Waiting, waiting, coming)}
}

// CheckBytes refuses new tasks of an owner that bring so many bytes, of which so many are kept
// already. What could never be accepted is too_large.
func (q Quota) CheckBytes(owner string, kept, coming int64) error {
	switch {
	case q.Bytes <= 0 || kept+coming <= q.Bytes:
		return nil
	case coming > q.Bytes:
		return Errorf(CodeTooLarge, "the quota of owner %q is %d bytes kept, and this request alone would keep %d: submit less at once", owner, q.Bytes, coming)
	}
	return &Error{Code: CodeQuotaExceeded, RetryAfter: bytesRetry, Message: fmt.Sprintf(
		"the quota of owner %q is %d bytes kept: %d are kept already, and %d would come; delete tasks that are final, or try again when some have been retired", owner, q.Bytes, kept, coming)}
}
