package schedule

import "time"

// missedAtOnce bounds how many missed runs are counted in one decision.
const missedAtOnce = 10_000

// late is how far behind its time a run may be and not be missed: what it takes a host that
// is up.
const late = 10 * time.Second

// lookAgain is after how long a schedule is looked at again that is due and cannot be understood: a
// host that can may have it by then.
const lookAgain = time.Hour

// Due says which run of a schedule is to be fired at now, and gives the schedule as it is
// once that is decided: whatever is fired or left out is so once. fire is false if the run is
// left out; one that is not due changes nothing. chance, in [0,1), is of the next jitter.
func (s Schedule) Due(now time.Time, chance float64) (after Schedule, fire bool, err error) {
	if s.Paused || s.Slot.IsZero() || s.NextAt.After(now) {
		return s, false, nil
	}
	if !s.Understood() {
		s.NextAt = now.Add(lookAgain).Truncate(time.Microsecond)
		return s, false, nil
	}
	if s.Missed == MissedAll {
		err := s.plan(s.Slot, chance)
		return s, true, err
	}
	// The last slot that has passed is the one to fire; those before it are missed.
	last := s.Slot
	for n := 0; ; n++ {
		next, err := s.Timing.Next(last)
		if err != nil {
			return s, false, err
		}
		if next.IsZero() || next.After(now) {
			break
		}
		s.Skipped++
		last = next
		if n == missedAtOnce { // a schedule of seconds after a long pause: the rest is not counted
			last = now
			break
		}
	}
	fire = true
	if s.Missed == MissedSkip && now.Sub(last.Add(s.Timing.Jitter)) > late {
		s.Skipped++
		fire = false
	}
	return s, fire, s.plan(last, chance)
}

// Preview is the times of the next n runs, their jitter aside; of one that is paused those
// that come if it is resumed now. It is empty, and not nil, if there will be none, as of one that
// cannot be understood.
func (s *Schedule) Preview(n int, now time.Time) (times []time.Time, err error) {
	times = []time.Time{}
	if !s.Understood() {
		return times, nil
	}
	slot := s.Slot
	if s.Paused && slot.Before(now) {
		if slot, err = s.Timing.Next(now); err != nil {
			return nil, err
		}
	}
	for len(times) < n && !slot.IsZero() {
		times = append(times, slot)
		if slot, err = s.Timing.Next(slot); err != nil {
			return nil, err
		}
	}
	return times, nil
}
