// Package group is the rules of groups: tasks that belong together, counted by their
// states, with one finisher that runs when all are final. It does no I/O and has no
// clock; a store keeps groups by the port Store.
package group

import (
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// The bounds of what a client may ask for.
const (
	MaxName = 255 // bytes
)

// State is where a group is in its life.
type State string

// The states. A finished group whose member is retried by hand is closed again, until
// that one is final too.
const (
	Open     State = "open"     // tasks may join
	Closed   State = "closed"   // none may, and some are not final
	Finished State = "finished" // none may, and all are final
)

// Trashed is how members are counted that a worker found to be no use to anybody: they are
// failed, and no failures. It is no state of a task.
const Trashed = task.RevertFailed + 1

// Counts are numbers of members by state, those apart from the others that failed which
// are Trashed.
type Counts [Trashed + 1]int64

// Counted are what Counts has numbers of, in their order.
func Counted() []task.State { return append(task.States(), Trashed) }

// CountName is what clients and stores call the number of members that are counted so.
func CountName(s task.State) string {
	if s == Trashed {
		return "trashed"
	}
	return s.String()
}

// Total is how many there are.
func (c *Counts) Total() (n int64) {
	for _, m := range c {
		n += m
	}
	return n
}

// Done is how many are final.
func (c *Counts) Done() (n int64) {
	for _, s := range Counted() {
		if s == Trashed || s.Final() {
			n += c[s]
		}
	}
	return n
}

// Group is a group as a store keeps it.
type Group struct {
	ID     task.ID
	Owner  string
	Name   string
	Labels map[string]string
	// OnFinished is the task that is submitted, once in the group's life, when it is
	// finished; nil for none. Finisher is that task, once it is there.
	OnFinished *task.Spec
	Finisher   task.ID
	// Problem is why the finisher that is due could not be submitted; it is tried again.
	Problem string
	// Counts are of all that joined, those included that were deleted since they were final.
	Counts                          Counts
	CreatedAt, ClosedAt, FinishedAt time.Time
}

// State is where the group is.
func (g *Group) State() State {
	switch {
	case g.ClosedAt.IsZero():
		return Open
	case g.FinishedAt.IsZero():
		return Closed
	}
	return Finished
}

// Spec is what a client asks for.
type Spec struct {
	Name       string
	Labels     map[string]string
	OnFinished *task.Spec
	Open       bool // tasks may join later
}

// New makes the group that spec asks for. All that is wrong with the spec is in one
// error; the finisher's spec is the caller's to check.
func New(id task.ID, owner string, spec Spec, now time.Time) (Group, error) {
	var bad task.Faults
	bad.Check(len(spec.Name) <= MaxName, "name", "is longer than %d bytes", MaxName)
	bad.Labels("labels", spec.Labels)
	if spec.OnFinished != nil {
		bad.Check(spec.OnFinished.Group.IsZero() && spec.OnFinished.Parent.IsZero(), "on_finished", "belongs to a group or a parent: a finisher runs alone")
	}
	g := Group{ID: id, Owner: owner, Name: spec.Name, Labels: spec.Labels, OnFinished: spec.OnFinished, CreatedAt: now}
	if !spec.Open {
		g.ClosedAt = now
	}
	return g, bad.Err()
}
