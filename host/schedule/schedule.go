// Package schedule is the rules of schedules: tasks that are submitted again and again, by a
// cron line in a time zone or at an interval. It does no I/O and has no clock: time and
// chance are passed in; a store keeps schedules by the port Store.
package schedule

import (
	"strings"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// The bounds of what a client may ask for.
const (
	MaxName   = 255 // bytes
	MinEvery  = time.Second
	MaxEvery  = 366 * 24 * time.Hour
	MaxJitter = 24 * time.Hour
)

// Missed is what becomes of runs whose time passed while nobody could fire them.
type Missed string

// What becomes of missed runs.
const (
	MissedSkip Missed = "skip" // none is made up for
	MissedOne  Missed = "one"  // the last of them is; the default
	MissedAll  Missed = "all"  // each is
)

// Overlap is what becomes of a run while the task of the last one is not final.
type Overlap string

// What becomes of runs that overlap.
const (
	OverlapAllow  Overlap = "allow"  // both run; the default
	OverlapSkip   Overlap = "skip"   // the new one is left out
	OverlapCancel Overlap = "cancel" // the old one is canceled
)

// Schedule is a schedule as a store keeps it.
type Schedule struct {
	ID      task.ID
	Owner   string
	Name    string // its owner has each once
	Task    task.Spec
	Timing  Timing
	Missed  Missed
	Overlap Overlap
	Paused  bool

	// Slot is the time, of the timing, that the next run is for; zero if there will be none.
	// NextAt is when it is due: Slot and its jitter.
	Slot, NextAt time.Time
	LastAt       time.Time // of the last run that was submitted
	LastTask     task.ID
	Runs         int64  // that were submitted
	Skipped      int64  // that were not
	Problem      string // why the last one that was due was not submitted, if that was nobody's wish

	CreatedAt, UpdatedAt time.Time
	Version              int64 // guards every change

	unread *Spec // what it was stored with, if that cannot be understood
}

// Timing is when a schedule runs: by exactly one of Cron and Every.
type Timing struct {
	Cron    string        // five fields, or a name such as @daily
	Every   time.Duration // from StartAt on, or else from Anchor
	Anchor  time.Time     // when the schedule was made, or its interval changed
	Zone    *time.Location
	Jitter  time.Duration // each run is late by up to this, at random
	StartAt time.Time     // no run before it; zero for none such
	EndAt   time.Time     // no run after it; zero for none such
}

// Spec is what a client asks for. Empty fields have the defaults.
type Spec struct {
	Name           string
	Task           task.Spec
	Cron           string
	Every          time.Duration
	TimeZone       string // of the IANA data base; "" is UTC
	Jitter         time.Duration
	Missed         Missed
	Overlap        Overlap
	StartAt, EndAt time.Time
	Paused         bool
}

// New makes the schedule that spec asks for. All that is wrong with the spec is in one
// error; the task's spec is the caller's to check. chance, in [0,1), is of the first jitter.
func New(id task.ID, owner string, spec Spec, now time.Time, chance float64) (Schedule, error) {
	s := Schedule{ID: id, Owner: owner, CreatedAt: now}
	return s.Changed(spec, now, chance)
}

// Understood says that what the schedule was stored with can be: else it has no times and only
// waits, its Problem says why, and a store keeps what it has of it until it is changed.
func (s *Schedule) Understood() bool { return s.unread == nil }

// Spec is what the schedule was asked to be, last.
func (s *Schedule) Spec() Spec {
	if s.unread != nil {
		return *s.unread
	}
	return Spec{
		Name: s.Name, Task: s.Task, Cron: s.Timing.Cron, Every: s.Timing.Every, TimeZone: s.Timing.ZoneName(), Jitter: s.Timing.Jitter,
		Missed: s.Missed, Overlap: s.Overlap, StartAt: s.Timing.StartAt, EndAt: s.Timing.EndAt, Paused: s.Paused,
	}
}

// ZoneName is the time zone's name.
func (t *Timing) ZoneName() string {
	if t.Zone == nil {
		return "UTC"
	}
	return t.Zone.String()
}

// equal says that two timings run at the same times.
func (t *Timing) equal(o *Timing) bool {
	return t.Cron == o.Cron && t.Every == o.Every && t.ZoneName() == o.ZoneName() && t.Jitter == o.Jitter &&
		t.StartAt.Equal(o.StartAt) && t.EndAt.Equal(o.EndAt)
}

// Changed is the schedule as another spec has it. What it ran so far stays; the next run
// is reckoned anew from now if its timing is another, or if it was paused.
func (s Schedule) Changed(spec Spec, now time.Time, chance float64) (Schedule, error) {
	timing, err := spec.check()
	if err != nil {
		return s, err
	}
	resumed := s.Paused && !spec.Paused
	timing.Anchor = s.Timing.Anchor
	if timing.Every != s.Timing.Every {
		timing.Anchor = now
	}
	same := s.Understood() && timing.equal(&s.Timing)
	if s.Version == 0 || !same || resumed {
		undecided, due := s.Slot, s.NextAt
		s.Timing = timing
		s.unread = nil
		s.Problem = ""
		if err := s.plan(now, chance); err != nil {
			return s, &task.Error{Code: task.CodeInvalidRequest, Message: "cron " + err.Error(), Fields: []task.FieldError{{Path: []string{"cron"}, Message: err.Error()}}}
		}
		if same && s.Slot.Before(undecided) { // the clock was set back: what ran before that is not run again
			s.Slot, s.NextAt = undecided, due
		}
	}
	s.Name, s.Task, s.Missed, s.Overlap, s.Paused, s.UpdatedAt = spec.Name, spec.Task, spec.Missed, spec.Overlap, spec.Paused, now
	if s.Missed == "" {
		s.Missed = MissedOne
	}
	if s.Overlap == "" {
		s.Overlap = OverlapAllow
	}
	return s, nil
}

// check reads the timing of a spec.
func (s *Spec) check() (t Timing, err error) {
	var bad task.Faults
	bad.Check(s.Name != "" && len(s.Name) <= MaxName, "name", "is empty or longer than %d bytes", MaxName)
	bad.Check((s.Cron == "") != (s.Every == 0), "cron", "or every: give exactly one of them")
	if s.Cron != "" {
		if err := checkCron(s.Cron); err != nil {
			bad.Check(false, "cron", "%v", err)
		}
	}
	bad.Check(s.Every == 0 || s.Every >= MinEvery && s.Every <= MaxEvery, "every", "is not between %s and %s", MinEvery, MaxEvery)
	bad.Check(s.Jitter >= 0 && s.Jitter <= MaxJitter, "jitter", "is not between 0 and %s", MaxJitter)
	bad.Check(s.Missed == "" || s.Missed == MissedSkip || s.Missed == MissedOne || s.Missed == MissedAll, "missed", "is %q: want skip, one or all", s.Missed)
	bad.Check(s.Overlap == "" || s.Overlap == OverlapAllow || s.Overlap == OverlapSkip || s.Overlap == OverlapCancel, "overlap", "is %q: want allow, skip or cancel", s.Overlap)
	bad.Check(task.ValidTime(s.StartAt), "start_at", "is not %s", task.TimeRange)
	bad.Check(task.ValidTime(s.EndAt), "end_at", "is not %s", task.TimeRange)
	bad.Check(s.EndAt.IsZero() || s.EndAt.After(s.StartAt), "end_at", "is not after start_at")
	bad.Check(s.Task.Key == "", "task", "has a key, which only one task may have at a time: give it none")
	bad.Check(s.Task.RunAt.IsZero() && s.Task.Deadline.IsZero(), "task", "has run_at or deadline, which are times of one run: give it neither")
	zone := time.UTC
	if s.TimeZone != "" {
		if zone, err = time.LoadLocation(s.TimeZone); err != nil || strings.EqualFold(s.TimeZone, "local") {
			bad.Check(false, "time_zone", "is %q, which is no time zone that this host knows: want a name such as Europe/Berlin", s.TimeZone)
			zone = time.UTC
		}
	}
	// A run's time is compared with what a store kept of it: one finer than that would come twice.
	return Timing{Cron: s.Cron, Every: s.Every.Truncate(time.Microsecond), Zone: zone, Jitter: s.Jitter, StartAt: s.StartAt.Truncate(time.Microsecond),
		EndAt: s.EndAt.Truncate(time.Microsecond)}, bad.Err()
}

// plan sets the next run: the first of the timing after that time.
func (s *Schedule) plan(after time.Time, chance float64) error {
	slot, err := s.Timing.Next(after)
	if err != nil {
		return err
	}
	s.Slot, s.NextAt = slot, slot
	if !slot.IsZero() {
		late := slot.Add(time.Duration(chance * float64(s.Timing.Jitter))).Truncate(time.Microsecond)
		if task.ValidTime(late) {
			s.NextAt = late
		}
	}
	return nil
}

// Restore sets what follows from the spec that a schedule was stored with; damage is why not all
// of that could be read. If it can't be understood, as when this host has no such time zone,
// the schedule says so by its Problem: see Understood.
func (s *Schedule) Restore(spec Spec, anchor time.Time, damage error) {
	s.Name, s.Task, s.Missed, s.Overlap, s.Paused = spec.Name, spec.Task, spec.Missed, spec.Overlap, spec.Paused
	timing, err := spec.check()
	if damage != nil {
		err = damage
	}
	if err != nil {
		s.unread = &spec
		s.Problem = err.Error()
	}
	s.Timing = timing
	s.Timing.Anchor = anchor
}
