package schedule_test

import (
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/schedule"
	"github.com/taskhost/taskhost/host/task"
)

func at(t *testing.T, s string) time.Time {
	t.Helper()
	v, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func zone(t *testing.T, name string) *time.Location {
	t.Helper()
	z, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return z
}

// Berlin goes from 02:00 to 03:00 on 29 March 2026 and from 03:00 back to 02:00 on 25
// October; Lord Howe goes by half an hour, and Apia had no 30 December 2011.
func TestNextOverChangesOfTheClock(t *testing.T) {
	for name, c := range map[string]struct {
		cron, zone, after string
		want              []string
	}{
		"an ordinary day":                     {"30 4 * * *", "Europe/Berlin", "2026-06-01T00:00:00Z", []string{"2026-06-01T02:30:00Z", "2026-06-02T02:30:00Z"}},
		"a time that does not come":           {"30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", []string{"2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"}},
		"two times that do not come":          {"10,50 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", []string{"2026-03-29T01:00:00Z", "2026-03-30T00:10:00Z"}},
		"a time that comes twice":             {"30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", []string{"2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"}},
		"from between the two":                {"30 2 * * *", "Europe/Berlin", "2026-10-25T00:45:00Z", []string{"2026-10-26T01:30:00Z"}},
		"from the second time":                {"30 2 * * *", "Europe/Berlin", "2026-10-25T01:15:00Z", []string{"2026-10-26T01:30:00Z"}},
		"each half hour, spring":              {"*/30 * * * *", "Europe/Berlin", "2026-03-29T00:30:00Z", []string{"2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"}},
		"each half hour, autumn":              {"*/30 * * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", []string{"2026-10-25T01:00:00Z", "2026-10-25T01:30:00Z", "2026-10-25T02:00:00Z"}},
		"each hour, autumn":                   {"@hourly", "Europe/Berlin", "2026-10-24T23:30:00Z", []string{"2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"}},
		"midnight that does not come":         {"0 0 * * *", "America/Sao_Paulo", "2018-11-03T12:00:00Z", []string{"2018-11-04T03:00:00Z", "2018-11-05T02:00:00Z"}},
		"half an hour that comes twice":       {"45 1 * * *", "Australia/Lord_Howe", "2026-04-04T10:00:00Z", []string{"2026-04-04T14:45:00Z", "2026-04-05T15:15:00Z"}},
		"a day that does not come":            {"0 12 * * *", "Pacific/Apia", "2011-12-29T23:00:00Z", []string{"2011-12-30T10:00:00Z", "2011-12-30T22:00:00Z"}},
		"weekdays":                            {"0 9 * * 1-5", "UTC", "2026-01-02T09:00:00Z", []string{"2026-01-05T09:00:00Z", "2026-01-06T09:00:00Z"}},
		"a leap day":                          {"0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", []string{"2028-02-29T00:00:00Z", "2032-02-29T00:00:00Z"}},
		"a time itself is not after it":       {"@daily", "UTC", "2026-01-01T00:00:00Z", []string{"2026-01-02T00:00:00Z"}},
		"whatever is between full minutes is": {"@daily", "UTC", "2025-12-31T23:59:59Z", []string{"2026-01-01T00:00:00Z"}},
	} {
		timing := schedule.Timing{Cron: c.cron, Zone: zone(t, c.zone)}
		after := at(t, c.after)
		for _, want := range c.want {
			got, err := timing.Next(after)
			if err != nil || !got.Equal(at(t, want)) {
				t.Errorf("%s: after %s comes %s, %v; want %s", name, after.Format(time.RFC3339), got.Format(time.RFC3339), err, want)
				break
			}
			after = got
		}
	}
}

// A year of runs, in zones with changes of the clock: each day has one, and nothing comes twice.
func TestYearOfDays(t *testing.T) {
	for _, name := range []string{"UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "America/Sao_Paulo", "Asia/Kolkata", "Africa/Casablanca"} {
		for _, cron := range []string{"30 2 * * *", "0 0 * * *", "59 23 * * *", "15 1 * * *"} {
			timing := schedule.Timing{Cron: cron, Zone: zone(t, name)}
			from := time.Date(2026, 1, 1, 12, 0, 0, 0, timing.Zone)
			days := map[string]bool{}
			last := from
			for {
				next, err := timing.Next(last)
				if err != nil || !next.After(last) {
					t.Fatalf("%s in %s: after %s comes %s, %v", cron, name, last, next, err)
				}
				if last = next; !next.Before(from.AddDate(1, 0, 0)) {
					break
				}
				days[next.In(timing.Zone).Format(time.DateOnly)] = true
			}
			if len(days) != 365 {
				t.Errorf("%s in %s: runs on %d days of a year", cron, name, len(days))
			}
		}
	}
}

func TestEvery(t *testing.T) {
	anchor := at(t, "2026-01-01T00:00:07Z")
	timing := schedule.Timing{Every: 90 * time.Minute, Anchor: anchor}
	got, err := timing.Next(anchor.Add(100 * time.Minute))
	if err != nil || !got.Equal(anchor.Add(180*time.Minute)) {
		t.Errorf("got %s, %v", got, err)
	}
	timing.StartAt = at(t, "2026-02-01T00:00:00Z")
	timing.EndAt = at(t, "2026-02-01T01:00:00Z")
	if got, err := timing.Next(anchor); err != nil || !got.Equal(timing.StartAt) {
		t.Errorf("the first is %s, %v", got, err)
	}
	if got, err := timing.Next(timing.StartAt); err != nil || !got.IsZero() {
		t.Errorf("after the end comes %s, %v", got, err)
	}
}

// An interval may have begun thousands of years ago, in the middle of a second, or after now: a run
// comes at once to be reckoned. None comes in a year that cannot be shown.
func TestEveryFromFarAway(t *testing.T) {
	for name, c := range map[string]struct {
		every              time.Duration
		start, after, want string
	}{
		"the year 1":                  {time.Second, "0001-01-01T00:00:01Z", "2026-01-01T00:00:00.5Z", "2026-01-01T00:00:01Z"},
		"the year 0":                  {time.Minute, "0000-01-01T00:00:30Z", "2026-01-01T00:00:30Z", "2026-01-01T00:01:30Z"},
		"in half seconds":             {1500 * time.Millisecond, "1500-01-01T00:00:00.25Z", "2026-01-01T00:00:00.2499Z", "2026-01-01T00:00:00.25Z"},
		"from the year 1 to the last": {time.Hour, "0001-01-01T00:10:00Z", "9999-12-31T22:59:00Z", "9999-12-31T23:10:00Z"},
		"beyond the last year":        {time.Hour, "0001-01-01T00:10:00Z", "9999-12-31T23:10:00Z", "0001-01-01T00:00:00Z"},
	} {
		timing := schedule.Timing{Every: c.every, StartAt: at(t, c.start)}
		if got, err := timing.Next(at(t, c.after)); err != nil || !got.Equal(at(t, c.want)) {
			t.Errorf("%s: after %s comes %s, %v; want %s", name, c.after, got.Format(time.RFC3339Nano), err, c.want)
		}
	}
	timing := schedule.Timing{Every: time.Hour, Anchor: at(t, "2026-01-01T00:30:00Z")}
	for after, want := range map[string]string{"2025-12-31T22:30:00Z": "2025-12-31T23:30:00Z", "2025-12-31T22:29:00Z": "2025-12-31T22:30:00Z"} {
		if got, err := timing.Next(at(t, after)); err != nil || !got.Equal(at(t, want)) {
			t.Errorf("with the clock set back to %s comes %s, %v; want %s", after, got, err, want)
		}
	}
	last := schedule.Spec{Name: "x", Every: time.Hour, Jitter: time.Hour, StartAt: at(t, "9999-12-31T23:10:00Z")}
	if s, err := schedule.New(task.ID{1}, "ann", last, at(t, "2026-01-01T00:00:00Z"), 0.99); err != nil || !task.ValidTime(s.NextAt) {
		t.Errorf("the last run that can be shown comes at %s, %v", s.NextAt, err)
	}
}

func TestSpecsThatAreRefused(t *testing.T) {
	for name, s := range map[string]schedule.Spec{
		"name":       {Cron: "@daily"},
		"cron":       {Name: "x"},
		"both":       {Name: "x", Cron: "@daily", Every: time.Hour},
		"fields":     {Name: "x", Cron: "* * * *"},
		"seconds":    {Name: "x", Cron: "* * * * * *"},
		"unreadable": {Name: "x", Cron: "61 * * * *"},
		"never":      {Name: "x", Cron: "0 0 30 2 *"},
		"tag":        {Name: "x", Cron: "@reboot"},
		"zone":       {Name: "x", Cron: "@daily", TimeZone: "Mars/Olympus"},
		"local":      {Name: "x", Cron: "@daily", TimeZone: "Local"},
		"short":      {Name: "x", Every: time.Millisecond},
		"missed":     {Name: "x", Every: time.Hour, Missed: "some"},
		"overlap":    {Name: "x", Every: time.Hour, Overlap: "some"},
		"window":     {Name: "x", Every: time.Hour, StartAt: at(t, "2026-01-02T00:00:00Z"), EndAt: at(t, "2026-01-01T00:00:00Z")},
		"key":        {Name: "x", Every: time.Hour, Task: task.Spec{Key: "k"}},
		"jitter":     {Name: "x", Every: time.Hour, Jitter: -1},
	} {
		if _, err := schedule.New(task.ID{1}, "ann", s, at(t, "2026-01-01T00:00:00Z"), 0); task.CodeOf(err) != task.CodeInvalidRequest {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func FuzzCron(f *testing.F) {
	for _, line := range []string{"* * * * *", "30 2 * * *", "*/7 1-5 L * *", "0 0 29 2 1#5", "@daily", "5/3 ? 15W JAN MON"} {
		f.Add(line, int64(1774746000))
	}
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, line string, unix int64) {
		now := time.Unix(unix%4102444800, 0)
		s, err := schedule.New(task.ID{1}, "ann", schedule.Spec{Name: "x", Cron: line, TimeZone: "Europe/Berlin"}, now, 0)
		if err != nil {
			return
		}
		for range 5 {
			next, err := s.Timing.Next(now)
			if err != nil || next.IsZero() {
				return
			}
			if !next.After(now) || next.In(berlin).Second() != 0 {
				t.Fatalf("%q: after %s comes %s", line, now, next)
			}
			now = next
		}
	})
}
