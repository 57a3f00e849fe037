package registry

import (
	"cmp"
	"context"
	"fmt"
	"maps"
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
	values := task.ParseValues(l.Values)
	t := task.Task{State: task.Pending, Waiting: task.WaitQueued, Type: l.Type, Owner: l.Owner, Route: l.route, Pinned: l.Executor, Suspect: l.Suspect}
	g.setWaitReason(&t, func(label string) (string, bool) { v, known := values[label]; return v, known })
	return t
}

// shownCounts counts the tasks of lanes as each of them is shown, and remembers how those of
// the last lane were: whose they are makes a difference only if a limit or a quota is in force.
type shownCounts struct {
	registry *Registry
	last     typeLane
	bounded  bool // the last lane's are
	wait     bool // for something else than their turn
}

func (s *shownCounts) of(l typeLane, c task.LaneCount) task.LaneCount {
	if c.Ready == 0 {
		return c
	}
	bounded := s.registry.Bounded(l.Type, l.Owner)
	if l.Type != s.last.Type || l.Route != s.last.Route || l.Executor != s.last.Executor || bounded || s.bounded {
		s.wait = s.registry.queued(l).Waiting != task.WaitQueued
		s.last = l
		s.bounded = bounded
	}
	if s.wait {
		c.Waiting += c.Ready
		c.Ready = 0
	}
	return c
}

// waiters are the tasks that wait for the same thing.
type waiters struct {
	task.Backlog
	lanes  []task.LaneID
	stored task.Waiting // their reason to wait, as it is stored
}

// oldestLanes bounds in how many lanes the oldest task of those is sought that wait for the
// same thing.
const oldestLanes = 100

// FullQueues are the types whose queue limit is reached, by name, up to so many.
func (g *Registry) FullQueues(most int) (full []task.FullQueue) {
	limits := map[string]int64{}
	for name, t := range *g.types.Load() {
		if t.Limits.QueueLimit > 0 {
			limits[name] = t.Limits.QueueLimit
		}
	}
	if len(limits) == 0 {
		return nil
	}
	lanes := slices.DeleteFunc(g.store.Lanes(0), func(l task.Lane) bool { return limits[l.Type] == 0 })
	waiting := map[string]int64{}
	for i, c := range g.count(lanes) {
		waiting[lanes[i].Type] += c.Ready + c.Waiting
	}
	for _, name := range slices.Sorted(maps.Keys(waiting)) {
		if n := waiting[name]; n >= limits[name] && len(full) < most {
			full = append(full, task.FullQueue{Type: name, Waiting: n, Limit: limits[name]})
		}
	}
	return full
}

// Backlog counts all tasks of the scope that are not final, and says what those wait for
// that wait: the reasons of most of them, most first, each with its oldest task.
func (g *Registry) Backlog(ctx context.Context, s task.Scope, most int) (total task.LaneCount, backlog []task.Backlog) {
	groups := map[task.Backlog]*waiters{} // by what they wait for
	lanes := g.store.Lanes(0)
	counts := g.count(lanes)
	show := shownCounts{registry: g}
	for i, lane := range lanes {
		if !s.All && lane.Owner != s.Owner {
			continue
		}
		l := typeLane{Lane: lane}
		l.route, _ = task.ParseRoute(lane.Route) // this program wrote it
		c := show.of(l, counts[i])
		total.Active += c.Active
		total.Ready += c.Ready
		total.Waiting += c.Waiting
		g.addBacklog(ctx, groups, l, counts[i].Ready)
	}
	all := slices.SortedFunc(maps.Values(groups), func(a, b *waiters) int {
		return cmp.Or(cmp.Compare(b.Tasks, a.Tasks), cmp.Compare(a.Type, b.Type), cmp.Compare(a.Waiting, b.Waiting), cmp.Compare(a.Reason, b.Reason))
	})
	for _, w := range all[:min(len(all), most)] {
		w.Oldest = g.oldestOf(ctx, w)
		backlog = append(backlog, w.Backlog)
	}
	return total, backlog
}

// addBacklog adds what waits in a lane, of which so many are queued.
func (g *Registry) addBacklog(ctx context.Context, groups map[task.Backlog]*waiters, l typeLane, queued int64) {
	reasons, err := g.store.Reasons(ctx, l.ID)
	if err != nil {
		g.log.Warn("why the tasks of a lane wait can't be counted", "lane", l.ID, "error", err)
	}
	if queued == 0 && reasons == (task.ReasonCounts{}) {
		return
	}
	t := g.queued(l)
	add := func(w, stored task.Waiting, reason string, n int64) {
		if n <= 0 {
			return
		}
		b := task.Backlog{Type: l.Type, Executor: t.Executor, Waiting: w, Reason: reason}
		if groups[b] == nil {
			groups[b] = &waiters{Backlog: b, stored: stored}
		}
		groups[b].Tasks += n
		groups[b].lanes = append(groups[b].lanes, l.ID)
	}
	for w, n := range reasons {
		add(task.Waiting(w), task.Waiting(w), "", n)
	}
	switch {
	case queued == 0:
	case t.Waiting != task.WaitQueued:
		add(t.Waiting, task.WaitQueued, t.WaitReason, queued)
	default:
		add(t.Waiting, task.WaitQueued, g.queueReason(&t), queued)
	}
}

// oldestOf is the oldest of tasks that wait for the same thing; none of those whose time is
// still to come, or which an executor has.
func (g *Registry) oldestOf(ctx context.Context, w *waiters) (oldest task.Oldest) {
	if w.stored == task.WaitScheduled || w.stored == task.WaitDispatched {
		return oldest
	}
	for _, l := range w.lanes[:min(len(w.lanes), oldestLanes)] {
		o, err := g.store.Oldest(ctx, l, w.stored)
		if err != nil {
			g.log.Warn("the oldest task of a lane can't be found", "lane", l, "error", err)
			return oldest
		}
		if !o.ID.IsZero() && (oldest.ID.IsZero() || o.CreatedAt.Before(oldest.CreatedAt)) {
			oldest = o
		}
	}
	return oldest
}

// queueReason is why a queued task is not running though its executor takes it; "" if
// nothing keeps it.
func (g *Registry) queueReason(t *task.Task) string {
	x := g.byName[t.Executor]
	used, most := x.used.Load(), x.max.Load()
	switch {
	case t.WaitReason != "":
		return t.WaitReason
	case t.Suspect:
		return "lost with what ran them: they run apart, one at a time"
	case used >= most:
		return fmt.Sprintf("all %d slots of executor %q are in use", most, x.Name)
	case x.OnDemand:
		if least := g.LimitsOf(t.Type).MinVersion; least != "" {
			return fmt.Sprintf("no worker of version %s or newer has claimed them from executor %q", least, x.Name)
		}
		return fmt.Sprintf("no worker has claimed them from executor %q", x.Name)
	}
	set := x.shares.Load()
	if own := set.byKey[set.keyOf(t.Type, t.Owner, t.Route.Canonical(), t.Suspect)]; own != nil && own.room() <= 0 {
		return fmt.Sprintf("the workers of executor %q that can run them are busy", x.Name)
	}
	return ""
}
