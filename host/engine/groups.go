package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/taskhost/taskhost/host/group"
	"github.com/taskhost/taskhost/host/task"
)

// SubmitGroup makes a group and its first members, all or none; there may be none. Unless
// the spec says that it stays open, no more can join.
func (e *Engine) SubmitGroup(ctx context.Context, s task.Scope, spec group.Spec, members []task.Spec, idem *task.Idempotency) (_ group.Group, replayed bool, err error) {
	if first, replayed, err := e.replayed(ctx, s, idem); err != nil || replayed {
		if err != nil {
			return group.Group{}, false, err
		}
		g, err := e.groupOf(ctx, s, first)
		return g, true, err
	}
	id, err := NewID()
	if err != nil {
		return group.Group{}, false, err
	}
	g, err := group.New(id, s.Owner, spec, e.now())
	if err == nil && spec.OnFinished != nil {
		err = task.WithField(e.checkFinisher(s, *spec.OnFinished), "on_finished")
	}
	if err != nil {
		return g, false, task.OfGroup(err)
	}
	for i := range members {
		if members[i].OnConflict == task.ConflictExisting {
			return g, false, task.WithTaskNumber(&task.Error{Code: task.CodeInvalidRequest, Message: `on_conflict "existing" is not for the members of a batch's own group: the task that has the key is none of them`,
				Fields: []task.FieldError{{Path: []string{"on_conflict"}, Message: "is not for the members of a batch's own group"}}}, i, len(members))
		}
		members[i].Group = g.ID
	}
	n, err := e.prepareAll(ctx, s, members)
	if err != nil {
		return g, false, err
	}
	n.group = &g
	n.idem = idem
	tasks, replayed, err := e.accept(ctx, s, n)
	if err != nil {
		return g, false, err
	}
	if replayed {
		g, err = e.groupOf(ctx, s, tasks)
	} else {
		g, err = e.store.Group(ctx, s, g.ID)
	}
	e.wakeSignals()
	return g, replayed, err
}

// groupOf is the group that an earlier submission made, whose tasks are given.
func (e *Engine) groupOf(ctx context.Context, s task.Scope, tasks []task.Task) (group.Group, error) {
	for i := range tasks {
		if !tasks[i].Group.IsZero() {
			return e.store.Group(ctx, s, tasks[i].Group)
		}
	}
	return group.Group{}, task.ErrDeletedSince(tasks[0].ID)
}

// checkFinisher says what is wrong with a finisher that is asked for. Its input is given
// by the host when it is submitted.
func (e *Engine) checkFinisher(s task.Scope, spec task.Spec) error {
	if len(spec.Input) > 0 {
		return &task.Error{Code: task.CodeInvalidRequest, Message: "a finisher's input is the group: give it none",
			Fields: []task.FieldError{{Path: []string{"input"}, Message: "is given by the host: the group, as it is then"}}}
	}
	_, err := e.finisher(s.Owner, spec, nil)
	return err
}

// finisher makes a group's finisher.
func (e *Engine) finisher(owner string, spec task.Spec, input json.RawMessage) (n newTask, err error) {
	if err = refuseOwnType(spec.Type); err != nil {
		return n, err
	}
	n.taskType, n.executor, err = e.registry.Lookup(spec.Type, spec.Executor)
	if err != nil {
		return n, err
	}
	id, err := NewID()
	if err != nil {
		return n, err
	}
	spec.Input = input
	t, err := task.New(id, owner, spec, n.taskType.Limits, e.now())
	if err != nil {
		return n, err
	}
	n.task = &t
	return n, e.seal(&n)
}

// Group reads a group.
func (e *Engine) Group(ctx context.Context, s task.Scope, id task.ID) (group.Group, error) {
	return e.store.Group(ctx, s, id)
}

// Groups reads a page of groups, newest first.
func (e *Engine) Groups(ctx context.Context, s task.Scope, f group.Filter) (group.Page, error) {
	return e.store.Groups(ctx, s, f)
}

// CloseGroup lets no more tasks join.
func (e *Engine) CloseGroup(ctx context.Context, s task.Scope, id task.ID) (group.Group, error) {
	if err := e.store.CloseGroup(ctx, s, id, e.now()); err != nil {
		return group.Group{}, err
	}
	e.wakeSignals()
	return e.store.Group(ctx, s, id)
}

// CancelGroup closes the group and asks all its members to end that are not final.
func (e *Engine) CancelGroup(ctx context.Context, s task.Scope, id task.ID) (group.Group, error) {
	if _, err := e.CloseGroup(ctx, s, id); err != nil {
		return group.Group{}, err
	}
	s.By = task.Via(s.Actor(), "group", id)
	err := e.eachTask(ctx, s, task.Filter{Group: id, States: unfinished}, func(page []task.Task) error {
		_, err := e.cancelAll(ctx, s, page)
		return err
	})
	if err != nil {
		return group.Group{}, err
	}
	return e.store.Group(ctx, s, id)
}

