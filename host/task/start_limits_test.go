package task_test

import (
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

func TestRate(t *testing.T) {
	at := func(d time.Duration) time.Time { return time.Unix(1_800_000_000, 0).Add(d) }
	type step struct {
		after time.Duration
		ok    bool
		opens time.Duration // if not ok
	}
	for name, c := range map[string]struct {
		rate  task.Rate
		steps []step
	}{
		"one a second": {task.Rate{PerSecond: 1}, []step{{0, true, 0}, {0, false, time.Second}, {999 * time.Millisecond, false, time.Second}, {time.Second, true, 0}, {time.Second, false, 2 * time.Second}}},
		"a burst": {task.Rate{PerSecond: 2, Burst: 3}, []step{{0, true, 0}, {0, true, 0}, {0, true, 0}, {0, false, 500 * time.Millisecond}, {500 * time.Millisecond, true, 0},
			{500 * time.Millisecond, false, time.Second}, {time.Hour, true, 0}, {time.Hour, true, 0}, {time.Hour, true, 0}, {time.Hour, false, time.Hour + 500*time.Millisecond}}},
		"no finer than a timer": {task.Rate{PerSecond: 1000}, []step{{0, true, 0}, {0, true, 0}, {0, true, 0}, {0, true, 0}, {0, true, 0}, {0, true, 0}, {0, true, 0}, {0, true, 0}, {0, true, 0}, {0, true, 0},
			{0, false, time.Millisecond}}},
		"a clock set back": {task.Rate{PerSecond: 1, Burst: 2}, []step{{0, true, 0}, {0, true, 0}, {-time.Hour, false, -time.Hour + time.Second}, {-time.Hour + time.Second, true, 0}}},
		"a moment older":   {task.Rate{PerSecond: 1}, []step{{0, true, 0}, {-10 * time.Second, false, time.Second}}},
		"seldom":           {task.Rate{PerSecond: task.MinRate, Burst: 300}, []step{{0, true, 0}, {0, true, 0}}},
	} {
		var spent task.Spent
		for i, s := range c.steps {
			after, opens, ok := c.rate.Begin(spent, at(s.after))
			spent = after
			if ok != s.ok || !ok && !opens.Equal(at(s.opens)) {
				t.Errorf("%s: step %d: %v, opens after %s, want %v, %s", name, i, ok, opens.Sub(at(0)), s.ok, s.opens)
			}
			if next := c.rate.Opens(spent); !ok && !next.Equal(opens) {
				t.Errorf("%s: step %d: opens at %s by one way, %s by the other", name, i, next, opens)
			}
		}
	}
}

func TestCheckTypeSpec(t *testing.T) {
	minus, huge := -1, task.MaxRetain+1
	for field, s := range map[string]task.TypeConfig{
		"timeout": {Timeout: task.MaxTimeout + 1}, "deadline": {Deadline: -1}, "max_attempts": {MaxAttempts: -1}, "max_lost": {MaxLost: &minus}, "retain": {Retain: &huge},
		"backoff": {Backoff: task.Backoff{Initial: 2, Max: 1}}, "queue_limit": {QueueLimit: -1}, "max_input": {MaxInput: -1}, "min_version": {MinVersion: "new"}, "max_result": {MaxResult: task.MaxPayload + 1},
		"priority": {Priority: 1001}, "route": {Route: task.Route{"": "x"}}, "concurrency": {Concurrency: []task.Concurrency{{Max: 1}, {Max: 2}}},
		"rate": {Rate: &task.Rate{PerSecond: 0.001, Burst: 1_000_000}},
	} {
		err := (&task.TypeSpec{TypeConfig: s}).Check()
		te, ok := err.(*task.Error)
		if !ok || te.Code != task.CodeInvalidRequest || len(te.Fields) != 1 || te.Fields[0].Path[0] != field {
			t.Errorf("%s: %v", field, err)
		}
	}
	for by, right := range map[string]bool{"": true, "owner": true, "label:a": true, "label:": false, "labels": false, "label:a=b": false, "tenant": false} {
		spec := task.TypeSpec{TypeConfig: task.TypeConfig{Concurrency: []task.Concurrency{{Max: 1, By: by}}}}
		if err := spec.Check(); (err == nil) != right {
			t.Errorf("by %q: %v", by, err)
		}
	}
	for _, r := range []task.Rate{{PerSecond: -1}, {PerSecond: 1e9}, {PerSecond: 1, Burst: -1}, {Burst: 3}} {
		if err := (&task.TypeSpec{TypeConfig: task.TypeConfig{Rate: &r}}).Check(); err == nil {
			t.Errorf("rate %+v was taken", r)
		}
	}
	retain := time.Duration(0)
	good := task.TypeSpec{TypeConfig: task.TypeConfig{Retain: &retain, Rate: &task.Rate{PerSecond: 10}, Concurrency: []task.Concurrency{{Max: 3}, {Max: 1, By: "owner"}}}}
	if err := good.Check(); err != nil {
		t.Error(err)
	}
}

func TestLimitOrigins(t *testing.T) {
	zero := time.Duration(0)
	executor := task.TypeConfig{Timeout: 1, MaxAttempts: 2, Priority: 3, Rate: &task.Rate{PerSecond: -1}}
	api := task.TypeConfig{Timeout: 2, Retain: &zero, Concurrency: []task.Concurrency{}, Backoff: task.Backoff{Max: 1}}
	config := task.TypeConfig{Timeout: 3}
	got := task.LimitOrigins(&executor, &api, &config)
	for field, want := range map[string]task.Origin{"timeout": task.OriginConfig, "max_attempts": task.OriginExecutor, "retain": task.OriginAPI, "concurrency": task.OriginAPI,
		"backoff": task.OriginAPI, "queue_limit": task.OriginDefault, "rate": task.OriginDefault, "priority": task.OriginExecutor} {
		if got[field] != want {
			t.Errorf("%s is of %q, want %q", field, got[field], want)
		}
	}
	l := task.LayLimits(executor, api, config)
	if l.Timeout != 3 || l.MaxAttempts != 2 || l.Retain != 0 || l.Rate != (task.Rate{}) {
		t.Errorf("laid over one another: %+v", l)
	}
}

func TestDeadlineOfAType(t *testing.T) {
	start := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	lim := task.DefaultLimits()
	lim.Deadline = time.Hour
	for _, c := range []struct {
		spec task.Spec
		want time.Time
	}{
		{task.Spec{Type: "a"}, start.Add(time.Hour)},
		{task.Spec{Type: "a", RunAt: start.Add(time.Minute)}, start.Add(61 * time.Minute)},
		{task.Spec{Type: "a", Deadline: start.Add(2 * time.Hour)}, start.Add(2 * time.Hour)},
	} {
		n, err := task.New(task.ID{1}, "me", c.spec, lim, start)
		if err != nil || !n.Deadline.Equal(c.want) {
			t.Errorf("deadline %s, %v, want %s", n.Deadline, err, c.want)
		}
	}
}
