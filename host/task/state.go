package task

import "fmt"

// State is where a task is in its life.
type State uint8

// The states. None is the state before submit; it is never stored.
const (
	None State = iota
	Pending
	Running
	Canceling
	Reverting
	Succeeded
	Failed
	Canceled
	Skipped
	Reverted
	RevertFailed
)

var stateNames = [...]string{"", "pending", "running", "canceling", "reverting", "succeeded", "failed",
	"canceled", "skipped", "reverted", "revert_failed"}

// States are all states a stored task may be in.
func States() []State {
	return []State{Pending, Running, Canceling, Reverting, Succeeded, Failed, Canceled, Skipped, Reverted, RevertFailed}
}

func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("State(%d)", uint8(s))
}

// MarshalText gives the state's name.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads a state's name.
func (s *State) UnmarshalText(b []byte) error {
	for i, name := range stateNames {
		if name == string(b) {
			*s = State(i)
			return nil
		}
	}
	return Errorf(CodeInvalidRequest, "%q is not a state: want one of %v", b, stateNames[1:])
}

// Final says that the task is done, until someone retries or reverts it.
func (s State) Final() bool { return s >= Succeeded && s <= RevertFailed }

// Active says that an attempt holds the task.
func (s State) Active() bool { return s >= Running && s <= Reverting }

// Waiting is why a pending task waits.
type Waiting uint8

// The reasons. WaitExecutor is never stored: it is how a queued task is shown
// whose executor is not ready, since which executor serves it is config.
const (
	WaitNone Waiting = iota
	WaitQueued
	WaitScheduled // run_at is ahead
	WaitDependency
	WaitResource
	WaitPaused
	WaitExecutor
	WaitDispatched // handed to a deferred executor, not yet begun
	WaitChildren
)

var waitingNames = [...]string{"", "queued", "scheduled", "dependency", "resource", "paused", "executor", "dispatched", "children"}

func (w Waiting) String() string {
	if int(w) < len(waitingNames) {
		return waitingNames[w]
	}
	return fmt.Sprintf("Waiting(%d)", uint8(w))
}

// Allowed says whether a task may go from one state to another. This table is
// the only one; every transition that the host makes is looked up in it.
func Allowed(from, to State) bool {
	if int(from) >= len(transitions) {
		return false
	}
	for _, s := range transitions[from] {
		if s == to {
			return true
		}
	}
	return false
}

// transitions is read-only. Pending to pending is a change of the reason to
// wait: promotion, hand-over to a deferred executor, withdrawal.
var transitions = [...][]State{
	None:         {Pending, Running},
	Pending:      {Pending, Running, Canceled, Failed, Skipped},
	Running:      {Succeeded, Failed, Pending, Canceling},
	Canceling:    {Canceled, Succeeded},
	Reverting:    {Reverted, RevertFailed},
	Succeeded:    {Reverting},
	Failed:       {Reverting, Pending},
	Canceled:     {Pending},
	Skipped:      {},
	Reverted:     {Pending},
	RevertFailed: {Reverting},
}
