package engine

import (
	"context"
	"sync/atomic"
	"time"

	"github.com/taskhost/taskhost/host/schedule"
	"github.com/taskhost/taskhost/host/task"
)

const schedulesAtOnce = 100

// CreateSchedule makes a schedule; conflict if its owner has one of that name.
func (e *Engine) CreateSchedule(ctx context.Context, s task.Scope, spec schedule.Spec) (schedule.Schedule, error) {
	id, err := NewID()
	if err != nil {
		return schedule.Schedule{}, err
	}
	n, err := schedule.New(id, s.Owner, spec, e.now(), chance())
	if err == nil {
		err = e.checkRun(ctx, &n)
	}
	if err == nil {
		err = e.store.CreateSchedule(ctx, n)
	}
	e.wakeSchedules()
	n.Version = 1
	return n, err
}

// checkRun says what is wrong with the task of a schedule, and seals what is secret of its input.
func (e *Engine) checkRun(ctx context.Context, s *schedule.Schedule) error {
	n := newTask{task: new(task.Task)}
	err := e.prepare(ctx, &n, task.Scope{Owner: s.Owner}, &s.Task, e.now())
	if n.sealed {
		s.Task.Input = n.task.Input
	}
	return task.WithField(err, "task")
}

// Schedule reads a schedule.
func (e *Engine) Schedule(ctx context.Context, s task.Scope, id task.ID) (schedule.Schedule, error) {
	return e.store.Schedule(ctx, s, id)
}

// Schedules reads a page of schedules, newest first.
func (e *Engine) Schedules(ctx context.Context, s task.Scope, f schedule.Filter) (schedule.Page, error) {
	return e.store.Schedules(ctx, s, f)
}

// ChangeSchedule changes what a schedule is asked to be: change gets what it is now. What is
// secret of its task's input is sealed in that, and sealed anew if it stays.
func (e *Engine) ChangeSchedule(ctx context.Context, s task.Scope, id task.ID, change func(*schedule.Spec) error) (schedule.Schedule, error) {
	for {
		was, err := e.store.Schedule(ctx, s, id)
		if err != nil {
			return was, err
		}
		spec := was.Spec()
		if err := change(&spec); err != nil {
			return was, err
		}
		if string(spec.Task.Input) == string(was.Task.Input) && spec.Task.Type == was.Task.Type {
			clear, err := e.openRun(&was)
			if err != nil {
				return was, err
			}
			spec.Task.Input = clear.Input
		}
		n, err := was.Changed(spec, e.now(), chance())
		if err == nil {
			err = e.checkRun(ctx, &n)
		}
		if err == nil {
			err = e.store.ChangeSchedule(ctx, n, nil)
		}
		if task.CodeOf(err) == task.CodeConflict && n.Name == was.Name {
			continue
		}
		e.wakeSchedules()
		n.Version++
		return n, err
	}
}

// DeleteSchedule removes a schedule. The tasks of its runs stay.
func (e *Engine) DeleteSchedule(ctx context.Context, s task.Scope, id task.ID) error {
	return e.store.DeleteSchedule(ctx, s, id)
}

// RunSchedule submits a run now, whatever the schedule's times, its overlap and its pause say.
func (e *Engine) RunSchedule(ctx context.Context, s task.Scope, id task.ID) (task.Task, error) {
	for {
		n, err := e.store.Schedule(ctx, s, id)
		if err != nil {
			return task.Task{}, err
		}
		t, err := e.fireRun(ctx, &n)
		if task.CodeOf(err) == task.CodeConflict && e.hasChanged(ctx, &n) {
			continue
		}
		if err != nil {
			return t, err
		}
		e.current(ctx, s, &t)
		return t, nil
	}
}

// hasChanged says that somebody else wrote the schedule since it was read: a conflict may
// also be the run's own, whose group is closed, say.
func (e *Engine) hasChanged(ctx context.Context, s *schedule.Schedule) bool {
	now, err := e.store.Schedule(ctx, task.Scope{All: true}, s.ID)
	return err != nil || now.Version != s.Version
}

