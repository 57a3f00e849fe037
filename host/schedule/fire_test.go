package schedule_test

import (
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/schedule"
	"github.com/taskhost/taskhost/host/task"
)

// What is fired of the runs of an hourly schedule that nobody could fire for a while.
func TestMissedRuns(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		missed  schedule.Missed
		down    time.Duration // how long after the first slot the host comes back
		fired   int
		skipped int64
	}{
		"on time, skip":     {schedule.MissedSkip, 0, 1, 0},
		"a little late":     {schedule.MissedSkip, 5 * time.Second, 1, 0},
		"late, skip":        {schedule.MissedSkip, 10 * time.Minute, 0, 1},
		"late, one":         {schedule.MissedOne, 10 * time.Minute, 1, 0},
		"long, skip":        {schedule.MissedSkip, 5*time.Hour + time.Minute, 0, 6},
		"long, one":         {schedule.MissedOne, 5*time.Hour + time.Minute, 1, 5},
		"long, all":         {schedule.MissedAll, 5*time.Hour + time.Minute, 6, 0},
		"back on time, one": {schedule.MissedOne, 5 * time.Hour, 1, 5},
	} {
		s, err := schedule.New(task.ID{1}, "ann", schedule.Spec{Name: "x", Every: time.Hour, Missed: c.missed}, start, 0)
		if err != nil {
			t.Fatal(err)
		}
		now := start.Add(time.Hour + c.down)
		fired := 0
		for range 20 {
			after, fire, err := s.Due(now, 0)
			if err != nil {
				t.Fatal(err)
			}
			if fire {
				fired++
			}
			s = after
		}
		if fired != c.fired || s.Skipped != c.skipped || !s.NextAt.After(now) || s.NextAt.Sub(now) > time.Hour {
			t.Errorf("%s: fired %d, skipped %d, next %s; want %d and %d", name, fired, s.Skipped, s.NextAt, c.fired, c.skipped)
		}
	}
}

// A clock that is set back fires nothing a second time, and one that is set forward and back nothing it has skipped.
func TestClockSetBack(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s, err := schedule.New(task.ID{1}, "ann", schedule.Spec{Name: "x", Cron: "@hourly"}, start, 0)
	if err != nil {
		t.Fatal(err)
	}
	fired := 0
	for _, now := range []time.Duration{time.Hour, 30 * time.Minute, time.Hour, 90 * time.Minute, 2 * time.Hour, time.Hour, 2 * time.Hour} {
		after, fire, err := s.Due(start.Add(now), 0)
		if err != nil {
			t.Fatal(err)
		}
		if s = after; fire {
			fired++
		}
	}
	if fired != 2 {
		t.Errorf("fired %d times, want 2", fired)
	}
}

func TestJitterAndPause(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s, err := schedule.New(task.ID{1}, "ann", schedule.Spec{Name: "x", Cron: "@hourly", Jitter: time.Minute}, start, 0.5)
	if err != nil || !s.Slot.Equal(start.Add(time.Hour)) || !s.NextAt.Equal(start.Add(time.Hour+30*time.Second)) {
		t.Fatalf("the next is at %s for %s, %v", s.NextAt, s.Slot, err)
	}
	if _, fire, _ := s.Due(start.Add(time.Hour), 0); fire {
		t.Error("fired before its jitter")
	}
	s.Version = 1
	spec := s.Spec()
	spec.Paused = true
	paused, err := s.Changed(spec, start, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, fire, _ := paused.Due(start.Add(5*time.Hour), 0); fire {
		t.Error("fired though it is paused")
	}
	spec.Paused = false
	resumed, err := paused.Changed(spec, start.Add(5*time.Hour+time.Minute), 0)
	if err != nil || !resumed.Slot.Equal(start.Add(6*time.Hour)) {
		t.Errorf("resumed, the next is %s, %v: what passed in a pause is not missed", resumed.Slot, err)
	}
	spec.Name = "y"
	renamed, err := resumed.Changed(spec, start.Add(5*time.Hour+2*time.Minute), 0.9)
	if err != nil || !renamed.NextAt.Equal(resumed.NextAt) || renamed.Name != "y" {
		t.Errorf("renamed, the next is at %s, was at %s, %v", renamed.NextAt, resumed.NextAt, err)
	}
	for at, s := range map[time.Duration]schedule.Schedule{0: s, 5*time.Hour + time.Minute: paused} {
		times, err := s.Preview(3, start.Add(at))
		if err != nil || len(times) != 3 || !times[2].Equal(start.Add(at.Truncate(time.Hour)+3*time.Hour)) {
			t.Errorf("preview at %s: %v, %v", at, times, err)
		}
	}
	back, err := resumed.Changed(paused.Spec(), start.Add(5*time.Hour+2*time.Minute), 0)
	if err == nil {
		back, err = back.Changed(spec, start.Add(3*time.Hour), 0)
	}
	if err != nil || !back.Slot.Equal(start.Add(6*time.Hour)) {
		t.Errorf("resumed after the clock was set back, the next is %s, %v: what ran before is not run again", back.Slot, err)
	}
}

// A run's time is kept in whole microseconds. One that was asked for more finely is not due a
// second time, as it would be if it came after what was kept of it.
func TestTimesFinerThanAreKept(t *testing.T) {
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for name, spec := range map[string]schedule.Spec{
		"start":    {Name: "x", Every: time.Hour, StartAt: start.Add(time.Minute + 123*time.Nanosecond)},
		"cron":     {Name: "x", Cron: "@hourly", StartAt: start.Add(time.Hour + 1)},
		"interval": {Name: "x", Every: time.Second + 123*time.Nanosecond},
	} {
		s, err := schedule.New(task.ID{1}, "ann", spec, start, 0)
		if err != nil {
			t.Fatal(err)
		}
		s.Slot, s.NextAt = s.Slot.Truncate(time.Microsecond), s.NextAt.Truncate(time.Microsecond) // as a store keeps them
		due := s.Slot
		after, fire, err := s.Due(due, 0)
		if err != nil || !fire || !after.Slot.Truncate(time.Microsecond).After(due) {
			t.Errorf("%s: after the run of %s comes that of %s, %v, %v", name, due, after.Slot, fire, err)
		}
	}
}
