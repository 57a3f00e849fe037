package sqlite

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/taskhost/taskhost/host/schedule"
	"github.com/taskhost/taskhost/host/task"
)

const (
	scheduleColumns   = `id, owner, name, spec, anchor, paused, slot, next_at, last_at, last_task, runs, skipped, problem, created_at, updated_at, version`
	scheduleCount     = 16
	sqlScheduleGet    = `SELECT ` + scheduleColumns + ` FROM schedule WHERE id = ?`
	sqlScheduleList   = `SELECT ` + scheduleColumns + ` FROM schedule WHERE id < ?1 AND (?2 OR owner = ?3) AND (?4 = '' OR name = ?4) ORDER BY id DESC LIMIT +?5`
	sqlScheduleDue    = `SELECT ` + scheduleColumns + ` FROM schedule WHERE paused = 0 AND next_at IS NOT NULL AND next_at <= +? ORDER BY next_at LIMIT +?`
	sqlScheduleNext   = `SELECT next_at FROM schedule WHERE paused = 0 AND next_at IS NOT NULL AND next_at > +? ORDER BY next_at LIMIT 1`
	sqlScheduleInsert = `INSERT INTO schedule (` + scheduleColumns + `) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	sqlScheduleUpdate = `UPDATE schedule SET name = ?, spec = coalesce(?, spec), anchor = ?, paused = ?, slot = ?, next_at = ?, last_at = ?, last_task = ?, runs = ?, skipped = ?,
problem = ?, updated_at = ?, version = version + 1 WHERE id = ?`
	sqlScheduleGuard  = `SELECT owner, version FROM schedule WHERE id = ?`
	sqlScheduleNamed  = `SELECT id FROM schedule WHERE owner = ? AND name = ?`
	sqlScheduleWrong  = `SELECT ` + scheduleColumns + ` FROM schedule WHERE problem IS NOT NULL AND (?1 OR owner = ?2) ORDER BY id DESC LIMIT +?3`
	sqlScheduleDelete = `DELETE FROM schedule WHERE id = ?`
)

func readSchedule(r row) (s schedule.Schedule) {
	copy(s.ID[:], r.blob(0))
	s.Owner = r.text(1)
	s.Slot, s.NextAt, s.LastAt = r.time(6), r.time(7), r.time(8)
	copy(s.LastTask[:], r.blob(9))
	s.Runs, s.Skipped, s.Problem = r.int(10), r.int(11), r.text(12)
	s.CreatedAt, s.UpdatedAt, s.Version = r.time(13), r.time(14), r.int(15)
	var spec schedule.Spec
	err := json.Unmarshal(r.blob(3), &spec)
	if err != nil {
		spec = schedule.Spec{Name: r.text(2), Paused: r.int(5) != 0}
		err = fmt.Errorf("what was stored of it cannot be read: %w; give it its task and its times anew", err)
	}
	s.Restore(spec, r.time(4), err)
	return s
}

// checkScheduleName refuses a schedule's name that another of its owner has.
func (w *writer) checkScheduleName(s *schedule.Schedule) (refused, err error) {
	st := w.st.scheduleNamed
	st.bind().value(s.Owner).value(s.Name)
	found, err := st.one()
	if err != nil || !found {
		return nil, err
	}
	var holder task.ID
	copy(holder[:], st.row.blob(0))
	if holder == s.ID {
		return nil, nil
	}
	return &task.Error{Code: task.CodeConflict, Message: "schedule " + holder.String() + " has the name " + s.Name + " already",
		Fields: []task.FieldError{{Path: []string{"name"}, Message: "is taken by schedule " + holder.String()}}}, nil
}

// CreateSchedule implements schedule.Store.
func (s *Store) CreateSchedule(ctx context.Context, n schedule.Schedule) error {
	spec, err := json.Marshal(n.Spec())
	if err != nil {
		return task.Errorf(task.CodeInvalidRequest, "the schedule cannot be written: %v", err)
	}
	return s.guarded(ctx, 4, func(w *writer) (refused, err error) {
		if refused, err = w.checkScheduleName(&n); refused != nil || err != nil {
			return refused, err
		}
		st := w.st.scheduleInsert
		st.bind().blob(n.ID[:]).value(n.Owner).value(n.Name).value(string(spec)).opt(micros(n.Timing.Anchor)).int(flag(n.Paused)).
			opt(micros(n.Slot)).opt(micros(n.NextAt)).opt(micros(n.LastAt)).id((*[16]byte)(&n.LastTask)).int(n.Runs).int(n.Skipped).text(n.Problem).
			int(micros(n.CreatedAt)).int(micros(n.UpdatedAt)).int(1)
		return nil, st.run()
	})
}

// checkSchedule refuses a change of a schedule that is another by now, or gone.
func (w *writer) checkSchedule(id task.ID, version int64) (refused, err error) {
	st := w.st.scheduleGuard
	st.bind().blob(id[:])
	found, err := st.one()
	switch {
	case err != nil:
		return nil, err
	case !found:
		return noSuch("schedule", id), nil
	case st.row.int(1) != version:
		return task.Errorf(task.CodeConflict, "schedule %s has changed meanwhile: it is version %d, and not %d", id, st.row.int(1), version), nil
	}
	return nil, nil
}

// ChangeSchedule implements schedule.Store.
func (s *Store) ChangeSchedule(ctx context.Context, n schedule.Schedule, run *task.Task) error {
	var spec []byte
	if n.Understood() { // else what is there of it stays
		var err error
		if spec, err = json.Marshal(n.Spec()); err != nil {
			return task.Errorf(task.CodeInvalidRequest, "the schedule cannot be written: %v", err)
		}
	}
	var inserts []*task.Task
	if run != nil {
		inserts = append(inserts, run)
	}
	rows, err := encodeRows(inserts)
	if err != nil {
		return err
	}
	err = s.guarded(ctx, 4, func(w *writer) (refused, err error) {
		if refused, err = w.checkSchedule(n.ID, n.Version); refused != nil || err != nil {
			return refused, err
		}
		if refused, err = w.checkScheduleName(&n); refused != nil || err != nil {
			return refused, err
		}
		if refused, err = w.checkNew(inserts, task.ID{}); refused != nil || err != nil {
			return refused, err
		}
		if err := w.insertAll(inserts, rows); err != nil {
			return nil, err
		}
		st := w.st.scheduleUpdate
		st.bind().value(n.Name).text(string(spec)).opt(micros(n.Timing.Anchor)).int(flag(n.Paused)).opt(micros(n.Slot)).opt(micros(n.NextAt)).
			opt(micros(n.LastAt)).id((*[16]byte)(&n.LastTask)).int(n.Runs).int(n.Skipped).text(n.Problem).int(micros(n.UpdatedAt)).blob(n.ID[:])
		return nil, st.run()
	})
	if err == nil && run != nil {
		run.Seq = rows[0].seq
	}
	return err
}

// DeleteSchedule implements schedule.Store.
func (s *Store) DeleteSchedule(ctx context.Context, scope task.Scope, id task.ID) error {
	return s.guarded(ctx, 4, func(w *writer) (refused, err error) {
		st := w.st.scheduleGuard
		st.bind().blob(id[:])
		found, err := st.one()
		if err != nil {
			return nil, err
		}
		if !found || !sees(scope, st.row.text(0)) {
			return noSuch("schedule", id), nil
		}
		w.st.scheduleDelete.bind().blob(id[:])
		return nil, w.st.scheduleDelete.run()
	})
}

// Schedule implements schedule.Store.
func (s *Store) Schedule(ctx context.Context, scope task.Scope, id task.ID) (out schedule.Schedule, err error) {
	found := false
	err = s.rows(ctx, sqlScheduleGet, []any{id[:]}, scheduleCount, func(r row) bool {
		out = readSchedule(r)
		found = true
		return false
	})
	if err == nil && (!found || !sees(scope, out.Owner)) {
		err = noSuch("schedule", id)
	}
	return out, err
}

// Schedules implements schedule.Store.
func (s *Store) Schedules(ctx context.Context, scope task.Scope, f schedule.Filter) (page schedule.Page, err error) {
	from, limit := newestFirst(f.Cursor, f.Limit)
	err = s.rows(ctx, sqlScheduleList, []any{from, scope.All, scope.Owner, f.Name, limit + 1}, scheduleCount, func(r row) bool {
		page.Schedules = append(page.Schedules, readSchedule(r))
		return true
	})
	if err == nil && len(page.Schedules) > limit {
		page.Schedules = page.Schedules[:limit]
		page.Next = page.Schedules[limit-1].ID
	}
	return page, err
}

// ScheduleProblems implements schedule.Store.
func (s *Store) ScheduleProblems(ctx context.Context, scope task.Scope, limit int) (out []schedule.Schedule, err error) {
	err = s.rows(ctx, sqlScheduleWrong, []any{scope.All, scope.Owner, limit}, scheduleCount, func(r row) bool {
		out = append(out, readSchedule(r))
		return true
	})
	return out, err
}

// DueSchedules implements schedule.Store.
func (s *Store) DueSchedules(ctx context.Context, now time.Time, limit int) (due []schedule.Schedule, next time.Time, err error) {
	err = s.rows(ctx, sqlScheduleDue, []any{micros(now), limit}, scheduleCount, func(r row) bool {
		due = append(due, readSchedule(r))
		return true
	})
	if err == nil {
		err = s.rows(ctx, sqlScheduleNext, []any{micros(now)}, 1, func(r row) bool {
			next = r.time(0)
			return false
		})
	}
	return due, next, err
}
