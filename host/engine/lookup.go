package engine

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// lookup finds a type and who would run it, for a submit that may pin an executor.
func (g *registry) lookup(name, pinned string) (*taskType, *executor, error) {
	types := *g.types.Load()
	t := types[name]
	if t == nil {
		return nil, nil, g.notOffered(name, types)
	}
	if pinned == "" {
		return t, t.executor, nil
	}
	x := g.byName[pinned]
	if x == nil {
		return nil, nil, &task.Error{Code: task.CodeInvalidRequest, Message: fmt.Sprintf("no executor is named %q; there are: %s", pinned, strings.Join(slices.Sorted(maps.Keys(g.byName)), ", ")),
			Fields: []task.FieldError{{Path: []string{"executor"}, Message: "unknown"}}}
	}
	o := x.offer.Load()
	switch {
	case x == t.executor:
		return t, x, nil
	case o.has(name):
		return g.newType(name, x, o), x, nil
	case x.neverDescribed():
		return nil, nil, unavailable("executor %q has not said yet what it offers: %s; try again soon", pinned, x.why())
	}
	return nil, nil, &task.Error{Code: task.CodeInvalidRequest, Message: fmt.Sprintf("executor %q does not offer task type %q", pinned, name),
		Fields: []task.FieldError{{Path: []string{"executor"}, Message: "does not offer the type"}}}
}

// notOffered tells a type that is unknown for good from one that may come: one that config
// places on an executor, or that an executor may offer which was not heard yet.
func (g *registry) notOffered(name string, types map[string]*taskType) error {
	if placed := (*g.config.Load())[name].Executor; placed != "" {
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
func (x *executor) why() string {
	s := x.describe()
	if s.Reason == "" {
		return fmt.Sprintf("it is %s", s.State)
	}
	return fmt.Sprintf("it is %s (%s)", s.State, s.Reason)
}

func knownNames(types map[string]*taskType) string {
	names := slices.Sorted(maps.Keys(types))
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// serving is the executor that would run the task now; nil if it is not in the config.
func (g *registry) serving(t *task.Task) *executor {
	if t.Pinned != "" {
		return g.byName[t.Pinned]
	}
	if ty := (*g.types.Load())[t.Type]; ty != nil {
		return ty.executor
	}
	return nil
}

// limitsOf are the limits under which a stored task runs.
func (g *registry) limitsOf(taskType string) task.Limits {
	if ty := (*g.types.Load())[taskType]; ty != nil {
		return ty.limits
	}
	return task.DefaultLimits()
}

// waiting is how many tasks of the type wait, whoever is to run them.
func (g *registry) waiting(taskType string) (n int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if ty := (*g.types.Load())[taskType]; ty != nil {
		for _, l := range ty.lanes {
			c := g.store.Count(l)
			n += c.Ready + c.Waiting
		}
	}
	return n
}

// Types are the task types that are known, by name.
func (e *Engine) Types() []task.TypeStatus {
	e.registry.mu.Lock()
	defer e.registry.mu.Unlock()
	var out []task.TypeStatus
	for _, t := range *e.registry.types.Load() {
		s := task.TypeStatus{
			Name: t.info.Name, Description: t.info.Description, Input: t.info.Input, Result: t.info.Result,
			Revertible: t.info.Revertible, Executor: t.executor.Name, Limits: t.limits,
			Available: t.executor.ready() && t.executor.runs(t.info.Name, nil),
		}
		for _, l := range t.lanes {
			c := e.store.Count(l)
			s.Counts.Ready += c.Ready
			s.Counts.Waiting += c.Waiting
			s.Counts.Active += c.Active
		}
		out = append(out, s)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// Executors are all executors, in the config's order.
func (e *Engine) Executors() []task.ExecutorStatus {
	out := make([]task.ExecutorStatus, 0, len(e.registry.executors))
	for _, x := range e.registry.executors {
		s := x.describe()
		s.Nodes = x.liveNodes(e.ctx)
		out = append(out, s)
	}
	return out
}
