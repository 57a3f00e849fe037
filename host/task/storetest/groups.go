package storetest

import (
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/group"
	"github.com/taskhost/taskhost/host/task"
)

// groupStore is what the cases of groups need of a store.
type groupStore interface {
	task.Store
	task.SignalStore
	group.Store
}

// RunGroups holds a store against group.Store.
func RunGroups[S groupStore](t *testing.T, open func(t *testing.T, dir string) S) {
	run(t, opens(open), []testCase{
		{"a group from open to finished", groupLife},
		{"a group with its first members", groupWithMembers},
		{"a group that is closed empty", emptyGroup},
		{"who may join", groupJoin},
		{"a member that is retried", groupReopened},
		{"a member that is trashed", groupTrashed},
		{"one finisher", oneFinisher},
		{"a finisher that cannot be submitted", postponedFinisher},
		{"many finishers that cannot be submitted", manyPostponedFinishers},
		{"group lists", groupLists},
		{"groups without members go", emptyGroupsGo},
		{"counts of many at once", groupCounts},
	})
}

// group makes an open group of the usual owner.
func (s *suite) group(spec group.Spec, members ...*task.Task) group.Group {
	s.Helper()
	g, err := group.New(id(), "ann", spec, start)
	s.must(err)
	for _, t := range members {
		t.Group = g.ID
	}
	_, err = port[group.Store](s).CreateGroup(s.ctx, &g, task.Submission{Tasks: members})
	s.must(err)
	return g
}

// wantGroup reads a group and wants it in that state with these counts.
func (s *suite) wantGroup(id task.ID, state group.State, counts map[task.State]int64) group.Group {
	s.Helper()
	g, err := port[group.Store](s).Group(s.ctx, mine, id)
	s.must(err)
	var want group.Counts
	for state, n := range counts {
		want[state] = n
	}
	if g.State() != state || g.Counts != want {
		s.Fatalf("the group is %s with %v, want %s with %v", g.State(), g.Counts, state, want)
	}
	return g
}

// signals are those of a kind, by whom they are for.
func (s *suite) signals(kind task.SignalKind) map[task.ID]task.Signal {
	s.Helper()
	all, err := port[task.SignalStore](s).Signals(s.ctx, 1000)
	s.must(err)
	of := map[task.ID]task.Signal{}
	for _, g := range all {
		if g.Kind == kind {
			of[g.ID] = g
		}
	}
	return of
}

func groupLife(s *suite) {
	g := s.group(group.Spec{Name: "nightly", Labels: map[string]string{"a": "b"}, OnFinished: &task.Spec{Type: "report", Input: []byte(`1`)}, Open: true})
	a := s.run(task.Spec{Group: g.ID})
	b := s.insert(task.Spec{Group: g.ID})[0]
	s.wantGroup(g.ID, group.Open, map[task.State]int64{task.Running: 1, task.Pending: 1})
	s.succeed(a)
	s.apply(task.Cancel(&b, "ann", start))
	s.wantGroup(g.ID, group.Open, map[task.State]int64{task.Succeeded: 1, task.Canceled: 1})
	if n := len(s.signals(task.SignalGroup)); n != 0 {
		s.Fatalf("%d signals for a group that is open", n)
	}
	closed := start.Add(time.Hour)
	s.must(port[group.Store](s).CloseGroup(s.ctx, mine, g.ID, closed))
	s.must(port[group.Store](s).CloseGroup(s.ctx, mine, g.ID, closed.Add(time.Hour))) // and so it stays
	got := s.wantGroup(g.ID, group.Finished, map[task.State]int64{task.Succeeded: 1, task.Canceled: 1})
	if _, ok := s.signals(task.SignalGroup)[g.ID]; !ok {
		s.Fatal("nothing asks for the finisher")
	}
	if !got.ClosedAt.Equal(closed) || !got.FinishedAt.Equal(closed) || got.Name != "nightly" || got.Labels["a"] != "b" || got.Owner != "ann" || !got.CreatedAt.Equal(start) {
		s.Fatalf("got %+v", got)
	}
	if got.OnFinished == nil || got.OnFinished.Type != "report" || string(got.OnFinished.Input) != "1" || !got.Finisher.IsZero() {
		s.Fatalf("the finisher is %+v, %s", got.OnFinished, got.Finisher)
	}
	s.reopen()
	s.wantGroup(g.ID, group.Finished, map[task.State]int64{task.Succeeded: 1, task.Canceled: 1})
	s.must(s.handle().Delete(s.ctx, all, a.ID)) // what was, was
	s.wantGroup(g.ID, group.Finished, map[task.State]int64{task.Succeeded: 1, task.Canceled: 1})
	s.must(port[group.Store](s).DeleteGroup(s.ctx, mine, g.ID))
	_, err := port[group.Store](s).Group(s.ctx, all, g.ID)
	s.wantCode(err, task.CodeNotFound)
}

