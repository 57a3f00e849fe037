package storetest

import (
	"slices"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// orderKeys: no order key is given again, though the tasks that had the highest
// are deleted and the store is opened anew in between.
func orderKeys(s *suite) {
	remove := map[string]func(t task.Task){
		"delete": func(t task.Task) { s.must(s.handle().Delete(s.ctx, mine, t.ID)) },
		"retire": func(t task.Task) {
			if n, _, err := s.handle().DeleteExpired(s.ctx, t.ExpiresAt, 100); err != nil || len(n) == 0 {
				s.Fatalf("retired %v, %v", n, err)
			}
		},
		"nothing": func(task.Task) {},
	}
	last := int64(0)
	for _, how := range []string{"delete", "delete", "retire", "nothing", "retire", "delete"} {
		for range 3 {
			t := s.run(task.Spec{})
			if t.Seq <= last {
				s.Fatalf("order key %d was given after %d", t.Seq, last)
			}
			last = t.Seq
			s.succeed(t)
			remove[how](s.get(t.ID))
		}
		s.reopen()
	}
}

// oddTimes: a time that RFC 3339 cannot write is refused, the task or the change
// that has it alone.
func oddTimes(s *suite) {
	odd := []time.Time{
		time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(-1, 12, 31, 0, 0, 0, 0, time.UTC),
		time.Date(9999, 12, 31, 23, 59, 59, 0, time.FixedZone("", -3600)), time.Date(300000, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	for _, at := range odd {
		t := s.make(task.Spec{})
		t.RunAt, t.Waiting = at, task.WaitScheduled
		_, err := s.handle().Insert(s.ctx, task.Submission{Tasks: []*task.Task{s.make(task.Spec{}), t}})
		s.wantCode(err, task.CodeInvalidRequest)
		s.wantField(err, 2, "run_at")
		good, bad := s.run(task.Spec{}), s.run(task.Spec{})
		fine := must(task.Settle(&good, &task.Outcome{Kind: task.OutcomeSucceeded}, task.Backoff{}, start, 0))
		late := must(task.Settle(&bad, &task.Outcome{Kind: task.OutcomeSucceeded}, task.Backoff{}, start, 0))
		late.Task.ExpiresAt = at
		errs := s.handle().Apply(s.ctx, []task.Change{late, fine})
		s.wantCode(errs[0], task.CodeInvalidRequest)
		s.must(errs[1])
		s.succeed(bad)
	}
	last := s.make(task.Spec{})
	last.RunAt, last.Waiting = time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC), task.WaitScheduled
	s.put(last)
	equal(s.T, s.get(last.ID), *last)
	if p, err := s.handle().List(s.ctx, mine, task.Filter{}); err != nil || len(p.Tasks) != 2*len(odd)+1 {
		s.Fatalf("listed %d, %v", len(p.Tasks), err)
	}
}

// listOrder: a list is in the order of ids, whoever wrote the tasks, in whatever
// order and to whichever process; so is its cursor, which outlasts the process
// and the task that it names.
func listOrder(s *suite) {
	batch := make([]*task.Task, 12)
	for i := range batch {
		batch[i] = s.make(task.Spec{})
	}
	for _, i := range []int{7, 0, 11, 3} {
		s.put(batch[i])
	}
	s.reopen()
	for _, i := range []int{10, 9, 8, 1, 6, 4, 2, 5} {
		s.put(batch[i])
	}
	var want []task.ID
	for _, t := range batch {
		want = append(want, t.ID)
	}
	for _, ascending := range []bool{true, false} {
		var got []task.ID
		f := task.Filter{Ascending: ascending, Limit: 5, Owner: "ann"}
		for {
			p, err := s.handle().List(s.ctx, mine, f)
			s.must(err)
			got = append(got, ids(p.Tasks)...)
			if p.Next.IsZero() {
				break
			}
			f.Cursor = p.Next
			s.reopen()
		}
		if !slices.Equal(got, want) {
			s.Fatalf("ascending %v: listed\n%v, want\n%v", ascending, got, want)
		}
		slices.Reverse(want)
	}
	for {
		t := s.claim(1)[0]
		s.succeed(t)
		s.must(s.handle().Delete(s.ctx, mine, t.ID))
		if t.ID == want[5] {
			break
		}
	}
	p, err := s.handle().List(s.ctx, mine, task.Filter{Ascending: true, Cursor: want[5]})
	s.must(err)
	left, err := s.handle().List(s.ctx, mine, task.Filter{Ascending: true})
	s.must(err)
	rest := slices.DeleteFunc(ids(left.Tasks), func(id task.ID) bool { return slices.Compare(id[:], want[5][:]) <= 0 })
	if !slices.Equal(ids(p.Tasks), rest) {
		s.Fatalf("behind a task that was deleted: %v, want %v", ids(p.Tasks), rest)
	}
}
