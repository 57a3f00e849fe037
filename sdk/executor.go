package sdk

import (
	"context"
	"errors"
)

// An Executor carries out tasks: it returns what became of each attempt, and only the
// host writes down what that makes of the task. The host calls it the same way whether it
// runs in the host's process or behind gRPC in its own. All methods may be
// called at once from many goroutines. One that holds something open may have a
// Close() error too, called when it is no longer used, in the process it runs in.
type Executor interface {
	// Describe names the task types this executor runs and what it can do. The
	// host asks at start and again after Config.Changed; it must answer without
	// waiting for running attempts.
	Describe(ctx context.Context) (Info, error)

	// Execute makes one attempt at t and returns its result. It returns soon
	// after ctx is done; context.Cause(ctx) says why: see ErrCancel and its
	// neighbours. A result without error is a success, whatever became of ctx. An
	// error is retried by the host's policy unless it says otherwise: see Permanent,
	// RetryAfter, ErrLost, ErrReleased, ErrInterrupted and the Yield functions. A
	// panic is a failure with the stack in its details.
	//
	// The goroutine is the call's own until it returns, and is used again: what locks it to
	// its thread unlocks it.
	//
	// A call whose token already runs here joins that attempt: see Task.Rejoin and
	// JoinTable. What an attempt did may be done again, by another attempt with
	// another token, after it failed or was lost.
	Execute(ctx context.Context, t Task, r Reporter) (Result, error)

	// Revert undoes what Execute did for t: t.Result holds what it returned,
	// or t.Failure how it ended. Embed Irreversible if nothing can be undone. No host
	// has anything undone yet.
	Revert(ctx context.Context, t Task, r Reporter) error
}

// Irreversible is embedded by executors whose work cannot be undone. Its Revert
// fails permanently, so that a flow says so instead of trying for ever.
type Irreversible struct{}

// Revert says that nothing can be undone.
func (Irreversible) Revert(context.Context, Task, Reporter) error {
	return Permanent(errIrreversible)
}

// A NodeController can tell its nodes to do something. An executor that is one sets
// Info.ControlsNodes; without that the host does not ask.
type NodeController interface {
	// ControlNode does action to the node of that name: "drain" has it finish what
	// runs and take nothing more, "resume" ends that. It returns once the node will
	// be told, also after it was away. An error that wraps ErrUnknownNode,
	// ErrUnknownAction or ErrNodeUnchanged says so across a process, too.
	ControlNode(ctx context.Context, node, action string) error
}

// What a NodeController answers to a name or an action that it does not know, and to an
// action that would change nothing: to drain a node that is drained, or resume one that
// is not.
var (
	ErrUnknownNode   = errors.New("there is no such node")
	ErrUnknownAction = errors.New("there is no such action on a node")
	ErrNodeUnchanged = errors.New("there is nothing to do")
)

// A Settler wants to hear that an attempt's outcome is on record. The host asks
// every executor for it by type assertion: those in its own process have no need.
type Settler interface {
	// Settled says that what Execute or Revert returned for t is committed, or
	// will never be wanted: whoever keeps it may forget it. Call it once after
	// each Execute or Revert that returned, also one that nobody waits for any
	// more. Called before they return, it forgets whatever will be reported. For
	// a token of PluginHello that is not wanted it does the same. It never blocks.
	Settled(t Token)
}
