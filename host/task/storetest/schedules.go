package storetest

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/schedule"
	"github.com/taskhost/taskhost/host/task"
)

// RunSchedules holds a store against schedule.Store.
func RunSchedules[S interface {
	task.Store
	schedule.Store
}](t *testing.T, open func(t *testing.T, dir string) S) {
	run(t, opens(open), []testCase{
		{"a schedule comes back", scheduleComesBack},
		{"names of schedules", scheduleNames},
		{"a run is fired once", runIsFiredOnce},
		{"schedules that are due", dueSchedules},
		{"schedule lists", scheduleLists},
	})
}

// schedule makes a schedule of the usual owner.
func (s *suite) schedule(spec schedule.Spec) schedule.Schedule {
	s.Helper()
	n, err := schedule.New(id(), "ann", spec, start, 0.25)
	s.must(err)
	s.must(port[schedule.Store](s).CreateSchedule(s.ctx, n))
	return s.readSchedule(n.ID)
}

func (s *suite) readSchedule(id task.ID) schedule.Schedule {
	s.Helper()
	n, err := port[schedule.Store](s).Schedule(s.ctx, mine, id)
	s.must(err)
	return n
}

func scheduleComesBack(s *suite) {
	spec := schedule.Spec{
		Name: "nightly", Cron: "30 2 * * *", TimeZone: "Europe/Berlin", Jitter: time.Minute, Missed: schedule.MissedAll, Overlap: schedule.OverlapSkip,
		StartAt: start.Add(time.Hour), EndAt: start.Add(time.Hour * 1000), Task: task.Spec{Type: "noop", Input: []byte(`{"a":1}`), Labels: map[string]string{"b": "c"}, Priority: 3},
	}
	n := s.schedule(spec)
	s.reopen()
	got := s.readSchedule(n.ID)
	want, err := schedule.New(n.ID, "ann", spec, start, 0.25)
	s.must(err)
	if got.Version != 1 || !got.Slot.Equal(want.Slot) || !got.NextAt.Equal(want.NextAt) || got.Timing.ZoneName() != "Europe/Berlin" || !got.CreatedAt.Equal(start) ||
		got.Spec().Missed != schedule.MissedAll || got.Overlap != schedule.OverlapSkip || !got.Timing.EndAt.Equal(spec.EndAt) || got.Task.Priority != 3 || string(got.Task.Input) != `{"a":1}` || got.Task.Labels["b"] != "c" {
		s.Fatalf("got %+v, want %+v", got, want)
	}
	got.Runs, got.Skipped, got.Problem, got.LastAt, got.LastTask = 5, 6, "queue full", start.Add(time.Minute), id()
	s.must(port[schedule.Store](s).ChangeSchedule(s.ctx, got, nil))
	again := s.readSchedule(n.ID)
	if again.Version != 2 || again.Runs != 5 || again.Skipped != 6 || again.Problem != "queue full" || again.LastTask != got.LastTask || !again.LastAt.Equal(got.LastAt) {
		s.Fatalf("changed it is %+v", again)
	}
	s.wantCode(port[schedule.Store](s).ChangeSchedule(s.ctx, got, nil), task.CodeConflict)
	for _, scope := range []task.Scope{{Owner: "bob"}} {
		_, err := port[schedule.Store](s).Schedule(s.ctx, scope, n.ID)
		s.wantCode(err, task.CodeNotFound)
		s.wantCode(port[schedule.Store](s).DeleteSchedule(s.ctx, scope, n.ID), task.CodeNotFound)
	}
	s.must(port[schedule.Store](s).DeleteSchedule(s.ctx, mine, n.ID))
	s.wantCode(port[schedule.Store](s).ChangeSchedule(s.ctx, again, nil), task.CodeNotFound)
}

