package registry

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/taskhost/taskhost/host/task"
)

// typeLane is a lane of a type, with its route as it is read.
type typeLane struct {
	task.Lane
	route task.Route
}

// queued is a task that is queued in the lane, as it is shown: it may wait for an executor
// that does not take it.
func (g *Registry) queued(l typeLane) task.Task {
	return g.WithWaitReason(task.Task{State: task.Pending, Waiting: task.WaitQueued, Type: l.Type, Owner: l.Owner, Route: l.route,
		Pinned: l.Executor, Suspect: l.Suspect})
}

// countAsShown counts a lane's tasks as each of them is shown.
func (g *Registry) countAsShown(l typeLane) task.LaneCount {
	c := g.count(l.ID)
	if c.Ready > 0 && g.queued(l).Waiting == task.WaitExecutor {
		c.Ready, c.Waiting = 0, c.Waiting+c.Ready
	}
	return c
}

// notYet is why tasks wait that are not queued. The counts do not tell them apart.
const notYet = "scheduled for later, or waiting for children or a resource"

// Backlog counts all tasks of the scope that are not final, and says what those wait for
// that wait, most of them first.
func (g *Registry) Backlog(s task.Scope) (total task.LaneCount, backlog []task.Backlog) {
	groups := map[task.Backlog]int64{} // by what they wait for
	for _, lane := range g.store.Lanes(0) {
		if !s.All && lane.Owner != s.Owner {
			continue
		}
		l := typeLane{Lane: lane}
		l.route, _ = task.ParseRoute(lane.Route) // this program wrote it
		c := g.count(l.ID)
		total.Active += c.Active
		if c.Ready == 0 && c.Waiting == 0 {
			continue
		}
		t := g.queued(l)
		if c.Waiting > 0 {
			groups[task.Backlog{Type: l.Type, Executor: t.Executor, Reason: notYet}] += c.Waiting
		}
		total.Waiting += c.Waiting
		switch {
		case c.Ready == 0:
		case t.Waiting == task.WaitExecutor:
			total.Waiting += c.Ready
			groups[task.Backlog{Type: l.Type, Executor: t.Executor, Waiting: t.Waiting, Reason: t.WaitReason}] += c.Ready
		default:
			total.Ready += c.Ready
			groups[task.Backlog{Type: l.Type, Executor: t.Executor, Waiting: t.Waiting, Reason: g.queueReason(&t)}] += c.Ready
		}
	}
	for b, n := range groups {
		b.Tasks = n
		backlog = append(backlog, b)
	}
	slices.SortFunc(backlog, func(a, b task.Backlog) int {
		return cmp.Or(cmp.Compare(b.Tasks, a.Tasks), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Reason, b.Reason))
	})
	return total, backlog
}

// queueReason is why a queued task is not running though its executor takes it; "" if
// nothing keeps it.
func (g *Registry) queueReason(t *task.Task) string {
	x := g.byName[t.Executor]
	used, most := x.used.Load(), x.max.Load()
	switch {
	case t.Suspect:
		return "lost with what ran them: they run apart, one at a time"
	case used >= most:
		return fmt.Sprintf("all %d slots of executor %q are in use", most, x.Name)
	case x.OnDemand:
		return fmt.Sprintf("no worker has claimed them from executor %q", x.Name)
	}
	set := x.shares.Load()
	if own := set.byKey[set.keyOf(t.Type, t.Owner, t.Route.Canonical(), t.Suspect)]; own != nil && own.room() <= 0 {
		return fmt.Sprintf("the workers of executor %q that can run them are busy", x.Name)
	}
	return ""
}
