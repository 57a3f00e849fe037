package storetest

import (
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

type limitStore interface {
	task.Store
	task.LimitStore
}

// RunLimits holds a store against task.LimitStore.
func RunLimits[S limitStore](t *testing.T, open func(t *testing.T, dir string) S) {
	run(t, opens(open), []testCase{
		{"a limit on all of a type", limitOnAll},
		{"limits by owner", limitByOwner},
		{"limits by a label", limitByLabel},
		{"what is full is not looked through", fullIsSetAside},
		{"two limits by labels", limitByTwoLabels},
		{"new tasks that were begun are held back", heldBack},
		{"limits hold for batches and deferred executors", limitOfBatches},
		{"limits change while attempts run", limitsChange},
		{"limits outlast the process", limitsOutlast},
		{"a paused type", pausedType},
		{"rates", rates},
		{"limits under many at once", limitUnderLoad},
	})
}

// limit puts limits in force for the type "limited".
func (s *suite) limit(l task.StartLimits) {
	s.Helper()
	s.must(port[task.LimitStore](s).SetStartLimits(s.ctx, map[string]task.StartLimits{"limited": l}))
}

func atOnce(limits ...task.Concurrency) task.StartLimits {
	return task.StartLimits{Concurrency: limits}
}

// limited makes tasks of the type that is under limits, of one owner and with one label.
func (s *suite) limited(n int, owner, tenant string) (out []task.Task) {
	s.Helper()
	for range n {
		t := s.make(task.Spec{Type: "limited", Labels: map[string]string{"tenant": tenant}})
		t.Owner = owner
		s.put(t)
		out = append(out, *t)
	}
	return out
}

// claimsOf is how many of what is claimed are of each owner and label.
func claimsOf(ts []task.Task) map[string]int {
	n := map[string]int{}
	for _, t := range ts {
		n[t.Owner]++
		n["tenant "+t.Labels["tenant"]]++
	}
	return n
}

func (s *suite) wantClaimed(limit, want int) []task.Task {
	s.Helper()
	got := s.claim(limit)
	if len(got) != want {
		s.Fatalf("claimed %d tasks, want %d", len(got), want)
	}
	return got
}

func (s *suite) wantBlock(owner, tenant, want string) {
	s.Helper()
	b := port[task.LimitStore](s).StartBlock("limited", owner, func(string) (string, bool) { return tenant, true })
	if got := b.Reason("limited"); got != want {
		s.Fatalf("kept by %q, want %q", got, want)
	}
}

func limitOnAll(s *suite) {
	s.limit(atOnce(task.Concurrency{Max: 3}))
	s.limited(10, "ann", "a")
	others := s.insert(task.Spec{Type: "other"}, task.Spec{Type: "other"})
	running := s.claim(10)
	if n := claimsOf(running)["tenant a"]; n != 3 || len(running) != 5 {
		s.Fatalf("claimed %d of the type, %d in all, want 3 and 5", n, len(running))
	}
	if s.ready(s.lanes()) != 0 {
		s.Fatal("what may not begin is said to be ready")
	}
	s.wantBlock("ann", "a", `the concurrency limit of task type "limited" is reached: 3 at once`)
	s.wantClaimed(10, 0)
	// However an attempt ends, the next may begin.
	s.succeed(running[0])
	s.wantBlock("ann", "a", "")
	second := s.wantClaimed(10, 1)[0]
	s.settle(running[1], task.Outcome{Kind: task.OutcomeReleased})
	s.wantClaimed(10, 1)
	s.apply(task.Cancel(&second, "ann", start))
	s.wantClaimed(10, 0) // it may still run
	s.settle(s.get(second.ID), task.Outcome{Kind: task.OutcomeCanceled})
	s.wantClaimed(10, 1)
	s.succeed(s.get(others[0].ID))
	s.wantClaimed(10, 0)
}

func limitByOwner(s *suite) {
	s.limit(atOnce(task.Concurrency{Max: 5}, task.Concurrency{Max: 2, By: task.ByOwner}))
	s.limited(10, "ann", "a")
	s.limited(1, "bob", "a")
	s.limited(10, "eve", "a")
	running := s.wantClaimed(50, 5)
	if n := claimsOf(running); n["ann"] != 2 || n["bob"] != 1 || n["eve"] != 2 {
		s.Fatalf("claimed %v", n)
	}
	of := func(owner string) task.Task {
		return running[slices.IndexFunc(running, func(t task.Task) bool { return t.Owner == owner })]
	}
	s.succeed(of("bob"))
	s.wantClaimed(50, 0)
	s.wantBlock("ann", "a", `the concurrency limit of task type "limited" is reached: 2 at once by owner ("ann")`)
	s.succeed(of("ann"))
	if got := s.wantClaimed(50, 1); got[0].Owner != "ann" {
		s.Fatalf("claimed one of %s", got[0].Owner)
	}
}

func limitByLabel(s *suite) {
	s.limit(atOnce(task.Concurrency{Max: 1, By: "label:tenant"}))
	first := s.limited(3, "ann", "a")
	s.limited(1, "bob", "a")
	others := s.limited(2, "ann", "b")
	none := []*task.Task{s.make(task.Spec{Type: "limited"}), s.make(task.Spec{Type: "limited"})}
	s.put(none...)
	running := s.wantClaimed(50, 3)
	if running[0].ID != first[0].ID || running[1].ID != others[0].ID || running[2].ID != none[0].ID {
		s.Fatalf("claimed %v", claimsOf(running))
	}
	if s.ready(s.lanes()) != 0 {
		s.Fatal("what may not begin is said to be ready")
	}
	s.wantBlock("ann", "a", `the concurrency limit of task type "limited" is reached: 1 at once by label "tenant" ("a")`)
	s.wantBlock("ann", "c", "")
	s.succeed(running[0]) // bob, who has nothing under way, is next; then ann's in the order in which they came
	if running[0] = s.wantClaimed(50, 1)[0]; running[0].Owner != "bob" {
		s.Fatalf("the next is one of %s", running[0].Owner)
	}
	s.succeed(running[0])
	if running[0] = s.wantClaimed(50, 1)[0]; running[0].ID != first[1].ID {
		s.Fatalf("the next is %s, want %s", running[0].ID, first[1].ID)
	}
	s.succeed(running[0])
	if got := s.wantClaimed(50, 1); got[0].ID != first[2].ID {
		s.Fatalf("claimed one of %s", got[0].Owner)
	}
	s.reopen()
	s.wantCount(task.LaneCount{Ready: 2, Active: 3})
}

// fullIsSetAside: one value that is full costs the others a claim a look at each of its
// tasks once, and none at those that come later.
func fullIsSetAside(s *suite) {
	s.limit(atOnce(task.Concurrency{Max: 1, By: "label:tenant"}))
	var batch []*task.Task
	for range 2500 {
		batch = append(batch, s.make(task.Spec{Type: "limited", Labels: map[string]string{"tenant": "a"}}))
	}
	s.put(batch...)
	s.limited(1, "ann", "b")
	if got := claimsOf(s.claim(2)); got["tenant a"] != 1 {
		s.Fatalf("claimed %v", got)
	}
	for tries := 0; ; tries++ {
		if got := s.claim(2); len(got) == 1 && got[0].Labels["tenant"] == "b" {
			break
		} else if len(got) > 0 || tries > 10 {
			s.Fatalf("claimed %v after %d claims", claimsOf(got), tries)
		}
	}
	s.limited(500, "ann", "a")
	aside := int64(0)
	for _, l := range s.handle().Lanes(0) {
		if l.Values == `{"tenant":"a"}` {
			aside += s.count(l.ID).Ready
		}
	}
	if aside != 2999 {
		s.Fatalf("%d tasks wait aside, want 2999", aside)
	}
	if s.ready(s.lanes()) != 0 {
		s.Fatal("what may not begin is said to be ready")
	}
}

func limitByTwoLabels(s *suite) {
	s.limit(atOnce(task.Concurrency{Max: 2, By: "label:tenant"}, task.Concurrency{Max: 1, By: "label:disk"}))
	add := func(tenant, disk string) task.Task {
		return s.insert(task.Spec{Type: "limited", Labels: map[string]string{"tenant": tenant, "disk": disk}})[0]
	}
	a1, a2 := add("a", "1"), add("a", "2")
	a3, a1again, b1 := add("a", "3"), add("a", "1"), add("b", "1")
	if got := ids(s.claim(9)); !slices.Equal(got, []task.ID{a1.ID, a2.ID}) {
		s.Fatalf("claimed %v", got)
	}
	s.succeed(s.get(a1.ID))
	if got := ids(s.claim(9)); !slices.Equal(got, []task.ID{a3.ID, b1.ID}) {
		s.Fatalf("claimed %v, want the third of a, and the first on disk 1 whose tenant is free", got)
	}
	s.succeed(s.get(b1.ID))
	s.succeed(s.get(a2.ID))
	if got := ids(s.claim(9)); !slices.Equal(got, []task.ID{a1again.ID}) {
		s.Fatalf("claimed %v", got)
	}
}

// begun makes tasks of the type that is under limits, begun as they are made.
func (s *suite) begun(n int, deferred bool) (out []*task.Task) {
	for range n {
		t := s.make(task.Spec{Type: "limited"})
		*t = task.Begin(t, "local", newToken(), deferred, start).Task
		out = append(out, t)
	}
	return out
}

func heldBack(s *suite) {
	s.limit(atOnce(task.Concurrency{Max: 1}))
	ts := s.begun(2, false)
	s.put(ts[0])
	s.put(ts[1])
	if ts[0].State != task.Running || ts[1].State != task.Pending || ts[1].Waiting != task.WaitQueued || !ts[1].Token.IsZero() || ts[1].Attempt != 0 {
		s.Fatalf("begun: %s, %s %s, attempt %d", ts[0].State, ts[1].State, ts[1].Waiting, ts[1].Attempt)
	}
	equal(s.T, s.get(ts[1].ID), *ts[1])
	if h := s.history(ts[1].ID); len(h) != 1 || h[0].To != task.Pending {
		s.Fatalf("history %+v", h)
	}
	s.succeed(*ts[0])
	if got := s.wantClaimed(5, 1); got[0].ID != ts[1].ID || got[0].Attempt != 1 {
		s.Fatalf("claimed %+v", got[0])
	}
	// Nobody comes before who waits in the same lane, though the limit has room.
	s.limit(atOnce(task.Concurrency{Max: 9}))
	waits := s.insert(task.Spec{Type: "limited"})[0]
	late := s.begun(1, false)[0]
	s.put(late)
	if got := ids(s.claim(1)); late.State != task.Pending || got[0] != waits.ID {
		s.Fatalf("one that came later is %s", late.State)
	}
	// What is held back waits, and counts in the queue.
	s.limit(atOnce(task.Concurrency{Max: 1}))
	full := s.begun(2, false)
	for _, t := range full {
		t.QueueLimit = 2
	}
	_, err := s.handle().Insert(s.ctx, task.Submission{Tasks: full})
	s.wantCode(err, task.CodeQueueFull)
}

func limitOfBatches(s *suite) {
	for _, deferred := range []bool{false, true} {
		s.limit(task.StartLimits{})
		for _, t := range s.begun(1, deferred) {
			s.put(t)
		}
		s.limit(atOnce(task.Concurrency{Max: 4}))
		ts := s.begun(10, deferred)
		s.put(ts...)
		begun := 0
		for _, t := range ts {
			if !t.Token.IsZero() {
				begun++
			}
		}
		if begun != 3 {
			s.Fatalf("%d of a batch are begun beside the one that was, want 3 (deferred %v)", begun, deferred)
		}
		s.limit(task.StartLimits{})
		for _, t := range s.claim(50) {
			s.succeed(t)
		}
		p, err := s.handle().InFlight(s.ctx, "", 0, 100)
		s.must(err)
		for _, t := range p {
			if deferred {
				s.apply(task.Started(&t, nil, "", start))
				t = s.get(t.ID)
			}
			s.succeed(t)
		}
	}
}

func limitsChange(s *suite) {
	s.limited(6, "ann", "a")
	s.limited(2, "ann", "b")
	running := s.wantClaimed(3, 3)
	s.limit(atOnce(task.Concurrency{Max: 3, By: "label:tenant"}))
	if got := claimsOf(s.wantClaimed(9, 2)); got["tenant b"] != 2 {
		s.Fatalf("claimed %v: those that began before count, too", got)
	}
	s.limit(atOnce(task.Concurrency{Max: 7}))
	s.wantClaimed(9, 2)
	s.limit(atOnce(task.Concurrency{Max: 2}))
	s.succeed(running[0])
	s.wantClaimed(9, 0)
	s.limit(task.StartLimits{})
	s.wantClaimed(9, 1)
}

func limitsOutlast(s *suite) {
	l := task.StartLimits{Concurrency: []task.Concurrency{{Max: 2, By: "label:tenant"}}, Rate: task.Rate{PerSecond: 0.01, Burst: 3}}
	s.limit(l)
	s.limited(5, "ann", "a")
	s.limited(5, "ann", "b")
	running := s.wantClaimed(9, 3)
	s.wantClaimed(9, 0)
	s.reopen()
	s.limit(l)
	s.wantClaimed(9, 0) // the rate
	l.Rate = task.Rate{}
	s.limit(l)
	if got := claimsOf(s.wantClaimed(9, 1)); got["tenant b"] != 1 {
		s.Fatalf("claimed %v", got)
	}
	s.succeed(running[0])
	if got := claimsOf(s.wantClaimed(9, 1)); got["tenant a"] != 1 {
		s.Fatalf("claimed %v", got)
	}
}

func pausedType(s *suite) {
	s.limit(task.StartLimits{Paused: true})
	s.limited(2, "ann", "a")
	begun := s.begun(1, false)[0]
	s.put(begun)
	s.wantClaimed(9, 0)
	s.wantBlock("ann", "a", `task type "limited" is paused`)
	if begun.State != task.Pending || s.ready(s.lanes()) != 0 {
		s.Fatal("an attempt of a paused type began")
	}
	s.limit(task.StartLimits{})
	s.wantClaimed(9, 3)
}

func rates(s *suite) {
	s.limit(task.StartLimits{Rate: task.Rate{PerSecond: 0.5, Burst: 2}})
	claim := func(after time.Duration) int {
		s.Helper()
		port[task.LimitStore](s).OpenRates(start.Add(after))
		got, err := s.handle().Claim(s.ctx, task.Claim{Executor: "local", Shares: []task.Share{{Lanes: s.lanes(), Max: 9}}, Max: 9, Now: start.Add(after), NewToken: newToken})
		s.must(err)
		return len(got)
	}
	s.limited(20, "ann", "a")
	for i, c := range []struct {
		after time.Duration
		want  int
	}{{0, 2}, {time.Second, 0}, {2 * time.Second, 1}, {3 * time.Second, 0}, {4 * time.Second, 1}, {time.Hour, 2}, {time.Hour, 0}} {
		if got := claim(c.after); got != c.want {
			s.Fatalf("step %d: %d began after %s, want %d", i, got, c.after, c.want)
		}
	}
	s.wantBlock("ann", "a", `the rate of task type "limited" is used up for the moment: 0.5 in a second`)
	if opened, next := port[task.LimitStore](s).OpenRates(start.Add(time.Hour + time.Second)); opened || !next.Equal(start.Add(time.Hour+2*time.Second)) {
		s.Fatalf("opens at %s (%v)", next, opened)
	}
	// A clock that was set back delays no longer than the burst takes.
	s.reopen()
	s.limit(task.StartLimits{Rate: task.Rate{PerSecond: 0.5, Burst: 2}})
	if got := claim(-time.Hour); got != 0 {
		s.Fatalf("%d began", got)
	}
	if got := claim(-time.Hour + 4*time.Second); got != 1 && got != 2 {
		s.Fatalf("%d began after the clock was set back", got)
	}
}

// limitUnderLoad: whoever claims and whoever inserts at once, no more than the limit are
// under way.
func limitUnderLoad(s *suite) {
	const limit = 5
	s.limit(atOnce(task.Concurrency{Max: limit}, task.Concurrency{Max: 2, By: "label:tenant"}))
	var now, most, done atomic.Int64
	began := func(t task.Task) {
		if n := now.Add(1); n > most.Load() {
			most.Store(n)
		}
		now.Add(-1) // before its end is on record
		s.succeed(t)
		done.Add(1)
	}
	var working sync.WaitGroup
	const tasks = 240
	for worker := range 4 {
		working.Go(func() {
			for i := range tasks / 4 {
				t := s.make(task.Spec{Type: "limited", Labels: map[string]string{"tenant": strconv.Itoa(i % 7)}})
				if worker%2 == 0 {
					*t = task.Begin(t, "local", newToken(), false, start).Task
				}
				s.put(t)
				if t.State == task.Running {
					began(*t)
				}
				held, err := s.handle().InFlight(s.ctx, "", 0, 100)
				if err != nil || len(held) > limit {
					s.Errorf("%d are held, %v", len(held), err)
				}
				for _, t := range s.claim(3) {
					began(t)
				}
			}
		})
	}
	working.Wait()
	for {
		got := s.claim(9)
		if len(got) == 0 {
			break
		}
		for _, t := range got {
			began(t)
		}
	}
	if done.Load() != tasks || most.Load() > limit {
		s.Fatalf("%d are done, %d at once", done.Load(), most.Load())
	}
	s.wantCount(task.LaneCount{})
}
