package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// spawn makes a child of the attempt's task, or finds the one of that name.
func (a *attempt) spawn(ctx context.Context, c sdk.Child) (string, error) {
	input, _ := c.Input.(json.RawMessage) // the reporter sees to it
	children, _, err := a.spawnAll(ctx, []task.Spec{{Type: c.Type, Name: c.Name, Input: input, Executor: c.Executor, Priority: c.Priority,
		Labels: c.Labels, Route: c.Route, Timeout: c.Timeout, Deadline: c.Deadline, MaxAttempts: c.MaxAttempts, MaxLost: c.MaxLost, Retain: c.Retain,
		Resources: task.Resources{Exclusive: c.Exclusive, Shared: c.Shared}}}, nil)
	if err != nil {
		return "", spawnRefused(c.Name, err)
	}
	return children[0].ID.String(), nil
}

// spawnRefused tells a script which child it cannot have, and whether that is worth another try.
func spawnRefused(name string, err error) error {
	var e *task.Error
	if !errors.As(err, &e) {
		return fmt.Errorf("spawn %q: %w", name, err)
	}
	said := fmt.Sprintf("spawn %q: %s", name, e.Message)
	for _, f := range e.Fields {
		said += fmt.Sprintf("; %s %s", strings.TrimPrefix(f.Place(), "/"), f.Message)
	}
	switch err := errors.New(said); e.Code {
	case task.CodeInternal:
		return err
	case task.CodeQueueFull, task.CodeQuotaExceeded, task.CodeExecutorUnavailable, task.CodeStoreUnavailable, task.CodeStoreFull:
		return sdk.RetryAfter(err, max(e.RetryAfter, time.Second))
	default:
		return sdk.Permanent(err)
	}
}

// Spawn makes children of the task that the attempt with that token runs: all, or none. Of
// those whose names it has already it gives what is there, and replayed says that it is so of
// all of them. forbidden if a spec names another parent; not_found without such an attempt.
func (e *Engine) Spawn(ctx context.Context, token task.Token, specs []task.Spec, idem *task.Idempotency) (children []task.Task, replayed bool, err error) {
	a := e.byToken(token)
	if a == nil {
		return nil, false, noAttempt()
	}
	for i, s := range specs {
		if s.Parent != a.id {
			return nil, false, task.WithTaskNumber(&task.Error{Code: task.CodeForbidden, Message: "the token is of an attempt at another task: an attempt spawns children of its own",
				Fields: []task.FieldError{{Path: []string{"parent"}, Message: "is not the task that the attempt of this token runs"}}}, i, len(specs))
		}
	}
	if idem != nil {
		idem.Owner = a.owner()
		if first, replayed, err := e.replayed(ctx, task.Scope{All: true}, idem); err != nil || replayed {
			return first, replayed, err
		}
	}
	return a.spawnAll(ctx, specs, idem)
}

func (a *attempt) owner() string {
	t, _ := a.held()
	return t.Owner
}

// spawnAll makes those children that are not there, and gives all.
func (a *attempt) spawnAll(ctx context.Context, specs []task.Spec, idem *task.Idempotency) (children []task.Task, replayed bool, err error) {
	parent, holds := a.held()
	if !holds {
		a.countIgnored(errNotHeld)
		return nil, false, task.Errorf(task.CodeConflict, "this attempt no longer holds task %s", a.id)
	}
	for i := range specs {
		asChild(&specs[i], &parent)
	}
	if err := a.engine.checkHeldAbove(ctx, parent, specs); err != nil {
		return nil, false, err
	}
	for {
		children, missing, err := a.engine.namedChildren(ctx, parent.ID, specs)
		if err != nil || len(missing) == 0 {
			return children, err == nil, err
		}
		err = a.insertChildren(ctx, parent.Owner, specs, missing, children, idem)
		if task.CodeOf(err) != task.CodeConflict {
			return children, false, err
		}
		// Another call may have made one of that name in between.
		if _, now, lookErr := a.engine.namedChildren(ctx, parent.ID, specs); lookErr != nil || len(now) == len(missing) {
			return nil, false, err
		}
	}
}

// asChild gives a spec what a child has of its parent, where it says nothing else.
func asChild(s *task.Spec, parent *task.Task) {
	s.Parent, s.Spawner = parent.ID, parent.Token
	if s.Priority == 0 {
		s.Priority = parent.Priority
	}
	if s.Trace == "" {
		s.Trace = parent.Trace
	}
}

// namedChildren finds the children that are there, in their places, and says which are missing.
func (e *Engine) namedChildren(ctx context.Context, parent task.ID, specs []task.Spec) (found []task.Task, missing []int, err error) {
	found = make([]task.Task, len(specs))
	for i, s := range specs {
		c, err := task.Child{}, error(nil)
		if s.Name != "" {
			c, err = e.store.Child(ctx, parent, s.Name)
		}
		switch {
		case task.CodeOf(err) == task.CodeNotFound, err == nil && c.ID.IsZero():
			missing = append(missing, i)
			continue
		case err == nil && c.Type != s.Type:
			err = task.Errorf(task.CodeConflict, "child %q is a task of type %q, and not %q: a name is that of one child", s.Name, c.Type, s.Type)
		case err == nil:
			found[i], err = e.Get(ctx, task.Scope{All: true}, c.ID)
		}
		if err != nil {
			return nil, nil, task.WithTaskNumber(err, i, len(specs))
		}
	}
	return found, missing, nil
}

