package storetest

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/resource"
	"github.com/taskhost/taskhost/host/task"
)

// RunResources holds a store against resource.Store.
func RunResources[S interface {
	task.Store
	task.SignalStore
	resource.Store
}](t *testing.T, open func(t *testing.T, dir string) S) {
	run(t, opens(open), []testCase{
		{"resources are had from start to final", resourceLife},
		{"the order of exclusive and shared", resourceOrder},
		{"a waiting exclusive holds back later shared ones", noStarvation},
		{"a task that waits for its time holds nothing", resourceFromItsTime},
		{"an attempt that is tried again keeps what it has", resourceOverRetries},
		{"retried by hand it queues anew", resourceAfterRetry},
		{"one that leaves the queue lets others pass", leavesTheQueue},
		{"many wait for one name", manyWait},
		{"resources are their owner's", resourceOwners},
		{"resource lists", resourceLists},
		{"resources are given on in the commit that frees them", givenOnAtOnce},
		{"resources against a model", resourcesAgainstModel},
	})
}

func exclusive(names ...string) task.Resources { return task.Resources{Exclusive: names} }

func shared(names ...string) task.Resources { return task.Resources{Shared: names} }

// decideResources gives on what is free, until nothing is left to decide.
func (s *suite) decideResources() {
	s.Helper()
	for {
		all, err := port[task.SignalStore](s).Signals(s.ctx, 1000)
		s.must(err)
		if len(all) == 0 {
			return
		}
		for _, g := range all {
			if g.Kind != task.SignalResource {
				s.Fatalf("a signal %+v", g)
			}
			s.must(port[resource.Store](s).Grant(s.ctx, g, start.Add(time.Hour)))
		}
	}
}

// wantWaiting wants tasks to wait for that reason.
func (s *suite) wantWaiting(w task.Waiting, ts ...task.Task) {
	s.Helper()
	for _, t := range ts {
		if got := s.get(t.ID); got.State != task.Pending || got.Waiting != w {
			s.Fatalf("task %d is %s, waiting for %q, want %q", t.Seq, got.State, got.Waiting, w)
		}
	}
}

// claimsNow claims all that is ready, and wants it to be these.
func (s *suite) claimsNow(want ...task.Task) []task.Task {
	s.Helper()
	s.decideResources()
	got := s.claim(1000)
	if !slices.Equal(ids(got), ids(want)) {
		s.Fatalf("claimed %d tasks %v, want %v", len(got), ids(got), ids(want))
	}
	return got
}

func resourceLife(s *suite) {
	first := s.insert(task.Spec{Resources: exclusive("disk")})[0]
	second := s.insert(task.Spec{Resources: exclusive("disk")})[0]
	s.wantWaiting(task.WaitQueued, first)
	s.wantWaiting(task.WaitResource, second)
	equal(s.T, s.get(second.ID), second)
	r, err := port[resource.Store](s).Resource(s.ctx, mine, "disk")
	s.must(err)
	if r.Held != 1 || r.Waiting != 1 || r.Holders[0].Task != first.ID || r.Queue[0].Task != second.ID || r.Holders[0].Mode != resource.Exclusive || !r.Holders[0].Since.Equal(start) {
		s.Fatalf("got %+v", r)
	}
	blockers, err := port[resource.Store](s).BlockedBy(s.ctx, second.Seq)
	if err != nil || !slices.Equal(blockers, []task.ID{first.ID}) {
		s.Fatalf("blocked by %v, %v", blockers, err)
	}
	running := s.claimsNow(first)
	s.claimsNow()
	s.succeed(running[0])
	s.reopen() // what is to be decided outlasts the process
	s.claimsNow(second)
	s.succeed(s.get(second.ID))
	_, err = port[resource.Store](s).Resource(s.ctx, mine, "disk")
	s.wantCode(err, task.CodeNotFound)
}

