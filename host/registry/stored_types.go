package registry

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// storedType is what is on record of a task type: what a client has put, and the
// operator's word.
type storedType struct {
	put    bool
	spec   task.TypeSpec
	schema *validator // of spec.Input; nil if it has none
	paused bool
}

// describe lays what was put over what an executor says of the type.
func (s *storedType) describe(t *Type) {
	t.put = s.put
	if s.spec.Description != "" {
		t.info.Description = s.spec.Description
	}
	if len(s.spec.Input) > 0 {
		t.info.Input = s.spec.Input
		t.schema = s.schema
		t.marked = t.marked.and(s.schema.secrets())
	}
	if len(s.spec.Result) > 0 {
		t.info.Result = s.spec.Result
	}
}

// origins says whose word holds of each value of a type.
func (g *Registry) origins(t *Type) map[string]task.Origin {
	offered, put, config := g.layers(t)
	out := task.LimitOrigins(&offered, &put, &config)
	stored := (*g.stored.Load())[t.info.Name]
	for _, v := range []struct {
		name       string
		put, there bool
	}{
		{"description", stored != nil && stored.spec.Description != "", t.info.Description != ""},
		{"input", stored != nil && len(stored.spec.Input) > 0, len(t.info.Input) > 0},
		{"result", stored != nil && len(stored.spec.Result) > 0, len(t.info.Result) > 0},
		{"executor", put.Executor != "" && config.Executor == "", t.Executor != nil},
	} {
		switch {
		case v.put:
			out[v.name] = task.OriginAPI
		case v.name == "executor" && config.Executor != "":
			out[v.name] = task.OriginConfig
		case v.there:
			out[v.name] = task.OriginExecutor
		default:
			out[v.name] = task.OriginDefault
		}
	}
	return out
}

// loadTypes reads what is on record of types.
func (g *Registry) loadTypes(ctx context.Context) error {
	all, err := g.store.Types(ctx)
	if err != nil {
		return fmt.Errorf("read what was said of task types: %w", err)
	}
	types := map[string]*storedType{}
	for _, s := range all {
		n := &storedType{put: len(s.Spec) > 0, paused: s.Paused}
		if n.put {
			err := json.Unmarshal(s.Spec, &n.spec)
			if err == nil {
				n.schema, err = newValidator(s.Name, n.spec.Input)
			}
			if err != nil {
				g.log.Error("what was said of a task type cannot be read, and is not in force; put it again", "type", s.Name, "error", err)
				n.spec = task.TypeSpec{}
			}
		}
		n.spec.Name = s.Name
		types[s.Name] = n
	}
	g.stored.Store(&types)
	return nil
}

// change puts on record what is said of a type, by save, and in force what it is then.
func (g *Registry) change(name string, save func() error, change func(was *storedType) *storedType) error {
	g.saving.Lock()
	defer g.saving.Unlock()
	if err := save(); err != nil {
		return err
	}
	types := maps.Clone(*g.stored.Load())
	was := types[name]
	if was == nil {
		was = &storedType{spec: task.TypeSpec{Name: name}}
	}
	is := *was
	if n := change(&is); n != nil {
		types[name] = n
	} else {
		delete(types, name)
	}
	g.stored.Store(&types)
	return g.rebuild()
}

// PutType keeps what a client says of a type, in place of what it said before, and puts it
// in force. created says that there was no such type. invalid_request where it is wrong.
func (g *Registry) PutType(ctx context.Context, spec task.TypeSpec) (created bool, err error) {
	if err := g.checkSpec(&spec); err != nil {
		return false, err
	}
	schema, err := newValidator(spec.Name, spec.Input)
	if err != nil {
		return false, badField("input", "is no schema that can be taken: "+err.Error())
	}
	if err := checkResultSchema(spec.Name, spec.Result); err != nil {
		return false, badField("result", "is no schema that can be taken: "+err.Error())
	}
	data, err := json.Marshal(&spec)
	if err != nil {
		return false, err
	}
	_, known := (*g.types.Load())[spec.Name]
	err = g.change(spec.Name, func() error { return g.store.PutType(ctx, spec.Name, data) }, func(was *storedType) *storedType {
		return &storedType{put: true, spec: spec, schema: schema, paused: was.paused}
	})
	if err == nil {
		g.log.Info("a task type was put", "type", spec.Name)
	}
	return !known, err
}

