package task

import (
	"cmp"
	"strings"
)

// ByHost is who makes a transition that nobody asked for, and no executor told of.
const ByHost = "host"

// ByExecutor is who makes a transition that an executor told of: how an attempt ended.
func ByExecutor(name string) string { return "executor " + name }

// Via is someone who acts through something of theirs: an action, a group, a schedule, or a
// task that spawned others.
func Via(someone, kind string, id ID) string {
	return someone + " (" + kind + " " + id.String() + ")"
}

// someone is who acts, without through what.
func someone(by string) string {
	if i := strings.LastIndex(by, " ("); i > 0 {
		return by[:i]
	}
	return by
}

// Actor is who acts in a scope, as the history of tasks has it.
func (s Scope) Actor() string { return cmp.Or(s.By, s.Owner) }

// Creator is who made a task.
func (t *Task) Creator() string {
	switch {
	case t.CreatedBy != "":
		return t.CreatedBy
	case t.Owner == "":
		return ByHost
	case !t.Parent.IsZero():
		return Via(t.Owner, "task", t.Parent)
	}
	return t.Owner
}

// Canceler is who cancels the children of a canceled task, one of which is given: who
// canceled the parent, or else the owner, through the parent.
func Canceler(parent, child *Task) string {
	return Via(cmp.Or(someone(parent.RequestedBy), child.Owner), "task", child.Parent)
}
