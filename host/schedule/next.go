package schedule

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/adhocore/gronx"

	"github.com/taskhost/taskhost/host/task"
)

// errNever is a cron line that no day fulfils.
var errNever = errors.New("is a time that never comes")

// checkCron says what is wrong with a cron line.
func checkCron(line string) error {
	const want = `want five fields, minute hour day month weekday, as in "30 4 * * 1-5", or one of @hourly, @daily, @weekly, @monthly, @yearly`
	if strings.HasPrefix(line, "@") {
		switch line {
		case "@hourly", "@daily", "@weekly", "@monthly", "@yearly":
			return nil
		}
		return fmt.Errorf("is %q, which is no name of a time: %s", line, want)
	}
	if n := len(strings.Fields(line)); n != 5 {
		return fmt.Errorf("has %d fields: %s", n, want)
	}
	if !gronx.IsValid(line) {
		return fmt.Errorf("is %q, which cannot be read: %s", line, want)
	}
	return nil
}

// Next is the first run of the timing after that time, its jitter aside; zero if there is
// none any more.
func (t *Timing) Next(after time.Time) (next time.Time, err error) {
	if after.Before(t.StartAt) {
		after = t.StartAt.Add(-time.Microsecond) // a run at that time itself is one
	}
	switch {
	case t.Every > 0:
		next = t.nextEvery(after)
	case followsClock(t.Cron):
		next, err = t.nextByClock(after.In(t.Zone))
	default:
		next, err = t.nextOfDay(after.In(t.Zone))
	}
	if err != nil {
		return time.Time{}, err
	}
	if next = next.UTC(); !t.EndAt.IsZero() && next.After(t.EndAt) || !task.ValidTime(next) {
		return time.Time{}, nil
	}
	return next, nil
}

// nextEvery reckons in microseconds, as times are kept: a Duration holds 292 years, and a
// schedule may have begun in the year 1.
func (t *Timing) nextEvery(after time.Time) time.Time {
	from := t.Anchor
	if !t.StartAt.IsZero() {
		from = t.StartAt
		if after.Before(from) {
			return from
		}
	}
	every := t.Every.Microseconds()
	passed := (after.UnixMicro() - from.UnixMicro()) % every
	if passed < 0 { // the clock was set back since the schedule was made
		passed += every
	}
	return time.UnixMicro(after.UnixMicro() - passed + every)
}

// followsClock says that a cron line is of an hour's minutes, whatever hour it is: such
// runs go on through an hour that comes twice, and leave out one that does not come. All
// others are of a time of day, which comes once a day: see nextOfDay.
func followsClock(line string) bool {
	if line == "@hourly" {
		return true
	}
	fields := strings.Fields(line)
	return len(fields) == 5 && strings.HasPrefix(fields[1], "*")
}

// nextByClock goes from one change of the zone's offset to the next: between two of them
// its clock runs as any other.
func (t *Timing) nextByClock(after time.Time) (time.Time, error) {
	from, including := after, false
	for range 100 {
		wall := wallClock(from)
		tick, err := nextTick(t.Cron, wall, including)
		if err != nil {
			return time.Time{}, err
		}
		next := from.Add(tick.Sub(wall))
		_, end := from.ZoneBounds()
		if end.IsZero() || next.Before(end) {
			return next, nil
		}
		from, including = end, true
	}
	return time.Time{}, errNever
}

// nextOfDay runs at a time of day once a day: one that comes twice the first time, one that
// does not come when the clock has passed over it.
func (t *Timing) nextOfDay(after time.Time) (time.Time, error) {
	wall := wallClock(after)
	for range 1000 {
		tick, err := nextTick(t.Cron, wall, false)
		if err != nil {
			return time.Time{}, err
		}
		if next := atWallClock(tick, t.Zone); next.After(after) {
			return next, nil
		}
		wall = tick
	}
	return time.Time{}, errNever
}

// nextTick is the next time of a cron line, on a clock that is never put forward or back.
func nextTick(line string, from time.Time, including bool) (time.Time, error) {
	tick, err := gronx.NextTickAfter(line, from, including && from.Second() == 0 && from.Nanosecond() == 0)
	if err != nil {
		return tick, errNever
	}
	return tick, nil
}

// wallClock is what the clock shows at t, as if it were UTC's.
func wallClock(t time.Time) time.Time {
	return time.Date(t.Year(), t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)
}

// atWallClock is when a clock of that zone first shows what wall does, or passes over it.
func atWallClock(wall time.Time, zone *time.Location) time.Time {
	t := time.Date(wall.Year(), wall.Month(), wall.Day(), wall.Hour(), wall.Minute(), wall.Second(), wall.Nanosecond(), zone)
	start, end := t.ZoneBounds()
	switch shown := wallClock(t); {
	case shown.After(wall): // passed over, and t is after that
		return start
	case shown.Before(wall): // passed over, and t is before that
		return end
	}
	if start.IsZero() {
		return t
	}
	_, before := start.Add(-time.Nanosecond).Zone()
	_, now := t.Zone()
	first := t.Add(time.Duration(now-before) * time.Second)
	if first.Before(start) && wallClock(first.In(zone)).Equal(wall) {
		return first
	}
	return t
}