func groupWithMembers(s *suite) {
	a, b := s.make(task.Spec{}), s.make(task.Spec{})
	g := s.group(group.Spec{}, a, b)
	s.wantGroup(g.ID, group.Closed, map[task.State]int64{task.Pending: 2})
	s.wantCode(port[group.Store](s).DeleteGroup(s.ctx, mine, g.ID), task.CodeNotFinal)
	for _, t := range s.claim(2) {
		s.succeed(t)
	}
	got := s.wantGroup(g.ID, group.Finished, map[task.State]int64{task.Succeeded: 2})
	if last := s.get(b.ID); !got.FinishedAt.Equal(last.FinishedAt) {
		s.Fatalf("finished at %s, its last member at %s", got.FinishedAt, last.FinishedAt)
	}
	if n := len(s.signals(task.SignalGroup)); n != 0 {
		s.Fatalf("%d signals for a group without a finisher", n)
	}
	// All or none: a member that is refused takes the group along.
	s.insert(task.Spec{Key: "k"})
	none, err := group.New(id(), "ann", group.Spec{}, start)
	s.must(err)
	t := s.make(task.Spec{Key: "k", Group: none.ID})
	_, err = port[group.Store](s).CreateGroup(s.ctx, &none, task.Submission{Tasks: []*task.Task{t}})
	s.wantCode(err, task.CodeConflict)
	_, err = port[group.Store](s).Group(s.ctx, all, none.ID)
	s.wantCode(err, task.CodeNotFound)
	// Sent again it is answered with the first.
	idem := &task.Idempotency{Owner: "ann", Key: "once", Hash: [32]byte{1}}
	for i := range 2 {
		once, err := group.New(id(), "ann", group.Spec{}, start)
		s.must(err)
		t := s.make(task.Spec{Group: once.ID})
		r, err := port[group.Store](s).CreateGroup(s.ctx, &once, task.Submission{Tasks: []*task.Task{t}, Idempotency: idem})
		s.must(err)
		if (r.Replayed != nil) != (i == 1) {
			s.Fatalf("time %d: replayed %v", i, r.Replayed)
		}
		if i == 1 {
			_, err = port[group.Store](s).Group(s.ctx, all, once.ID)
			s.wantCode(err, task.CodeNotFound)
		}
	}
}

func emptyGroup(s *suite) {
	plain := s.group(group.Spec{})
	s.wantGroup(plain.ID, group.Finished, nil)
	asked := s.group(group.Spec{OnFinished: &task.Spec{Type: "report"}})
	later := s.group(group.Spec{OnFinished: &task.Spec{Type: "report"}, Open: true})
	s.must(port[group.Store](s).CloseGroup(s.ctx, mine, later.ID, start))
	s.wantGroup(later.ID, group.Finished, nil)
	got := s.signals(task.SignalGroup)
	if _, ok := got[asked.ID]; !ok || len(got) != 2 {
		s.Fatalf("signals %v", got)
	}
}