// checkSpec says what is wrong with what a client says of a type, but for its schemas.
func (g *Registry) checkSpec(spec *task.TypeSpec) error {
	if !sdk.ValidTypeName(spec.Name) {
		return task.Errorf(task.CodeInvalidRequest, "%q is no name for a task type: it has 1 to 100 letters, digits, '.', '_' and '-', and begins with a letter", spec.Name)
	}
	if t := (*g.types.Load())[spec.Name]; t != nil && t.Executor != nil && t.Executor.Own {
		return task.Errorf(task.CodeConflict, "task type %q is the host's own", spec.Name)
	}
	if spec.Board {
		boards := g.OnDemand()
		switch {
		case len(boards) == 0:
			return badField("board", "is true, and this host has no board")
		case spec.Executor == "":
			spec.Executor = boards[0].Name
		case !slices.ContainsFunc(boards, func(x *Executor) bool { return x.Name == spec.Executor }):
			return badField("board", fmt.Sprintf("is true, and executor %q is none: leave one of them out", spec.Executor))
		}
	}
	if x := g.byName[spec.Executor]; spec.Executor != "" && (x == nil || x.Own) {
		return badField("executor", fmt.Sprintf("is %q, and no executor is named so; there are: %s", spec.Executor, strings.Join(g.names(), ", ")))
	}
	return spec.Check()
}

func badField(name, text string) error {
	var bad task.Faults
	bad.Check(false, name, "%s", text)
	return bad.Err()
}

// ControlType pauses or resumes a type. The pause is on record and in force when it
// returns, and outlasts the host; conflict if the type is so already.
func (g *Registry) ControlType(ctx context.Context, name, action string) error {
	t := (*g.types.Load())[name]
	if t == nil || t.Executor != nil && t.Executor.Own {
		return noType(name)
	}
	pause := action == "pause"
	if !pause && action != "resume" {
		return task.Errorf(task.CodeInvalidRequest, "%q is no action on a task type: pause and resume are", action)
	}
	stored := (*g.stored.Load())[name]
	switch is := stored != nil && stored.paused; {
	case is && pause:
		return task.Errorf(task.CodeConflict, "task type %q is paused already: resume has attempts begin again", name)
	case !is && !pause:
		return task.Errorf(task.CodeConflict, "task type %q is not paused", name)
	}
	err := g.change(name, func() error { return g.store.PauseType(ctx, name, pause) }, func(was *storedType) *storedType {
		was.paused = pause
		if !was.put && !pause {
			return nil
		}
		return was
	})
	if err == nil {
		g.log.Info("an operator's "+action+" of a task type", "type", name)
	}
	return err
}

func noType(name string) error {
	return task.Errorf(task.CodeNotFound, "no task type is named %q", name)
}

// DeleteType forgets what clients said of a type. not_found if there is none, conflict
// if none said anything of it, or while tasks of it are not final.
func (g *Registry) DeleteType(ctx context.Context, name string) error {
	if err := g.CheckDeletable(name); err != nil {
		return err
	}
	err := g.change(name, func() error { return g.store.DeleteType(ctx, name) }, func(*storedType) *storedType { return nil })
	if err == nil {
		g.log.Info("a task type was deleted", "type", name)
	}
	return err
}

// CheckDeletable says why what clients said of a type can't be forgotten, whatever tasks
// there are.
func (g *Registry) CheckDeletable(name string) error {
	if s := (*g.stored.Load())[name]; s != nil && s.put {
		return nil
	}
	t := (*g.types.Load())[name]
	if t == nil || t.Executor == nil || t.Executor.Own {
		return noType(name)
	}
	return task.Errorf(task.CodeConflict, "task type %q is offered by executor %q, and nobody has put it: there is nothing to delete", name, t.Executor.Name)
}

// startLimits are the limits on when attempts begin that are in force in the store.
type startLimits struct {
	byType map[string]task.StartLimits
	rates  bool // one of them is a rate
}

// setStartLimits puts limits on when attempts begin in force in the store; g.mu is held.
func (g *Registry) setStartLimits(types map[string]*Type) error {
	n := &startLimits{byType: map[string]task.StartLimits{}}
	for name, t := range types {
		if l := t.Limits.Start(); !l.None() {
			n.byType[name] = l
			n.rates = n.rates || l.Rate != (task.Rate{})
		}
	}
	for name, s := range *g.stored.Load() {
		if s.paused {
			l := n.byType[name]
			l.Paused = true
			n.byType[name] = l
		}
	}
	if was := g.limits.Load(); len(n.byType) == 0 && len(was.byType) == 0 || reflect.DeepEqual(n.byType, was.byType) {
		return nil
	}
	err := g.store.SetStartLimits(context.Background(), n.byType)
	switch {
	case err == nil:
		g.limits.Store(n)
	case task.CodeOf(err) != task.CodeStoreUnavailable && !errors.Is(err, context.Canceled):
		g.log.Error("cannot put the limits of task types in force; the ones before stay", "error", err)
	}
	return err
}

// AnyLimited says whether a limit on when attempts begin is in force for any type, and whether
// one is a rate.
func (g *Registry) AnyLimited() (limited, rates bool) {
	l := g.limits.Load()
	return len(l.byType) > 0, l.rates
}

// MayBegin says, as far as is known without the store's commit, that no limit of its type or
// its owner keeps an attempt at the task from beginning.
func (g *Registry) MayBegin(t *task.Task) bool {
	if !g.Bounded(t.Type, t.Owner) {
		return true
	}
	b := g.store.StartBlock(t.Type, t.Owner, func(label string) (string, bool) { return t.Labels[label], true })
	return !b.Any()
}
