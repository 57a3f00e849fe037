package task_test

import (
	"math"
	"reflect"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

func TestLayLimits(t *testing.T) {
	never, many, short := 0, math.MaxInt, time.Minute
	defaults := task.DefaultLimits()
	for name, c := range map[string]struct {
		layers []task.TypeConfig
		want   func(l *task.Limits)
	}{
		"nobody says anything": {nil, func(*task.Limits) {}},
		"empty layers":         {make([]task.TypeConfig, 3), func(*task.Limits) {}},
		"the later layer holds": {
			[]task.TypeConfig{{Timeout: time.Second, MaxAttempts: 5, Route: task.Route{"a": "1"}}, {Timeout: 2 * time.Second, Route: task.Route{"b": "2"}}},
			func(l *task.Limits) {
				l.Timeout = 2 * time.Second
				l.MaxAttempts = 5
				l.Route = task.Route{"b": "2"}
			}},
		"zero that is meant": {
			[]task.TypeConfig{{MaxLost: &never, Retain: &never0}}, func(l *task.Limits) {
				l.MaxLost = 0
				l.Retain = 0
			}},
		"all of them": {
			[]task.TypeConfig{{Retain: &short, QueueLimit: 7, MaxInput: 8, Priority: -9}}, func(l *task.Limits) {
				l.Retain = time.Minute
				l.QueueLimit = 7
				l.MaxInput = 8
				l.Priority = -9
			}},
		"beyond the bounds": {
			[]task.TypeConfig{{Timeout: math.MaxInt64, MaxAttempts: math.MaxInt, MaxLost: &many, Priority: math.MinInt}}, func(l *task.Limits) {
				l.Timeout = task.MaxTimeout
				l.MaxAttempts = task.MaxTries
				l.MaxLost = task.MaxTries
				l.Priority = -task.MaxPriority
			}},
		"versions":      {[]task.TypeConfig{{MinVersion: "1.0.0"}, {MinVersion: "2"}, {MinVersion: "new"}, {}}, func(l *task.Limits) { l.MinVersion = "2" }},
		"below nothing": {[]task.TypeConfig{{Timeout: -1, MaxAttempts: -1, QueueLimit: -1}}, func(*task.Limits) {}},
		"half a backoff": {
			[]task.TypeConfig{{Backoff: task.Backoff{Initial: time.Hour}}}, func(l *task.Limits) {
				l.Backoff = task.Backoff{Initial: time.Hour, Max: time.Hour}
			}},
		"the other half": {
			[]task.TypeConfig{{Backoff: task.Backoff{Max: 2 * time.Second}}}, func(l *task.Limits) { l.Backoff.Max = 2 * time.Second }},
	} {
		want := defaults
		c.want(&want)
		if got := task.LayLimits(c.layers...); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, want %+v", name, got, want)
		}
	}
	if l := defaults.Within(5, 0); l.MaxInput != 5 || l.MaxResult != defaults.MaxResult {
		t.Errorf("an executor that takes 5 bytes: %+v", l)
	}
	if l := defaults.Within(1<<40, 6); l.MaxInput != defaults.MaxInput || l.MaxResult != 6 {
		t.Errorf("an executor that gives 6 bytes: %+v", l)
	}
}

var never0 time.Duration

func TestRoute(t *testing.T) {
	r := task.Route{"zone": "b", "a": "1"}
	if got := r.Canonical(); got != `{"a":"1","zone":"b"}` {
		t.Errorf("canonical: %s", got)
	}
	for _, want := range []task.Route{nil, r} {
		if got, err := task.ParseRoute(want.Canonical()); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("read back: %v, %v", got, err)
		}
	}
	if _, err := task.ParseRoute("{"); err == nil {
		t.Error("half a route was read")
	}
}
