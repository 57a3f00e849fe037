package task

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// What can be done to all tasks that match a filter.
const (
	ActionCancel   = "cancel"
	ActionDelete   = "delete"
	ActionMove     = "move"     // waiting tasks to another executor
	ActionPause    = "pause"    // what waits at once, what runs if its script agrees
	ActionPriority = "priority" // of waiting tasks
	ActionResume   = "resume"
	ActionRetry    = "retry"
)

// Action is what is done to all tasks that match a filter.
type Action struct {
	Action string          `json:"action"` // one of the above
	Filter Filter          `json:"filter"`
	To     json.RawMessage `json:"to,omitempty"`  // of a move the executor's name, or null for whom config says; of a priority the number
	All    bool            `json:"all,omitempty"` // of all owners' tasks
}

// actionStates are the states of the tasks that an action is for.
var actionStates = map[string][]State{
	ActionCancel: {Pending, Running}, ActionPause: {Pending, Running}, ActionResume: {Pending}, ActionMove: {Pending}, ActionPriority: {Pending},
	ActionRetry: {Failed, Canceled, Reverted}, ActionDelete: {Succeeded, Failed, Canceled, Skipped, Reverted, RevertFailed},
}

// ActionNames are what can be done, in order.
func ActionNames() []string {
	names := make([]string, 0, len(actionStates))
	for name := range actionStates {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// Check says what is wrong with the action, but for the name of an executor.
func (a *Action) Check() error {
	names := strings.Join(ActionNames(), ", ")
	if _, known := actionStates[a.Action]; !known {
		return &Error{Code: CodeInvalidRequest, Message: fmt.Sprintf("%q is not an action: want one of %s", a.Action, names),
			Fields: []FieldError{{Path: []string{"action"}, Message: "is none of " + names}}}
	}
	switch a.Action {
	case ActionMove:
		var name *string
		if len(a.To) == 0 || json.Unmarshal(a.To, &name) != nil {
			return BadActionTarget("is neither an executor's name nor null")
		}
	case ActionPriority:
		var n *int
		if len(a.To) == 0 || json.Unmarshal(a.To, &n) != nil || n == nil || *n < -MaxPriority || *n > MaxPriority {
			return BadActionTarget("is not a number between -%d and %d", MaxPriority, MaxPriority)
		}
	default:
		if len(a.To) > 0 {
			return BadActionTarget("is given, and %s takes none", a.Action)
		}
	}
	return nil
}

// BadActionTarget is what is wrong with an action's To.
func BadActionTarget(format string, args ...any) error {
	message := fmt.Sprintf(format, args...)
	return &Error{Code: CodeInvalidRequest, Message: "to " + message, Fields: []FieldError{{Path: []string{"to"}, Message: message}}}
}

// Executor is the executor that tasks are moved to; "" for whom config says. Call Check before.
func (a *Action) Executor() (name string) {
	_ = json.Unmarshal(a.To, &name) // checked
	return name
}

// Priority is the priority that tasks get. Call Check before.
func (a *Action) Priority() (n int) {
	_ = json.Unmarshal(a.To, &n) // checked
	return n
}

// Narrow holds the filter to the states of tasks that the action is for. none says that
// nothing is left.
func (a *Action) Narrow() (none bool) {
	possible := actionStates[a.Action]
	if len(a.Filter.States) == 0 {
		a.Filter.States = possible
		return false
	}
	a.Filter.States = slices.DeleteFunc(slices.Clone(a.Filter.States), func(s State) bool { return !slices.Contains(possible, s) })
	return len(a.Filter.States) == 0
}
