package task

import "slices"

// Transition is a change of a task's state, as those hear of it who listen to all tasks.
type Transition struct {
	Event Event
	// Task is the task as lists show it: as the transition left it or, where it is told
	// after the fact, as it was later.
	Task Task
}

// EventFilter selects transitions. Empty fields match all.
type EventFilter struct {
	States []State // that they lead to
	Types  []string
	Owner  string
	Group  ID // of which the tasks are members
}

// Selects says that a transition within the scope is asked for.
func (f *EventFilter) Selects(s Scope, t *Transition) bool {
	return (s.All || s.Owner == t.Task.Owner) && (f.Owner == "" || f.Owner == t.Task.Owner) && (f.Group.IsZero() || f.Group == t.Task.Group) &&
		(len(f.States) == 0 || slices.Contains(f.States, t.Event.To)) && (len(f.Types) == 0 || slices.Contains(f.Types, t.Task.Type))
}

// PlacedTransition is a transition with its place among those of all tasks.
type PlacedTransition struct {
	// Place is where to go on after it: it rises with each, over restarts too.
	Place int64
	Transition
}

// EventPage is some of what happened to tasks.
type EventPage struct {
	Events []PlacedTransition // in the order of their commits
	Next   int64              // where to go on; also past what was not asked for
	// Gap says that what happened before Next can't be told any more.
	Gap bool
}

// Stub is a task as lists show it, for who keeps it for a while: without what may be large.
func (t *Task) Stub() Task {
	s := *t
	s.Input = nil
	s.Result = nil
	s.Checkpoint = nil
	s.Handle = nil
	s.Token = Token{}
	s.Spawner = Token{}
	s.OnConflict = nil
	if t.Error != nil && len(t.Error.Details) > 0 {
		s.Error = &Failure{Code: t.Error.Code, Message: t.Error.Message, Attempt: t.Error.Attempt}
	}
	return s
}
