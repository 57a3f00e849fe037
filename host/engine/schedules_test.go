package engine_test

import (
	"context"
	"database/sql"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/engine"
	"github.com/taskhost/taskhost/host/registry"
	"github.com/taskhost/taskhost/host/schedule"
	"github.com/taskhost/taskhost/host/sqlite"
	"github.com/taskhost/taskhost/host/task"
	"github.com/taskhost/taskhost/sdk"
)

// clock is a system clock that a test sets.
type testClock struct{ now atomic.Int64 }

func (c *testClock) set(t time.Time) { c.now.Store(t.UnixNano()) }

func (c *testClock) get() time.Time { return time.Unix(0, c.now.Load()) }

// A year of a daily schedule in a zone with changes of the clock: each day is fired once,
// over a clock that is set back again and again, and over hosts that come and go.
func TestYearOfASchedule(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	var clock testClock
	day := time.Date(2026, 1, 1, 12, 0, 0, 0, berlin)
	clock.set(day)
	store := openStore(t, t.TempDir())
	x, _ := sdk.NewScripts(script("work", func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) { return sdk.Result{}, nil }))
	open := func() *rig {
		return start(t, store, engine.Options{Now: clock.get, Executors: []registry.Binding{{Name: "x", Slots: 4, Executor: x}}})
	}
	r := open()
	retain := time.Duration(0)
	s, err := r.CreateSchedule(t.Context(), me, schedule.Spec{Name: "nightly", Cron: "30 2 * * *", TimeZone: "Europe/Berlin", Task: task.Spec{Type: "work", Retain: &retain}})
	if err != nil {
		t.Fatal(err)
	}
	for i := int64(1); i <= 365; i++ {
		day = day.AddDate(0, 0, 1)
		clock.set(day)
		if i%50 == 0 { // the host was down at the time
			r.Close(context.Background())
			r = open()
		}
		r.LookAtSchedules()
		r.until("the day is fired", func() bool {
			s, err = r.Schedule(t.Context(), me, s.ID)
			return err != nil || s.Runs >= i
		})
		if i%7 == 0 {
			clock.set(day.Add(-20 * time.Hour))
			r.LookAtSchedules()
		}
		if err != nil || s.Runs != i || s.Skipped != 0 || s.Problem != "" {
			t.Fatalf("day %d (%s): %+v, %v", i, day, s, err)
		}
	}
}

// What is fired while the last run is not final.
func TestOverlappingRuns(t *testing.T) {
	for overlap, want := range map[schedule.Overlap]struct {
		runs, skipped int64
		first         task.State
	}{
		schedule.OverlapAllow: {2, 0, task.Running}, schedule.OverlapSkip: {1, 1, task.Running}, schedule.OverlapCancel: {2, 0, task.Canceled},
	} {
		t.Run(string(overlap), func(t *testing.T) {
			var clock testClock
			now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
			clock.set(now)
			g := newGate()
			x, _ := sdk.NewScripts(script("work", g.run))
			r := start(t, openStore(t, t.TempDir()), engine.Options{Now: clock.get, Executors: []registry.Binding{{Name: "x", Slots: 4, Executor: x}}})
			s, err := r.CreateSchedule(t.Context(), me, schedule.Spec{Name: "s", Every: time.Minute, Overlap: overlap, Task: task.Spec{Type: "work"}})
			if err != nil {
				t.Fatal(err)
			}
			clock.set(now.Add(time.Minute))
			r.LookAtSchedules()
			<-g.began
			s, err = r.Schedule(t.Context(), me, s.ID)
			if err != nil {
				t.Fatal(err)
			}
			first := s.LastTask
			clock.set(now.Add(2 * time.Minute))
			r.LookAtSchedules()
			r.until("the second is decided", func() bool {
				s, err = r.Schedule(t.Context(), me, s.ID)
				return err != nil || s.Runs+s.Skipped == 2
			})
			r.until("the first is what it is then", func() bool { return r.get(first).State == want.first })
			if err != nil || s.Runs != want.runs || s.Skipped != want.skipped {
				t.Errorf("%d runs, %d skipped, %v", s.Runs, s.Skipped, err)
			}
			close(g.let)
		})
	}
}

// A schedule whose task can't be submitted says so, leaves the run out, and goes on.
func TestRunThatCannotBeSubmitted(t *testing.T) {
	var clock testClock
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	clock.set(now)
	g := newGate()
	x, _ := sdk.NewScripts(script("work", g.run))
	r := start(t, openStore(t, t.TempDir()), engine.Options{Now: clock.get, Types: map[string]task.TypeConfig{"work": {QueueLimit: 1}},
		Executors: []registry.Binding{{Name: "x", Slots: 1, Executor: x}}})
	r.submit(task.Spec{})
	<-g.began
	full := r.submit(task.Spec{})
	s, err := r.CreateSchedule(t.Context(), me, schedule.Spec{Name: "s", Every: time.Minute, Task: task.Spec{Type: "work"}})
	if err != nil {
		t.Fatal(err)
	}
	look := func(minutes int, done func() bool) {
		t.Helper()
		clock.set(now.Add(time.Duration(minutes) * time.Minute))
		r.LookAtSchedules()
		r.until("the run is decided", func() bool {
			s, err = r.Schedule(t.Context(), me, s.ID)
			return err != nil || done()
		})
	}
	look(1, func() bool { return s.Skipped == 1 })
	if err != nil || s.Problem == "" || s.Runs != 0 {
		t.Fatalf("with a full queue: %+v, %v", s, err)
	}
	if _, err := r.Cancel(t.Context(), me, full.ID); err != nil {
		t.Fatal(err)
	}
	look(2, func() bool { return s.Runs == 1 })
	if err != nil || s.Problem != "" {
		t.Fatalf("once there is room: %+v, %v", s, err)
	}
	ran, err := r.RunSchedule(t.Context(), me, s.ID)
	if task.CodeOf(err) != task.CodeQueueFull {
		t.Errorf("run now, with a full queue: %s, %v", ran.State, err)
	}
	close(g.let)
}