// givenOnAtOnce: nobody sees a resource that is wanted and that nobody holds, and nothing is left
// to be decided, also where several ends and a new task share a commit.
func givenOnAtOnce(s *suite) {
	var running []task.Task
	for _, name := range []string{"a", "b"} {
		s.insert(task.Spec{Resources: exclusive(name)})
	}
	both := s.insert(task.Spec{Resources: exclusive("a", "b")})[0]
	next := s.insert(task.Spec{Resources: exclusive("b")})[0]
	running = s.claim(10)
	var changes []task.Change
	for _, t := range running {
		c, err := task.Settle(&t, &task.Outcome{Kind: task.OutcomeSucceeded}, task.Backoff{}, start.Add(2*time.Second), 0)
		s.must(err)
		changes = append(changes, c)
	}
	for _, err := range s.handle().Apply(s.ctx, changes) {
		s.must(err)
	}
	s.wantWaiting(task.WaitQueued, both)
	s.wantWaiting(task.WaitResource, next)
	if all, err := port[task.SignalStore](s).Signals(s.ctx, 10); err != nil || len(all) > 0 {
		s.Fatalf("left to be decided: %v, %v", all, err)
	}
	s.succeed(s.claim(10)[0])
	s.wantWaiting(task.WaitQueued, next)
	r, err := port[resource.Store](s).Resource(s.ctx, mine, "b")
	if err != nil || r.Held != 1 || r.Holders[0].Task != next.ID || !r.Holders[0].Since.Equal(start.Add(2*time.Second)) {
		s.Fatalf("got %+v, %v", r, err)
	}
}

func resourceOrder(s *suite) {
	a, b := "A", "B"
	t1 := s.insert(task.Spec{Resources: task.Resources{Exclusive: []string{a}, Shared: []string{b}}})[0]
	t2 := s.insert(task.Spec{Resources: shared(a)})[0]
	t3 := s.insert(task.Spec{Resources: shared(a)})[0]
	t4 := s.insert(task.Spec{Resources: exclusive(a)})[0]
	t5 := s.insert(task.Spec{Resources: exclusive(b)})[0]
	s.claimsNow(t1)
	s.claimsNow()
	s.succeed(s.get(t1.ID))
	s.claimsNow(t2, t3, t5)
	s.succeed(s.get(t2.ID))
	s.claimsNow()
	s.succeed(s.get(t3.ID))
	s.claimsNow(t4)
}

func noStarvation(s *suite) {
	first := s.insert(task.Spec{Resources: shared("r")})[0]
	alone := s.insert(task.Spec{Resources: exclusive("r")})[0]
	later := s.insert(task.Spec{Resources: shared("r")})[0]
	other := s.insert(task.Spec{Resources: shared("other")})[0]
	s.claimsNow(first, other)
	s.succeed(s.get(first.ID))
	s.claimsNow(alone)
	s.succeed(s.get(alone.ID))
	s.claimsNow(later)
}

func resourceFromItsTime(s *suite) {
	tomorrow := s.insert(task.Spec{Resources: exclusive("r"), RunAt: start.Add(time.Hour)})[0]
	now := s.insert(task.Spec{Resources: exclusive("r")})[0]
	running := s.claimsNow(now)
	_, _, err := s.handle().Promote(s.ctx, start.Add(2*time.Hour), 10)
	s.must(err)
	s.wantWaiting(task.WaitResource, tomorrow)
	s.wantCount(task.LaneCount{Waiting: 1, Active: 1})
	s.succeed(running[0])
	s.claimsNow(tomorrow)
}

func resourceOverRetries(s *suite) {
	first := s.insert(task.Spec{Resources: exclusive("r")})[0]
	second := s.insert(task.Spec{Resources: exclusive("r")})[0]
	s.settle(s.claimsNow(first)[0], task.Outcome{Kind: task.OutcomeLost})
	s.claimsNow(first)
	s.settle(s.get(first.ID), task.Outcome{Kind: task.OutcomeFailed})
	s.wantWaiting(task.WaitScheduled, first)
	s.claimsNow()
	_, _, err := s.handle().Promote(s.ctx, start.Add(2*time.Hour), 10)
	s.must(err)
	s.succeed(s.claimsNow(first)[0])
	s.claimsNow(second)
}

func resourceAfterRetry(s *suite) {
	first := s.insert(task.Spec{Resources: exclusive("r")})[0]
	second := s.insert(task.Spec{Resources: exclusive("r")})[0]
	s.settle(s.claimsNow(first)[0], task.Outcome{Kind: task.OutcomeFailed, Permanent: true})
	s.claimsNow(second)
	s.apply(task.Retry(new(s.get(first.ID)), "ann", start))
	s.wantWaiting(task.WaitResource, first)
	s.succeed(s.get(second.ID))
	s.claimsNow(first)
}