func scheduleNames(s *suite) {
	a := s.schedule(schedule.Spec{Name: "a", Every: time.Hour})
	b := s.schedule(schedule.Spec{Name: "b", Every: time.Hour})
	twice, err := schedule.New(id(), "ann", schedule.Spec{Name: "a", Every: time.Hour}, start, 0)
	s.must(err)
	s.wantCode(port[schedule.Store](s).CreateSchedule(s.ctx, twice), task.CodeConflict)
	theirs, err := schedule.New(id(), "bob", schedule.Spec{Name: "a", Every: time.Hour}, start, 0)
	s.must(err)
	s.must(port[schedule.Store](s).CreateSchedule(s.ctx, theirs))
	b.Name = "a"
	s.wantCode(port[schedule.Store](s).ChangeSchedule(s.ctx, b, nil), task.CodeConflict)
	a.Name = "c"
	s.must(port[schedule.Store](s).ChangeSchedule(s.ctx, a, nil))
	s.must(port[schedule.Store](s).ChangeSchedule(s.ctx, b, nil))
}

// runIsFiredOnce: of several who fire the same run one does, and its task is there with
// the schedule's next version or not at all.
func runIsFiredOnce(s *suite) {
	n := s.schedule(schedule.Spec{Name: "a", Every: time.Hour})
	const tries = 8
	var wg sync.WaitGroup
	errs := make([]error, tries)
	for i := range tries {
		t := s.make(task.Spec{})
		wg.Add(1)
		go func() {
			defer wg.Done()
			mine := n
			mine.Runs++
			mine.LastTask = t.ID
			errs[i] = port[schedule.Store](s).ChangeSchedule(s.ctx, mine, t)
		}()
	}
	wg.Wait()
	won := 0
	for _, err := range errs {
		if err == nil {
			won++
			continue
		}
		s.wantCode(err, task.CodeConflict)
	}
	got := s.readSchedule(n.ID)
	if won != 1 || got.Runs != 1 || s.get(got.LastTask).Seq == 0 {
		s.Fatalf("fired %d times: %+v", won, got)
	}
	s.wantCount(task.LaneCount{Ready: 1})
}

func dueSchedules(s *suite) {
	hourly := s.schedule(schedule.Spec{Name: "hourly", Every: time.Hour})
	s.schedule(schedule.Spec{Name: "paused", Every: time.Minute, Paused: true})
	daily := s.schedule(schedule.Spec{Name: "daily", Every: 24 * time.Hour})
	s.schedule(schedule.Spec{Name: "over", Every: time.Hour, EndAt: start.Add(time.Minute)})
	due, next, err := port[schedule.Store](s).DueSchedules(s.ctx, start.Add(time.Minute), 10)
	if err != nil || len(due) != 0 || !next.Equal(start.Add(time.Hour)) {
		s.Fatalf("%d are due, the next at %s, %v", len(due), next, err)
	}
	due, next, err = port[schedule.Store](s).DueSchedules(s.ctx, start.Add(time.Hour), 10)
	if err != nil || len(due) != 1 || due[0].ID != hourly.ID || !next.Equal(start.Add(24*time.Hour)) {
		s.Fatalf("%d are due, the next at %s, %v", len(due), next, err)
	}
	due, next, err = port[schedule.Store](s).DueSchedules(s.ctx, start.Add(48*time.Hour), 10)
	if err != nil || len(due) != 2 || due[1].ID != daily.ID || !next.IsZero() {
		s.Fatalf("%d are due, the next at %s, %v", len(due), next, err)
	}
}

func scheduleLists(s *suite) {
	var want []task.ID
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		want = append(want, s.schedule(schedule.Spec{Name: name, Every: time.Hour}).ID)
	}
	slices.Reverse(want)
	var got []task.ID
	for f := (schedule.Filter{Limit: 2}); ; {
		p, err := port[schedule.Store](s).Schedules(s.ctx, mine, f)
		s.must(err)
		for i := range p.Schedules {
			got = append(got, p.Schedules[i].ID)
		}
		if f.Cursor = p.Next; p.Next.IsZero() || len(got) > 5 {
			break
		}
	}
	if !slices.Equal(got, want) {
		s.Fatalf("listed %v, want %v", got, want)
	}
	if p, err := port[schedule.Store](s).Schedules(s.ctx, all, schedule.Filter{Name: "c"}); err != nil || len(p.Schedules) != 1 {
		s.Fatalf("%d of a name, %v", len(p.Schedules), err)
	}
	if p, err := port[schedule.Store](s).Schedules(s.ctx, task.Scope{Owner: "bob"}, schedule.Filter{}); err != nil || len(p.Schedules) != 0 {
		s.Fatalf("%d of another, %v", len(p.Schedules), err)
	}
}
