package lane

import (
	"maps"
	"strconv"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/taskhost/taskhost/host/task"
)

var began = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func limited(owner, tenant string) *task.Task {
	return &task.Task{Type: "limited", Owner: owner, Labels: map[string]string{"tenant": tenant}, State: task.Running, UpdatedAt: began}
}

// What counts against limits is what was held and not let go of, whatever is rolled back
// in between.
func TestLimitsCount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := NewSet()
		limits := map[string]task.StartLimits{"limited": {Concurrency: []task.Concurrency{{Max: 3}, {Max: 2, By: task.ByOwner}, {Max: 1, By: "label:tenant"}}, Rate: task.Rate{PerSecond: 1, Burst: 1000}}}
		s.SetLimits(limits, nil)
		held, committed := map[int64]*task.Task{}, map[int64]*task.Task{}
		spent, committedSpent := 0, 0
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			seq := int64(rapid.IntRange(1, 8).Draw(t, "seq"))
			switch rapid.IntRange(0, 5).Draw(t, "do") {
			case 0, 1:
				if held[seq] == nil {
					held[seq] = limited("o"+strconv.Itoa(int(seq%3)), "t"+strconv.Itoa(int(seq%2)))
					s.Hold(seq, nil, held[seq])
					spent++
				}
			case 2:
				s.LetGo(seq)
				delete(held, seq)
			case 3:
				s.Commit()
				committed, committedSpent = maps.Clone(held), spent
			case 4:
				s.Rollback()
				held, spent = maps.Clone(committed), committedSpent
			case 5: // asking changes nothing
				s.MayBegin([]*task.Task{limited("o1", "t1"), limited("o1", "t0"), limited("o2", "t1")}, func(t *task.Task) Key { return Key{Type: t.Type, Owner: t.Owner} })
			}
			counts := map[counterKey]int64{}
			for _, h := range held {
				counts[counterKey{"limited", "", ""}]++
				counts[counterKey{"limited", "owner", h.Owner}]++
				counts[counterKey{"limited", "label:tenant", h.Labels["tenant"]}]++
			}
			s.limits.counters.Range(func(k, c any) bool {
				if got := c.(*counter).held.Load(); got != counts[k.(counterKey)] {
					t.Fatalf("%v counts %d, want %d", k, got, counts[k.(counterKey)])
				}
				delete(counts, k.(counterKey))
				return true
			})
			for k, n := range counts {
				if n != 0 {
					t.Fatalf("%v is not counted, want %d", k, n)
				}
			}
			want := task.Spent(0)
			if spent > 0 {
				want = task.Spent(began.UnixNano()) + task.Spent(time.Duration(spent)*time.Second)
			}
			if got := s.limits.spent["limited"]; got != want {
				t.Fatalf("spent %d, want %d", got, want)
			}
		}
	})
}

func TestMayBegin(t *testing.T) {
	keyOf := func(t *task.Task) Key { return Key{Type: t.Type, Owner: t.Owner} }
	deferred := limited("ann", "a")
	deferred.State, deferred.Waiting = task.Pending, task.WaitDispatched
	waits := limited("ann", "a")
	waits.State, waits.Waiting = task.Pending, task.WaitQueued
	for name, c := range map[string]struct {
		limits task.StartLimits
		held   int
		tasks  []*task.Task
		not    int
	}{
		"without limits":     {task.StartLimits{}, 9, []*task.Task{limited("ann", "a")}, 0},
		"the limit together": {task.StartLimits{Concurrency: []task.Concurrency{{Max: 3}}}, 1, []*task.Task{limited("ann", "a"), limited("ann", "b"), limited("bob", "c")}, 1},
		"by owner":           {task.StartLimits{Concurrency: []task.Concurrency{{Max: 1, By: "owner"}}}, 0, []*task.Task{limited("ann", "a"), limited("ann", "b"), limited("bob", "c")}, 1},
		"by label":           {task.StartLimits{Concurrency: []task.Concurrency{{Max: 1, By: "label:tenant"}}}, 1, []*task.Task{limited("ann", "x"), limited("ann", "b"), limited("bob", "b")}, 2},
		"handed on counts":   {task.StartLimits{Concurrency: []task.Concurrency{{Max: 1}}}, 1, []*task.Task{deferred}, 1},
		"waits in any case":  {task.StartLimits{Concurrency: []task.Concurrency{{Max: 1}}}, 1, []*task.Task{waits}, 0},
		"paused":             {task.StartLimits{Paused: true}, 0, []*task.Task{limited("ann", "a")}, 1},
		"the rate":           {task.StartLimits{Rate: task.Rate{PerSecond: 1, Burst: 2}}, 1, []*task.Task{limited("ann", "a"), limited("ann", "a")}, 1},
	} {
		s := NewSet()
		s.SetLimits(map[string]task.StartLimits{"limited": c.limits}, nil)
		for i := range c.held {
			s.Hold(int64(i+1), nil, limited("eve", "x"))
		}
		if not := s.MayBegin(c.tasks, keyOf); len(not) != c.not {
			t.Errorf("%s: %d may not begin, want %d", name, len(not), c.not)
		}
	}
}

// Counters of values that nobody has any more go, and those that a lane looks at stay.
func TestUnusedCountersGo(t *testing.T) {
	s := NewSet()
	s.SetLimits(map[string]task.StartLimits{"limited": {Concurrency: []task.Concurrency{{Max: 1, By: "label:tenant"}}}}, nil)
	for i := range 100 {
		s.Hold(int64(i), nil, limited("ann", strconv.Itoa(i)))
		if i > 0 {
			s.LetGo(int64(i))
		}
	}
	l := s.Add(1, Key{Type: "limited", Owner: "ann", Values: `{"tenant":"7"}`})
	s.Move(l, Uncounted, l, Ready)
	s.Commit()
	s.DropEmpty()
	var left []string
	s.limits.counters.Range(func(k, _ any) bool { left = append(left, k.(counterKey).value); return true })
	if len(left) != 2 || s.Ready([]task.LaneID{l.ID}) != 1 {
		t.Errorf("left are %v", left)
	}
	s.Hold(1000, nil, limited("ann", "7"))
	if s.Ready([]task.LaneID{l.ID}) != 0 {
		t.Error("the lane does not see that its limit is reached")
	}
}