func leavesTheQueue(s *suite) {
	first := s.insert(task.Spec{Resources: shared("r")})[0]
	leaves := s.insert(task.Spec{Resources: exclusive("r")})[0]
	third := s.insert(task.Spec{Resources: shared("r")})[0]
	s.claimsNow(first)
	s.apply(task.Cancel(new(s.get(leaves.ID)), "ann", start))
	s.claimsNow(third)
}

// manyWait: more than one decision takes get a resource at once, and many that wait for
// one name are in the order of their coming.
func manyWait(s *suite) {
	holder := s.insert(task.Spec{Resources: exclusive("r")})[0]
	var batch []*task.Task
	for range 2500 {
		batch = append(batch, s.make(task.Spec{Resources: shared("r")}))
	}
	s.put(batch...)
	last := s.insert(task.Spec{Resources: exclusive("r")})[0]
	s.succeed(s.claimsNow(holder)[0])
	if all, err := port[task.SignalStore](s).Signals(s.ctx, 10); err != nil || len(all) != 1 {
		s.Fatalf("signals %v, %v: one commit gave it to all", all, err)
	}
	s.decideResources()
	got := s.claim(3000)
	if len(got) != 2500 || got[0].ID != batch[0].ID || got[2499].ID != batch[2499].ID {
		s.Fatalf("%d got it together", len(got))
	}
	s.wantWaiting(task.WaitResource, last)
	r, err := port[resource.Store](s).Resource(s.ctx, mine, "r")
	if err != nil || r.Held != 2500 || len(r.Holders) != resource.MaxClaims || r.Waiting != 1 {
		s.Fatalf("held by %d, %d of them shown, waited for by %d, %v", r.Held, len(r.Holders), r.Waiting, err)
	}
}

func resourceOwners(s *suite) {
	s.insert(task.Spec{Resources: exclusive("r")})
	theirs := s.make(task.Spec{Resources: exclusive("r")})
	theirs.Owner = "bob"
	s.put(theirs)
	s.wantWaiting(task.WaitQueued, *theirs)
	_, err := port[resource.Store](s).Resource(s.ctx, task.Scope{Owner: "eve"}, "r")
	s.wantCode(err, task.CodeNotFound)

	// Who sees all owners' is told of the one that there is, or that there are several.
	_, err = port[resource.Store](s).Resource(s.ctx, all, "r")
	s.wantCode(err, task.CodeConflict)
	if !strings.Contains(err.Error(), "bob") || !strings.Contains(err.Error(), mine.Owner) {
		s.Errorf("several owners have it: %v", err)
	}
	_, err = port[resource.Store](s).Resource(s.ctx, all, "nobody's")
	s.wantCode(err, task.CodeNotFound)
	for _, spec := range []task.Spec{{Resources: exclusive("bob's")}, {Resources: shared("bob's")}, {Resources: shared("bob's")}} {
		theirs := s.make(spec)
		theirs.Owner = "bob"
		s.put(theirs)
	}
	r, err := port[resource.Store](s).Resource(s.ctx, all, "bob's")
	s.must(err)
	if r.Owner != "bob" || r.Held != 1 || r.Waiting != 2 {
		s.Errorf("bob's is %s's, held by %d, waited for by %d", r.Owner, r.Held, r.Waiting)
	}
}

func resourceLists(s *suite) {
	for _, name := range []string{"c", "a", "b"} {
		s.insert(task.Spec{Resources: shared(name, "all")})
	}
	var names []string
	for after := ""; ; {
		p, err := port[resource.Store](s).Resources(s.ctx, mine, after, 3)
		s.must(err)
		for _, r := range p.Resources {
			names = append(names, r.Name)
			if r.Held == 0 {
				s.Fatalf("%s is held by nobody", r.Name)
			}
		}
		if after = p.Next; after == "" {
			break
		}
	}
	if !slices.Equal(names, []string{"a", "all", "b", "c"}) {
		s.Fatalf("listed %v", names)
	}
}
