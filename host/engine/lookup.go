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
func (g *reg) lookup(name, pinned string) (*typ, *runner, error) {
	types := *g.types.Load()
	t := types[name]
	if t == nil {
		if r := g.unheard(name); r != nil {
			return nil, nil, &task.Error{Code: task.CodeExecutorUnavailable, RetryAfter: time.Second,
				Message: fmt.Sprintf("task type %q is not known yet: executor %q is starting and has not said what it offers; try again soon", name, r.Name)}
		}
		return nil, nil, &task.Error{Code: task.CodeUnknownType, Message: fmt.Sprintf("no executor offers task type %q; known types: %s", name, knownNames(types)),
			Fields: []task.FieldError{{Pointer: "/type", Message: "unknown"}}}
	}
	if pinned == "" {
		return t, t.server, nil
	}
	r := g.byName[pinned]
	if r == nil {
		return nil, nil, &task.Error{Code: task.CodeInvalidRequest, Message: fmt.Sprintf("no executor is named %q; there are: %s", pinned, strings.Join(slices.Sorted(maps.Keys(g.byName)), ", ")),
			Fields: []task.FieldError{{Pointer: "/executor", Message: "unknown"}}}
	}
	info, ok := r.offer.Load().types[name]
	if !ok && r.unheard() {
		return nil, nil, &task.Error{Code: task.CodeExecutorUnavailable, RetryAfter: time.Second,
			Message: fmt.Sprintf("executor %q is starting and has not said what it offers; try again soon", pinned)}
	}
	if !ok {
		return nil, nil, &task.Error{Code: task.CodeInvalidRequest, Message: fmt.Sprintf("executor %q does not offer task type %q", pinned, name),
			Fields: []task.FieldError{{Pointer: "/executor", Message: "does not offer the type"}}}
	}
	if r == t.server {
		return t, r, nil
	}
	own := &typ{info: info, server: r, limits: g.limits(name, info, r), schema: t.schema}
	if string(info.Input) != string(t.info.Input) {
		own.schema, _ = newValidator(name, info.Input)
	}
	return own, r, nil
}

// unheard is an executor that is starting for the first time, if there is one:
// until it has described itself nobody can say which types are unknown. One that
// has just offered this type, which is not yet known to all, counts as well.
func (g *reg) unheard(name string) *runner {
	for _, r := range g.runners {
		if _, offers := r.offer.Load().types[name]; offers || r.unheard() {
			return r
		}
	}
	return nil
}

func (r *runner) unheard() bool {
	o, state := r.offer.Load(), r.status().State
	return !o.Live && len(o.types) == 0 && (state == task.ExecutorStarting || state == task.ExecutorReady)
}

func knownNames(types map[string]*typ) string {
	names := slices.Sorted(maps.Keys(types))
	if len(names) == 0 {
		return "none"
	}
	return strings.Join(names, ", ")
}

// limitsOf are the limits under which a stored task runs.
func (g *reg) limitsOf(typ string) task.Limits {
	if ty := (*g.types.Load())[typ]; ty != nil {
		return ty.limits
	}
	return task.DefaultLimits()
}

// waiting is how many tasks of the type wait, whoever is to run them.
func (g *reg) waiting(typ string) (n int64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if ty := (*g.types.Load())[typ]; ty != nil {
		for _, l := range ty.lanes {
			c := g.e.store.Count(l)
			n += c.Ready + c.Waiting
		}
	}
	return n
}

// Types are the task types that are known, by name.
func (e *Engine) Types() []task.TypeStatus {
	e.reg.mu.Lock()
	defer e.reg.mu.Unlock()
	var out []task.TypeStatus
	for _, t := range *e.reg.types.Load() {
		s := task.TypeStatus{
			Name: t.info.Name, Description: t.info.Description, Input: t.info.Input, Result: t.info.Result,
			Revertible: t.info.Revertible, Executor: t.server.Name, Limits: t.limits,
			Available: t.server.ready() && t.server.runs(t.info.Name, nil),
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
	out := make([]task.ExecutorStatus, 0, len(e.reg.runners))
	for _, r := range e.reg.runners {
		s := r.describe()
		s.Nodes = r.liveNodes(e.ctx)
		out = append(out, s)
	}
	return out
}

func (r *runner) describe() task.ExecutorStatus {
	s := r.status()
	o := r.offer.Load()
	s.Name, s.Plugin = r.Name, r.Plugin
	s.Used, s.Max = int(r.used.Load()), int(r.max.Load())
	s.Types = slices.Sorted(maps.Keys(o.types))
	if r.paused.Load() && s.State == task.ExecutorReady {
		s.State, s.Reason = task.ExecutorPaused, "paused by an operator"
	}
	return s
}
