package storetest

import (
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/resource"
	"github.com/taskhost/taskhost/host/task"
)

// RunBacklog holds a store against task.BacklogStore.
func RunBacklog[S interface {
	task.Store
	task.BacklogStore
	task.SignalStore
	task.TransactionStore
	resource.Store
}](t *testing.T, open func(t *testing.T, dir string) S) {
	run(t, opens(open), []testCase{
		{"why tasks wait", whyTasksWait},
		{"the oldest that waits", oldestThatWaits},
	})
}

// wantReasons wants so many tasks to wait for each reason, also where they are counted anew.
func (s *suite) wantReasons(want map[task.Waiting]int64) {
	s.Helper()
	for _, when := range []string{"counted", "counted anew"} {
		got := map[task.Waiting]int64{}
		for _, l := range s.lanes() {
			reasons, err := port[task.BacklogStore](s).Reasons(s.ctx, l)
			s.must(err)
			for w, n := range reasons {
				if n != 0 {
					got[task.Waiting(w)] += n
				}
			}
		}
		for w := task.WaitNone; w <= task.WaitChildren; w++ {
			if got[w] != want[w] {
				s.Fatalf("%s: %v wait, want %v", when, got, want)
			}
		}
		s.reopen()
	}
}

func whyTasksWait(s *suite) {
	s.wantReasons(nil)
	soon := s.insert(task.Spec{Type: "soon", RunAt: start.Add(time.Minute)}, task.Spec{Type: "soon", RunAt: start.Add(time.Minute), Resources: exclusive("a")})
	s.insert(task.Spec{Type: "late", RunAt: start.Add(time.Hour)})
	s.wantReasons(map[task.Waiting]int64{task.WaitScheduled: 3})
	holder := s.run(task.Spec{Type: "holder", Resources: exclusive("a")})
	_, _, err := s.handle().Promote(s.ctx, start.Add(time.Minute), 10)
	s.must(err)
	s.wantReasons(map[task.Waiting]int64{task.WaitScheduled: 1, task.WaitResource: 1})
	s.apply(task.Pause(new(s.get(soon[0].ID)), "ann", start))
	s.wantReasons(map[task.Waiting]int64{task.WaitScheduled: 1, task.WaitResource: 1, task.WaitPaused: 1})
	s.succeed(holder)
	s.decideResources()
	s.apply(task.Resume(new(s.get(soon[0].ID)), "ann", start.Add(time.Hour)))
	s.wantReasons(map[task.Waiting]int64{task.WaitScheduled: 1})
	s.finish("soon", 2, task.Outcome{Kind: task.OutcomeSucceeded})
	parent := s.run(task.Spec{Type: "parent"})
	children := s.spawn(parent, 1)
	s.await(parent, nil)
	handedOn := s.claimOnly(s.insert(task.Spec{Type: "fleet", Priority: 1})[0], true)
	s.wantReasons(map[task.Waiting]int64{task.WaitScheduled: 1, task.WaitChildren: 1, task.WaitDispatched: 1})
	s.apply(task.Started(new(s.get(handedOn.ID)), nil, "n", start))
	s.apply(task.Cancel(new(s.get(children[0].ID)), "ann", start))
	s.wake(parent.ID)
	s.wantReasons(map[task.Waiting]int64{task.WaitScheduled: 1})
}

func oldestThatWaits(s *suite) {
	if lanes := s.lanes(); len(lanes) != 0 {
		s.Fatal("there are lanes")
	}
	oldest := func(w task.Waiting) task.Oldest {
		s.Helper()
		o, err := port[task.BacklogStore](s).Oldest(s.ctx, s.lanes()[0], w)
		s.must(err)
		return o
	}
	put := func(priority int, age time.Duration) task.Task {
		t := s.make(task.Spec{Type: "t", Priority: priority})
		t.CreatedAt = start.Add(-age)
		s.put(t)
		return *t
	}
	put(5, time.Minute)
	first := put(0, time.Hour)
	put(0, time.Minute)
	put(-5, time.Second)
	if o := oldest(task.WaitQueued); o.ID != first.ID || !o.CreatedAt.Equal(first.CreatedAt) {
		s.Fatalf("the oldest that is queued is %+v, want %s of %s", o, first.ID, first.CreatedAt)
	}
	if o := oldest(task.WaitPaused); o != (task.Oldest{}) {
		s.Fatalf("%+v is paused", o)
	}
	s.apply(task.Pause(new(s.get(first.ID)), "ann", start))
	if o := oldest(task.WaitPaused); o.ID != first.ID {
		s.Fatalf("the oldest that is paused is %+v, want %s", o, first.ID)
	}
	if o := oldest(task.WaitQueued); o.ID == first.ID || o.ID.IsZero() {
		s.Fatalf("the oldest that is queued is %+v", o)
	}
}