func groupJoin(s *suite) {
	g := s.group(group.Spec{Open: true})
	theirs := s.make(task.Spec{Group: g.ID})
	theirs.Owner = "bob"
	_, err := s.handle().Insert(s.ctx, task.Submission{Tasks: []*task.Task{theirs}})
	s.wantCode(err, task.CodeNotFound)
	_, err = s.handle().Insert(s.ctx, task.Submission{Tasks: []*task.Task{s.make(task.Spec{Group: id()})}})
	s.wantCode(err, task.CodeNotFound)
	bob := task.Scope{Owner: "bob"}
	_, err = port[group.Store](s).Group(s.ctx, bob, g.ID)
	s.wantCode(err, task.CodeNotFound)
	s.wantCode(port[group.Store](s).CloseGroup(s.ctx, bob, g.ID, start), task.CodeNotFound)
	s.wantCode(port[group.Store](s).DeleteGroup(s.ctx, bob, g.ID), task.CodeNotFound)
	s.must(port[group.Store](s).CloseGroup(s.ctx, mine, g.ID, start))
	_, err = s.handle().Insert(s.ctx, task.Submission{Tasks: []*task.Task{s.make(task.Spec{}), s.make(task.Spec{Group: g.ID})}})
	s.wantCode(err, task.CodeConflict)
	s.wantGroup(g.ID, group.Finished, nil)
	s.wantCount(task.LaneCount{})
}

func groupReopened(s *suite) {
	t := s.make(task.Spec{MaxAttempts: 1})
	g := s.group(group.Spec{OnFinished: &task.Spec{Type: "report"}}, t)
	s.settle(s.claim(1)[0], task.Outcome{Kind: task.OutcomeFailed})
	s.wantGroup(g.ID, group.Finished, map[task.State]int64{task.Failed: 1})
	s.apply(task.Retry(new(s.get(t.ID)), "ann", start))
	s.wantGroup(g.ID, group.Closed, map[task.State]int64{task.Pending: 1})
	finisher := s.make(task.Spec{Type: "report"})
	err := port[group.Store](s).FinishGroup(s.ctx, g.ID, finisher, s.signals(task.SignalGroup)[g.ID])
	s.wantCode(err, task.CodeConflict)
	s.succeed(s.claim(1)[0])
	s.wantGroup(g.ID, group.Finished, map[task.State]int64{task.Succeeded: 1})
	s.must(port[group.Store](s).FinishGroup(s.ctx, g.ID, finisher, s.signals(task.SignalGroup)[g.ID]))
	// Retried once more it is finished once more, and has had its finisher.
	s.apply(task.Cancel(new(s.get(finisher.ID)), "ann", start))
	if got := s.wantGroup(g.ID, group.Finished, map[task.State]int64{task.Succeeded: 1}); got.Finisher != finisher.ID {
		s.Fatalf("the finisher is %s, want %s", got.Finisher, finisher.ID)
	}
	if n := len(s.signals(task.SignalGroup)); n != 0 {
		s.Fatalf("%d signals are left", n)
	}
}

// A member that a worker trashed is final, and not among those that failed, until it is retried.
func groupTrashed(s *suite) {
	failed, trashed := s.make(task.Spec{MaxAttempts: 1}), s.make(task.Spec{})
	g := s.group(group.Spec{}, failed, trashed)
	for _, t := range s.claim(2) {
		o := task.Outcome{Kind: task.OutcomeFailed}
		if t.ID == trashed.ID {
			o = task.Outcome{Kind: task.OutcomeFailed, Code: task.FailureTrashed, Permanent: true}
		}
		s.settle(t, o)
	}
	want := map[task.State]int64{task.Failed: 1, group.Trashed: 1}
	if got := s.wantGroup(g.ID, group.Finished, want); got.Counts.Done() != 2 || got.Counts.Total() != 2 {
		s.Fatalf("%d of %d are done", got.Counts.Done(), got.Counts.Total())
	}
	s.reopen()
	s.wantGroup(g.ID, group.Finished, want)
	again := s.get(trashed.ID)
	s.apply(task.Retry(&again, "ann", start))
	s.wantGroup(g.ID, group.Closed, map[task.State]int64{task.Failed: 1, task.Pending: 1})
	s.succeed(s.claim(1)[0])
	s.must(s.handle().Delete(s.ctx, all, trashed.ID))
	s.wantGroup(g.ID, group.Finished, map[task.State]int64{task.Failed: 1, task.Succeeded: 1})
}