// A schedule whose time zone this host does not know, or which cannot be read, keeps what is stored of it: it
// says why it waits, is looked at again, is refused changes that leave it so, and runs once it is mended.
func TestScheduleThatIsNotUnderstood(t *testing.T) {
	var clock testClock
	now := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	clock.set(now)
	x, _ := sdk.NewScripts(script("work", func(context.Context, sdk.Task, sdk.Reporter) (sdk.Result, error) { return sdk.Result{}, nil }))
	dir := t.TempDir()
	r := start(t, openStore(t, dir), engine.Options{Now: clock.get, Executors: []registry.Binding{{Name: "x", Slots: 4, Executor: x}}})
	db, err := sql.Open("sqlite3", "file:"+filepath.Join(dir, sqlite.FileName)+"?_busy_timeout=10000")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	stored := func(id task.ID) (spec string) {
		t.Helper()
		if err := db.QueryRow(`SELECT spec FROM schedule WHERE id = ?`, id[:]).Scan(&spec); err != nil {
			t.Fatal(err)
		}
		return spec
	}
	mended := schedule.Spec{Cron: "0 * * * *", TimeZone: "Europe/Berlin", Task: task.Spec{Type: "work"}}
	for name, c := range map[string]struct {
		was, is, problem string
		back             bool // what was stored can be understood again, as by another host
	}{
		"zone":            {`"TimeZone":"Europe/Berlin"`, `"TimeZone":"No/Such"`, "time_zone", false},
		"damage":          {`"Cron":`, `"Cron":7,"Every":`, "cannot be read", false},
		"zone comes back": {`"TimeZone":"Europe/Berlin"`, `"TimeZone":"No/Such"`, "time_zone", true},
	} {
		spec := mended
		spec.Name = name
		s, err := r.CreateSchedule(t.Context(), me, spec)
		if err != nil {
			t.Fatal(err)
		}
		slot := s.Slot
		text := strings.Replace(stored(s.ID), c.was, c.is, 1)
		if _, err := db.Exec(`UPDATE schedule SET spec = ? WHERE id = ?`, text, s.ID[:]); err != nil {
			t.Fatal(err)
		}
		now = now.Add(2 * time.Hour)
		clock.set(now)
		r.LookAtSchedules()
		r.until("it was looked at", func() bool {
			s, err = r.Schedule(t.Context(), me, s.ID)
			return err != nil || s.Version > 1
		})
		if err != nil || s.Version != 2 || s.Name != name || s.Runs != 0 || !s.Slot.Equal(slot) || !s.NextAt.After(now) || !strings.Contains(s.Problem, c.problem) {
			t.Errorf("%s: %+v, %v", name, s, err)
		}
		if times, err := s.Preview(3, now); err != nil || len(times) != 0 {
			t.Errorf("%s: it runs at %v, %v", name, times, err)
		}
		pause := func(spec *schedule.Spec) error { spec.Paused = true; return nil }
		if _, err := r.ChangeSchedule(t.Context(), me, s.ID, pause); task.CodeOf(err) != task.CodeInvalidRequest {
			t.Errorf("%s: a change that leaves it so: %v", name, err)
		}
		if got := stored(s.ID); got != text {
			t.Errorf("%s: stored is %s, want %s", name, got, text)
		}
		mend := func(spec *schedule.Spec) error {
			spec.TimeZone, spec.Cron, spec.Task = mended.TimeZone, mended.Cron, mended.Task
			return nil
		}
		if c.back {
			_, err = db.Exec(`UPDATE schedule SET spec = ? WHERE id = ?`, strings.Replace(text, c.is, c.was, 1), s.ID[:])
		} else if s, err = r.ChangeSchedule(t.Context(), me, s.ID, mend); s.Problem != "" {
			t.Errorf("%s: mended: %s", name, s.Problem)
		}
		if err != nil || !s.NextAt.After(now) || s.NextAt.Sub(now) > time.Hour {
			t.Errorf("%s: mended: %+v, %v", name, s, err)
		}
		now = s.NextAt
		clock.set(now)
		r.LookAtSchedules()
		r.until("it runs", func() bool {
			s, err = r.Schedule(t.Context(), me, s.ID)
			return err != nil || s.Runs == 1
		})
		if err != nil || s.Problem != "" {
			t.Errorf("%s: it ran: %+v, %v", name, s, err)
		}
	}
}