// insertChildren makes those that are missing, all or none, and puts them in their places.
func (a *attempt) insertChildren(ctx context.Context, owner string, specs []task.Spec, missing []int, children []task.Task, idem *task.Idempotency) error {
	if !a.countChildren(len(missing)) {
		return task.Errorf(task.CodeTooLarge, "task %s would have more than %d children", a.id, sdk.MaxChildren)
	}
	made := false
	defer func() {
		if !made {
			a.countChildren(-len(missing))
		}
	}()
	if len(missing) < len(specs) {
		idem = nil // names do, and it would remember some of them alone
	}
	scope := task.Scope{Owner: owner}
	wanted := make([]task.Spec, len(missing))
	for i, at := range missing {
		wanted[i] = specs[at]
	}
	n, err := a.engine.prepareAll(ctx, scope, wanted)
	if err != nil {
		return err
	}
	n.idem = idem
	n.spawned = true
	tasks, _, err := a.engine.accept(ctx, scope, n)
	if err != nil {
		return err
	}
	made = true
	for i, at := range missing {
		children[at] = tasks[i]
	}
	return nil
}

// countChildren counts more children of the attempt's task, unless it would have too many.
func (a *attempt) countChildren(n int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.children+n > sdk.MaxChildren {
		return false
	}
	a.children += n
	return true
}

// checkHeldAbove refuses children that need what their parent has, or a task above it: it has
// that until they are done.
func (e *Engine) checkHeldAbove(ctx context.Context, parent task.Task, specs []task.Spec) error {
	needy := slices.IndexFunc(specs, func(s task.Spec) bool { return !s.Resources.None() })
	if needy < 0 {
		return nil
	}
	for above := parent; ; {
		for i := range specs {
			for field, names := range map[string][]string{"exclusive": specs[i].Resources.Exclusive, "shared": specs[i].Resources.Shared} {
				for _, name := range names {
					if !above.State.Final() && above.Resources.Has(name) {
						return task.WithTaskNumber(&task.Error{Code: task.CodeInvalidRequest,
							Message: fmt.Sprintf("resource %q is held by task %s, of which this is a child, until it is done: the child would wait for ever", name, above.ID),
							Fields:  []task.FieldError{{Path: []string{field}, Message: "has " + name + ", which a task above this one holds"}}}, i, len(specs))
					}
				}
			}
		}
		if above.Parent.IsZero() {
			return nil
		}
		var err error
		above, err = e.store.Get(ctx, task.Scope{All: true}, above.Parent)
		if task.CodeOf(err) == task.CodeNotFound {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// sdkChildren are the children of the attempt's task as its script is told of them. A store
// that cannot be read is tried again, for as long as this host is there.
func (a *attempt) sdkChildren() []sdk.ChildStatus {
	for wait := 10 * time.Millisecond; ; wait = min(2*wait, 5*time.Second) {
		children, err := a.engine.childrenOf(context.Background(), a.id)
		if err == nil {
			return children
		}
		a.engine.log.Error("cannot read the children of a task; trying again", "task", a.id, "error", err)
		select {
		case <-time.After(wait):
		case <-a.ctx.Done():
			return nil
		case <-a.engine.closed:
			return nil
		}
	}
}

func (e *Engine) childrenOf(ctx context.Context, parent task.ID) ([]sdk.ChildStatus, error) {
	children, err := e.store.Children(ctx, parent, sdk.MaxChildren, sdk.MaxChildResults)
	out := make([]sdk.ChildStatus, len(children))
	for i, c := range children {
		out[i] = sdk.ChildStatus{Name: c.Name, ID: c.ID.String(), Type: c.Type, State: c.State.String(), ResultLeftOut: c.ResultLeftOut}
		if c.ResultType != "" {
			out[i].Result = &sdk.Result{ContentType: c.ResultType, Data: c.Result}
		}
		if c.Error != nil {
			out[i].Failure = &sdk.Failure{Code: c.Error.Code, Message: c.Error.Message}
		}
	}
	return out, err
}

// AttemptChildren is what the attempt with that token is told of its task's children, for a
// worker that fetches by reference what its broker cannot carry.
func (e *Engine) AttemptChildren(ctx context.Context, token task.Token) ([]byte, error) {
	a := e.byToken(token)
	if a == nil {
		return nil, noAttempt()
	}
	children, err := e.childrenOf(ctx, a.id)
	if err != nil {
		return nil, err
	}
	if data := sdk.EncodeChildren(children); data != nil {
		return data, nil
	}
	return []byte("[]"), nil
}