func oneFinisher(s *suite) {
	g := s.group(group.Spec{OnFinished: &task.Spec{Type: "report"}})
	signal := s.signals(task.SignalGroup)[g.ID]
	const tries = 8
	var wg sync.WaitGroup
	errs := make([]error, tries)
	finishers := make([]*task.Task, tries)
	for i := range tries {
		finishers[i] = s.make(task.Spec{Type: "report"})
		wg.Add(1)
		go func() {
			defer wg.Done()
			errs[i] = port[group.Store](s).FinishGroup(s.ctx, g.ID, finishers[i], signal)
		}()
	}
	wg.Wait()
	won := slices.Index(errs, nil)
	for i, err := range errs {
		if i != won {
			s.wantCode(err, task.CodeConflict)
		}
	}
	if got := s.wantGroup(g.ID, group.Finished, nil); won < 0 || got.Finisher != finishers[won].ID {
		s.Fatalf("finisher %s of %v", got.Finisher, errs)
	}
	s.wantCount(task.LaneCount{Ready: 1})
	if finishers[won].Seq == 0 {
		s.Fatal("the finisher has no order key")
	}
}

func groupLists(s *suite) {
	var want []task.ID
	for i := range 7 {
		g := s.group(group.Spec{Name: []string{"odd", "even"}[i%2], Open: true})
		want = append(want, g.ID)
	}
	slices.Reverse(want)
	var got []task.ID
	for f := (group.Filter{Limit: 3}); ; {
		p, err := port[group.Store](s).Groups(s.ctx, mine, f)
		s.must(err)
		for _, g := range p.Groups {
			got = append(got, g.ID)
		}
		if f.Cursor = p.Next; p.Next.IsZero() || len(got) > 7 {
			break
		}
	}
	if !slices.Equal(got, want) {
		s.Fatalf("listed %v, want %v", got, want)
	}
	if p, err := port[group.Store](s).Groups(s.ctx, all, group.Filter{Name: "odd"}); err != nil || len(p.Groups) != 4 {
		s.Fatalf("%d of a name, %v", len(p.Groups), err)
	}
	if p, err := port[group.Store](s).Groups(s.ctx, task.Scope{Owner: "bob"}, group.Filter{}); err != nil || len(p.Groups) != 0 {
		s.Fatalf("%d of another, %v", len(p.Groups), err)
	}
}

func emptyGroupsGo(s *suite) {
	empty := s.group(group.Spec{})
	t := s.make(task.Spec{})
	full := s.group(group.Spec{}, t)
	s.succeed(s.claim(1)[0])
	open := s.group(group.Spec{Open: true})
	gone, err := port[group.Store](s).DeleteFinishedGroups(s.ctx, start.Add(-1), 10)
	if err != nil || len(gone) != 0 {
		s.Fatalf("before their time: %v, %v", gone, err)
	}
	gone, err = port[group.Store](s).DeleteFinishedGroups(s.ctx, start.Add(time.Hour), 10)
	if err != nil || !slices.Equal(gone, []task.ID{empty.ID}) {
		s.Fatalf("gone are %v, %v; want %s", gone, err, empty.ID)
	}
	s.must(s.handle().Delete(s.ctx, all, t.ID))
	gone, err = port[group.Store](s).DeleteFinishedGroups(s.ctx, start.Add(time.Hour), 10)
	if err != nil || !slices.Equal(gone, []task.ID{full.ID}) {
		s.Fatalf("gone are %v, %v; want %s", gone, err, full.ID)
	}
	s.wantGroup(open.ID, group.Open, nil)
	// One that waits for its finisher, which cannot be made yet, stays until it has it.
	g := s.group(group.Spec{OnFinished: &task.Spec{Type: "late"}})
	gone, err = port[group.Store](s).DeleteFinishedGroups(s.ctx, start.Add(time.Hour), 10)
	if err != nil || len(gone) != 0 {
		s.Fatalf("gone before their finisher was made are %v, %v", gone, err)
	}
	s.must(port[group.Store](s).FinishGroup(s.ctx, g.ID, s.make(task.Spec{Type: "late"}), s.signals(task.SignalGroup)[g.ID]))
	gone, err = port[group.Store](s).DeleteFinishedGroups(s.ctx, start.Add(time.Hour), 10)
	if err != nil || !slices.Equal(gone, []task.ID{g.ID}) {
		s.Fatalf("gone are %v, %v; want %s", gone, err, g.ID)
	}
}

