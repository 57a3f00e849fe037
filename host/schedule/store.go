package schedule

import (
	"context"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// Filter selects schedules for a list. Empty fields match all.
type Filter struct {
	Name   string
	Limit  int     // at most task.MaxListLimit; task.DefaultListed if 0
	Cursor task.ID // the list goes on behind this id
}

// Page is one page of a list, newest first. Next is the cursor of the next; zero if there
// is none.
type Page struct {
	Schedules []Schedule
	Next      task.ID
}

// Store keeps schedules. Each change is guarded by the schedule's version, which it
// raises: conflict if it is another, so that of several who fire a run one does. Errors
// carry the codes of host/task.
type Store interface {
	// CreateSchedule writes a new schedule; conflict if its owner has one of that name.
	CreateSchedule(ctx context.Context, s Schedule) error
	// Schedule reads a schedule.
	Schedule(ctx context.Context, scope task.Scope, id task.ID) (Schedule, error)
	// Schedules reads a page of them.
	Schedules(ctx context.Context, scope task.Scope, f Filter) (Page, error)
	// ChangeSchedule writes a schedule whose version is as it was read; with run, the task
	// of a run in the same commit.
	ChangeSchedule(ctx context.Context, s Schedule, run *task.Task) error
	// DeleteSchedule removes a schedule. The tasks of its runs stay.
	DeleteSchedule(ctx context.Context, scope task.Scope, id task.ID) error
	// ScheduleProblems are the newest schedules with a problem.
	ScheduleProblems(ctx context.Context, s task.Scope, limit int) ([]Schedule, error)
	// DueSchedules reads up to limit schedules with a run that is due and are not paused,
	// and when the next run after now is, of any; zero if there is none.
	DueSchedules(ctx context.Context, now time.Time, limit int) (due []Schedule, next time.Time, err error)
}
