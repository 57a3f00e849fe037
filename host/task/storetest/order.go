package storetest

import (
	"slices"

	"github.com/taskhost/taskhost/host/task"
)

// orderKeys: no order key is given again, though the tasks that had the highest
// are deleted and the store is opened anew in between.
func orderKeys(s *suite) {
	remove := map[string]func(t task.Task){
		"delete": func(t task.Task) { s.must(s.store.Delete(s.ctx, mine, t.ID)) },
		"retire": func(t task.Task) {
			if n, _, err := s.store.Retire(s.ctx, t.ExpiresAt, 100); err != nil || len(n) == 0 {
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
			p, err := s.store.List(s.ctx, mine, f)
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
		s.must(s.store.Delete(s.ctx, mine, t.ID))
		if t.ID == want[5] {
			break
		}
	}
	p, err := s.store.List(s.ctx, mine, task.Filter{Ascending: true, Cursor: want[5]})
	s.must(err)
	left, err := s.store.List(s.ctx, mine, task.Filter{Ascending: true})
	s.must(err)
	rest := slices.DeleteFunc(ids(left.Tasks), func(id task.ID) bool { return slices.Compare(id[:], want[5][:]) <= 0 })
	if !slices.Equal(ids(p.Tasks), rest) {
		s.Fatalf("behind a task that was deleted: %v, want %v", ids(p.Tasks), rest)
	}
}