// groupCounts: whoever has seen the last member final sees the group finished.
func groupCounts(s *suite) {
	const n, workers = 400, 8
	var members []*task.Task
	for range n {
		members = append(members, s.make(task.Spec{}))
	}
	g := s.group(group.Spec{}, members...)
	var wg sync.WaitGroup
	for range workers {
		wg.Add(1)
		go func() {
			defer wg.Done()
			for {
				got := s.claim(7)
				if len(got) == 0 {
					return
				}
				for _, t := range got {
					s.succeed(t)
				}
				now, err := port[group.Store](s).Group(s.ctx, all, g.ID)
				if err != nil || now.Counts.Total() != n || (now.Counts.Done() == n) != (now.State() == group.Finished) {
					s.Errorf("%s with %v, %v", now.State(), now.Counts, err)
				}
			}
		}()
	}
	wg.Wait()
	s.wantGroup(g.ID, group.Finished, map[task.State]int64{task.Succeeded: n})
}

// A finisher that cannot be submitted is asked for again when it is due, and the group says why.
func postponedFinisher(s *suite) {
	groups := port[group.Store](s)
	next := func(now time.Time) time.Time {
		s.Helper()
		next, err := groups.RetryFinishers(s.ctx, now, 10)
		s.must(err)
		return next
	}
	g := s.group(group.Spec{OnFinished: &task.Spec{Type: "finisher"}})
	fine := s.group(group.Spec{Open: true})
	used := s.signals(task.SignalGroup)[g.ID]
	s.must(groups.PostponeFinisher(s.ctx, g.ID, "no such type", start.Add(time.Minute), used))
	s.wantCode(groups.PostponeFinisher(s.ctx, g.ID, "again", start, used), task.CodeConflict)
	s.reopen()
	groups = port[group.Store](s)
	if n := len(s.signals(task.SignalGroup)); n != 0 {
		s.Fatalf("%d signals of a finisher that is postponed", n)
	}
	wrong, err := groups.GroupProblems(s.ctx, mine, 10)
	s.must(err)
	if len(wrong) != 1 || wrong[0].ID != g.ID || wrong[0].Problem != "no such type" || s.wantGroup(fine.ID, group.Open, nil).Problem != "" {
		s.Fatalf("groups with a problem: %+v", wrong)
	}
	if at := next(start.Add(time.Second)); !at.Equal(start.Add(time.Minute)) || len(s.signals(task.SignalGroup)) != 0 {
		s.Fatalf("the next is due %s, want %s", at, start.Add(time.Minute))
	}
	if at := next(start.Add(time.Minute)); !at.IsZero() {
		s.Fatalf("the next is due %s, want none", at)
	}
	used, ok := s.signals(task.SignalGroup)[g.ID]
	if !ok {
		s.Fatal("a finisher that is due again is not asked for")
	}
	s.must(groups.FinishGroup(s.ctx, g.ID, s.make(task.Spec{Type: "finisher"}), used))
	if got := s.wantGroup(g.ID, group.Finished, nil); got.Problem != "" || got.Finisher.IsZero() {
		s.Fatalf("with its finisher the group is %+v", got)
	}
}

// Many finishers are tried again some at a time.
func manyPostponedFinishers(s *suite) {
	groups := port[group.Store](s)
	for i := range 5 {
		g := s.group(group.Spec{OnFinished: &task.Spec{Type: "finisher"}})
		s.must(groups.PostponeFinisher(s.ctx, g.ID, "no", start.Add(time.Duration(i)*time.Second), s.signals(task.SignalGroup)[g.ID]))
	}
	for _, want := range []int{2, 4, 5} {
		_, err := groups.RetryFinishers(s.ctx, start.Add(time.Minute), 2)
		s.must(err)
		if n := len(s.signals(task.SignalGroup)); n != want {
			s.Fatalf("%d are asked for, want %d", n, want)
		}
	}
}