// fireRun submits a run of a schedule, and writes the schedule as it is then.
func (e *Engine) fireRun(ctx context.Context, s *schedule.Schedule) (task.Task, error) {
	n := newTask{task: new(task.Task)}
	spec, err := e.openRun(s)
	if err != nil {
		return task.Task{}, err
	}
	if err := e.prepare(ctx, &n, task.Scope{Owner: s.Owner}, &spec, e.now()); err != nil {
		return task.Task{}, err
	}
	n.task.CreatedBy = task.Via(s.Owner, "schedule", s.ID)
	s.LastAt = e.now()
	s.LastTask = n.task.ID
	s.Runs++
	if s.Understood() {
		s.Problem = ""
	}
	if err := e.store.ChangeSchedule(ctx, *s, n.task); err != nil {
		return task.Task{}, err
	}
	e.inserted(n.task)
	return *n.task, nil
}

// fireSchedules submits the runs of schedules that are due, by a timer on the next.
func (e *Engine) fireSchedules() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-timer.C:
		case <-e.rescheduled:
		case <-e.ctx.Done():
			return
		}
		timer.Reset(e.fireDue())
	}
}

// fireDue fires all that is due and says when to look again.
func (e *Engine) fireDue() time.Duration {
	for {
		now := e.now()
		due, next, err := e.store.DueSchedules(e.ctx, now, schedulesAtOnce)
		if err != nil {
			if e.ctx.Err() == nil {
				e.log.Error("cannot look for schedules that are due; trying again", "error", err)
			}
			return time.Second
		}
		var failed atomic.Bool
		e.together(len(due), func(i int) {
			err := e.fireSchedule(due[i], now)
			if c := task.CodeOf(err); err != nil && c != task.CodeConflict && c != task.CodeNotFound && e.ctx.Err() == nil {
				e.log.Error("cannot write a schedule that is due; trying again", "schedule", due[i].ID, "error", err)
				failed.Store(true)
			}
		})
		if failed.Load() || e.ctx.Err() != nil {
			return time.Second
		}
		if len(due) > 0 {
			continue
		}
		wait := e.polls.schedules // the system's clock may be set, and another host may have changed a schedule
		if !next.IsZero() {
			wait = min(wait, next.Sub(now))
		}
		return max(wait, time.Millisecond)
	}
}

// fireSchedule decides on the run of one schedule that is due. One that can't be submitted
// is left out, and the schedule says why, and goes on.
func (e *Engine) fireSchedule(s schedule.Schedule, now time.Time) error {
	after, fire, err := s.Due(now, chance())
	if err != nil {
		after.Problem = err.Error()
		after.Slot, after.NextAt = time.Time{}, time.Time{}
	}
	if fire {
		if fire, err = e.mayOverlap(&after); err != nil {
			return err
		}
		if !fire {
			after.Skipped++
		}
	}
	after.UpdatedAt = now
	if !fire {
		return e.store.ChangeSchedule(e.ctx, after, nil)
	}
	submitted := after
	_, err = e.fireRun(e.ctx, &submitted)
	switch code := task.CodeOf(err); code {
	case "", task.CodeNotFound, task.CodeStoreUnavailable, task.CodeStoreFull:
		return err
	case task.CodeConflict:
		if e.hasChanged(e.ctx, &s) {
			return err
		}
	}
	after.Skipped++
	after.Problem = err.Error()
	e.log.Warn("cannot submit a run of a schedule; it is left out", "schedule", s.ID, "name", s.Name, "error", err)
	return e.store.ChangeSchedule(e.ctx, after, nil)
}

// mayOverlap says whether a run may be submitted beside the last one, or in its place.
func (e *Engine) mayOverlap(s *schedule.Schedule) (bool, error) {
	if s.Overlap == schedule.OverlapAllow || s.LastTask.IsZero() {
		return true, nil
	}
	scope := task.Scope{Owner: s.Owner, By: task.Via(s.Owner, "schedule", s.ID)}
	last, err := e.store.Get(e.ctx, scope, s.LastTask)
	if task.CodeOf(err) == task.CodeNotFound || err == nil && last.State.Final() {
		return true, nil
	}
	if err != nil || s.Overlap == schedule.OverlapSkip {
		return false, err
	}
	var n int
	return true, e.cancelOne(e.ctx, scope, last.ID, &n)
}

// wakeSchedules has fireSchedules look: a schedule is new, or another. It never blocks.
func (e *Engine) wakeSchedules() {
	select {
	case e.rescheduled <- struct{}{}:
	default:
	}
}
