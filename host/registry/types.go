package registry

import (
	"context"
	"fmt"
	"maps"

	"slices"
	"sort"
	"strings"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// Lookup finds a type and who would run it, for a submit that may pin an executor.
func (g *Registry) Lookup(name, pinned string) (*Type, *Executor, error) {
	types := *g.types.Load()
	t := types[name]
	if t == nil {
		return nil, nil, g.notOffered(name, types)
	}
	if pinned == "" {
		return t, t.Executor, nil
	}
	x := g.byName[pinned]
	if x == nil {
		return nil, nil, &task.Error{Code: task.CodeInvalidRequest, Message: fmt.Sprintf("no executor is named %q; there are: %s", pinned, strings.Join(g.names(), ", ")),
			Fields: []task.FieldError{{Path: []string{"executor"}, Message: "unknown"}}}
	}
	o := x.offer.Load()
	switch {
	case x == t.Executor:
		return t, x, nil
	case o.has(name), t.put:
		return g.newType(name, x, o), x, nil
	case x.neverDescribed():
		return nil, nil, unavailable("executor %q has not said yet what it offers: %s; try again soon", pinned, x.why())
	}
	return nil, nil, &task.Error{Code: task.CodeInvalidRequest, Message: fmt.Sprintf("executor %q does not offer task type %q", pinned, name),
		Fields: []task.FieldError{{Path: []string{"executor"}, Message: "does not offer the type"}}}
}

// names are the names that an operator gave executors, in order.
func (g *Registry) names() (names []string) {
	for _, x := range g.executors {
		if x.Listed() {
			names = append(names, x.Name)
		}
	}
	slices.Sort(names)
	return names
}

// notOffered tells a type that is unknown for good from one that may come: one that config
// places on an executor, or that an executor may offer which was not heard yet.
func (g *Registry) notOffered(name string, types map[string]*Type) error {
	if placed := g.placed(name); placed != "" {
		if x := g.byName[placed]; x != nil {
			return unavailable("task type %q is placed on executor %q, which does not offer it yet: %s; try again soon", name, placed, x.why())
		}
	}
	for _, x := range g.executors { // a moment ago; it is about to be known to all
		if x.offer.Load().has(name) {
			return unavailable("task type %q is not known yet: executor %q has just begun to offer it; try again soon", name, x.Name)
		}
	}
	for _, x := range g.executors {
		if x.neverDescribed() {
			return unavailable("task type %q is not known yet: executor %q has not said what it offers: %s; try again soon", name, x.Name, x.why())
		}
	}
	return &task.Error{Code: task.CodeUnknownType, Message: fmt.Sprintf("no executor offers task type %q; known types: %s", name, knownNames(types)),
		Fields: []task.FieldError{{Path: []string{"type"}, Message: "unknown"}}}
}

func unavailable(format string, args ...any) error {
	return &task.Error{Code: task.CodeExecutorUnavailable, RetryAfter: time.Second, Message: fmt.Sprintf(format, args...)}
}

// why is the executor's state with its reason, for a sentence.
func (x *Executor) why() string {
	s := x.Status()
	if s.Reason == "" {
		return fmt.Sprintf("it is %s", s.State)
	}
	return fmt.Sprintf("it is %s (%s)", s.State, s.Reason)
}

func knownNames(types map[string]*Type) string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(types)) {
		if x := types[name].Executor; x == nil || !x.Own {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// Serving is the executor that would run the task now; nil if it is not in the config.
func (g *Registry) Serving(t *task.Task) *Executor {
	if t.Pinned != "" {
		return g.byName[t.Pinned]
	}
	if ty := (*g.types.Load())[t.Type]; ty != nil {
		return ty.Executor
	}
	return nil
}

// ServedBy are the types that an executor serves now, of tasks that pin none.
func (g *Registry) ServedBy(executor string) (names []string) {
	for name, t := range *g.types.Load() {
		if t.Executor != nil && t.Executor.Name == executor {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

// Runs says whether an executor can run the task now.
func (g *Registry) Runs(x *Executor, t *task.Task) bool {
	return x.Runs(t.Type, t.Route, g.LimitsOf(t.Type).MinVersion)
}

// LimitsOf are the limits under which a stored task runs. They are not to be changed.
func (g *Registry) LimitsOf(taskType string) *task.Limits {
	if ty := (*g.types.Load())[taskType]; ty != nil {
		return &ty.Limits
	}
	return new(task.DefaultLimits())
}

// count is about what lanes hold at one moment; nothing if the store can't say.
func (g *Registry) count(lanes []task.Lane) []task.LaneCount {
	ids := make([]task.LaneID, len(lanes))
	for i := range lanes {
		ids[i] = lanes[i].ID
	}
	n, err := g.store.Count(context.Background(), ids)
	if err != nil {
		g.log.Warn("the tasks of lanes can't be counted", "lanes", len(lanes), "error", err)
		return make([]task.LaneCount, len(lanes))
	}
	return n
}

// Types are the task types that are known, by name; of tasks, those of the scope are counted.
func (g *Registry) Types(s task.Scope) []task.TypeStatus {
	g.mu.Lock()
	defer g.mu.Unlock()
	var out []task.TypeStatus
	for _, t := range *g.types.Load() {
		if t.Executor != nil && t.Executor.Own {
			continue
		}
		ty := task.TypeStatus{
			Name: t.info.Name, Description: t.info.Description, Input: t.info.Input, Result: t.info.Result,
			Revertible: t.info.Revertible, Limits: t.Limits, Origins: g.origins(t),
		}
		if x := t.Executor; x != nil {
			ty.Executor = x.Name
			ty.Available = x.Ready() && x.Runs(t.info.Name, nil, t.Limits.MinVersion)
		}
		if stored := (*g.stored.Load())[t.info.Name]; stored != nil {
			ty.Paused = stored.paused
		}
		lanes := make([]task.Lane, 0, len(t.lanes))
		shown := make([]typeLane, 0, len(t.lanes))
		for _, l := range t.lanes {
			if s.All || l.Owner == s.Owner {
				lanes = append(lanes, l.Lane)
				shown = append(shown, l)
			}
		}
		show := shownCounts{registry: g}
		for i, c := range g.count(lanes) {
			c = show.of(shown[i], c)
			ty.Counts.Ready += c.Ready
			ty.Counts.Waiting += c.Waiting
			ty.Counts.Active += c.Active
		}
		out = append(out, ty)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// Statuses are all executors as operators see them, with what their nodes do at this
// moment, in the config's order.
func (g *Registry) Statuses(ctx context.Context) []task.ExecutorStatus {
	out := make([]task.ExecutorStatus, 0, len(g.executors))
	for _, x := range g.executors {
		if !x.Listed() {
			continue
		}
		s := x.Status()
		s.Nodes = x.LiveNodes(ctx)
		out = append(out, s)
	}
	return out
}