// RetryGroup has the group's failed members wait again, with fresh attempts. Those that were
// trashed are no failures, and stay.
func (e *Engine) RetryGroup(ctx context.Context, s task.Scope, id task.ID) (group.Group, error) {
	if _, err := e.store.Group(ctx, s, id); err != nil {
		return group.Group{}, err
	}
	s.By = task.Via(s.Actor(), "group", id)
	err := e.eachTask(ctx, s, task.Filter{Group: id, States: []task.State{task.Failed}}, func(page []task.Task) error {
		var changes []task.Change
		for _, t := range page {
			if t.Trashed() {
				continue
			}
			if err := e.retryChildren(ctx, s, &t); err != nil {
				return err
			}
			if c, err := e.retry(&t, s.Actor()); err == nil {
				changes = append(changes, c)
			}
		}
		for i, err := range e.commitAll(ctx, changes) {
			if c := task.CodeOf(err); err != nil && c != task.CodeConflict {
				return fmt.Errorf("retry task %s: %w", changes[i].Task.ID, err)
			}
		}
		return nil
	})
	if err != nil {
		return group.Group{}, err
	}
	return e.store.Group(ctx, s, id)
}

// DeleteGroup removes a finished group and its members.
func (e *Engine) DeleteGroup(ctx context.Context, s task.Scope, id task.ID) error {
	if err := e.store.DeleteGroup(ctx, s, id); err != nil {
		return err
	}
	return e.eachTask(ctx, s, task.Filter{Group: id}, func(page []task.Task) error {
		for _, t := range page {
			err := e.Delete(ctx, s, t.ID)
			if c := task.CodeOf(err); err != nil && c != task.CodeNotFound && c != task.CodeNotFinal {
				return err
			}
		}
		return nil
	})
}

// finishGroup submits a finished group's finisher, once.
func (e *Engine) finishGroup(sig task.Signal) error {
	g, err := e.store.Group(e.ctx, task.Scope{All: true}, sig.ID)
	if task.CodeOf(err) == task.CodeNotFound {
		return e.useUp(sig)
	}
	if err != nil {
		return err
	}
	if g.State() != group.Finished || g.OnFinished == nil || !g.Finisher.IsZero() {
		return e.store.FinishGroup(e.ctx, g.ID, nil, sig)
	}
	input, err := json.Marshal(map[string]any{"group": group.Summarize(&g)})
	if err != nil {
		return err
	}
	n, err := e.finisher(g.Owner, *g.OnFinished, input)
	if err == nil {
		n.task.CreatedBy = task.Via(g.Owner, "group", g.ID)
		err = e.store.FinishGroup(e.ctx, g.ID, n.task, sig)
	}
	switch task.CodeOf(err) {
	case "":
		e.inserted(n.task)
		return nil
	case task.CodeStoreUnavailable, task.CodeStoreFull, task.CodeInternal:
		return err
	case task.CodeConflict:
		if now, err := e.store.Group(e.ctx, task.Scope{All: true}, g.ID); err != nil || now.State() != group.Finished || !now.Finisher.IsZero() {
			return err // and not a conflict of the finisher's own, whose key is taken, say
		}
	}
	return e.postponeFinisher(&g, sig, err)
}

// The rests between two tries to submit a group's finisher: as long as it waits for it
// already, from the least to the most.
const (
	leastFinisherRest = time.Second
	mostFinisherRest  = time.Minute
)

// postponeFinisher has a finisher that cannot be submitted tried again later. Its group says
// why; the log does so once.
func (e *Engine) postponeFinisher(g *group.Group, sig task.Signal, why error) error {
	now := e.now()
	rest := min(max(now.Sub(g.FinishedAt), leastFinisherRest), mostFinisherRest)
	if err := e.store.PostponeFinisher(e.ctx, g.ID, why.Error(), now.Add(rest), sig); err != nil {
		return err
	}
	if why.Error() != g.Problem {
		e.log.Warn("cannot submit a group's finisher; trying again", "group", g.ID, "type", g.OnFinished.Type, "error", why)
	}
	return nil
}

// retryFinishers has finishers decided upon anew that were postponed until now, and says when
// the next is due; zero if none is.
func (e *Engine) retryFinishers() time.Time {
	now := e.now()
	next, err := e.store.RetryFinishers(e.ctx, now, signalsAtOnce)
	if err == nil && next.Sub(now) > mostFinisherRest { // the clock was set back since
		next, err = e.store.RetryFinishers(e.ctx, next, signalsAtOnce)
	}
	if err != nil && e.ctx.Err() == nil {
		e.log.Error("cannot look for finishers to be tried again; trying again", "error", err)
	}
	return next
}

// groupsKept is how long a finished group is kept that has no members any more.
const groupsKept = 48 * time.Hour

// retireGroups removes finished groups whose members are gone.
func (e *Engine) retireGroups() {
	e.untilNoMore("retire groups", func() (more bool, err error) {
		gone, err := e.store.DeleteFinishedGroups(e.ctx, e.now().Add(-groupsKept), retireAtOnce)
		return len(gone) == retireAtOnce, err
	})
}
