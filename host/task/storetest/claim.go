package storetest

import (
	"slices"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

func lanes(s *suite) {
	s.insert(task.Spec{}, task.Spec{}, task.Spec{Type: "other"}, task.Spec{Executor: "fleet"},
		task.Spec{Route: map[string]string{"zone": "b", "a": "1"}}, task.Spec{Route: map[string]string{"a": "1", "zone": "b"}})
	bob := s.make(task.Spec{})
	bob.Owner = "bob"
	s.put(bob)
	got := s.handle().Lanes(0)
	want := []task.Lane{
		{ID: 1, Type: "noop", Owner: "ann"}, {ID: 2, Type: "other", Owner: "ann"}, {ID: 3, Type: "noop", Owner: "ann", Executor: "fleet"},
		{ID: 4, Type: "noop", Owner: "ann", Route: `{"a":"1","zone":"b"}`}, {ID: 5, Type: "noop", Owner: "bob"},
	}
	if !slices.Equal(got, want) {
		s.Fatalf("lanes %+v, want %+v", got, want)
	}
	if got := s.handle().Lanes(3); !slices.Equal(got, want[3:]) {
		s.Fatalf("lanes after 3: %+v", got)
	}
	if got := s.handle().Lanes(5); len(got) != 0 {
		s.Fatalf("lanes after the last: %+v", got)
	}
	if n := s.count(1); n != (task.LaneCount{Ready: 2}) {
		s.Fatalf("lane 1 counts %+v", n)
	}
	if n := s.ready([]task.LaneID{1, 4, 99}); n != 4 {
		s.Fatalf("Ready says %d, want 4", n)
	}
	if ts := s.claim(10, 4); len(ts) != 2 || ts[0].Route["zone"] != "b" {
		s.Fatalf("claimed %+v of the lane with a route", ts)
	}
	if ts := s.claim(10, 99); len(ts) != 0 {
		s.Fatalf("claimed %d tasks of a lane that does not exist", len(ts))
	}
}

func claimOrder(s *suite) {
	specs := []task.Spec{{Priority: 1}, {Priority: 5}, {Priority: -3}, {Priority: 5}, {}, {Priority: 1}}
	ts := s.insert(specs...)
	want := []task.ID{ts[1].ID, ts[3].ID, ts[0].ID, ts[5].ID, ts[4].ID, ts[2].ID}
	var got []task.ID
	for range 3 {
		got = append(got, ids(s.claim(2))...)
	}
	if !slices.Equal(got, want) {
		s.Fatalf("claimed in the order %v, want by priority, then age: %v", got, want)
	}
	if more := s.claim(1); len(more) != 0 {
		s.Fatal("claimed a task twice")
	}
	s.wantCount(task.LaneCount{Active: 6})
	t := s.get(ts[0].ID)
	if t.State != task.Running || t.Attempt != 1 || t.Executor != "local" || t.Token.IsZero() || t.Version != 2 || !t.StartedAt.Equal(start.Add(time.Second)) {
		s.Fatalf("a claimed task is stored as %+v", t)
	}
}

// retriesFirst: what becomes ready before the place that claims have come to is claimed next.
func retriesFirst(s *suite) {
	const n = 2000 // more than any window holds
	batch := make([]*task.Task, n)
	for i := range batch {
		batch[i] = s.make(task.Spec{})
	}
	s.put(batch...)
	first := s.claim(10)
	s.settle(first[3], task.Outcome{Kind: task.OutcomeLost})
	high := s.insert(task.Spec{Priority: 9})[0]
	low := s.insert(task.Spec{Priority: -9})[0]
	got := ids(s.claim(3))
	if want := []task.ID{high.ID, first[3].ID, batch[10].ID}; !slices.Equal(got, want) {
		s.Fatalf("claimed %v, want the higher priority, the retry, and then the next: %v", got, want)
	}
	seen := map[task.ID]bool{}
	last := task.ID{}
	for ts := s.claim(500); len(ts) > 0; ts = s.claim(500) {
		for _, t := range ts {
			if seen[t.ID] {
				s.Fatal("claimed a task twice")
			}
			seen[t.ID], last = true, t.ID
		}
	}
	if len(seen) != n+2-12 || last != low.ID {
		s.Fatalf("claimed %d more tasks, want %d, the lowest priority last", len(seen), n+2-12)
	}
}

func claimMerges(s *suite) {
	var want []task.ID
	for i := range 30 {
		want = append(want, s.insert(task.Spec{Type: []string{"a", "b", "c"}[i%3], Priority: 30 - i/4})[0].ID)
	}
	s.insert(task.Spec{Type: "left out", Priority: 99})
	var ids3 []task.LaneID
	for _, l := range s.handle().Lanes(0) {
		if l.Type != "left out" {
			ids3 = append(ids3, l.ID)
		}
	}
	got := ids(s.claim(20, ids3...))
	got = append(got, ids(s.claim(20, ids3...))...)
	if !slices.Equal(got, want) {
		s.Fatalf("lanes are not merged by priority and age:\n got %v\nwant %v", got, want)
	}
}

// claimShares: each share gives what it may, by priority and age over all of them, and
// the claim says which share each task is from.
func claimShares(s *suite) {
	var a, b []task.ID
	for i := range 10 {
		a = append(a, s.insert(task.Spec{Type: "a", Priority: 20 - 2*i})[0].ID)
		b = append(b, s.insert(task.Spec{Type: "b", Priority: 19 - 2*i})[0].ID)
	}
	ls := s.lanes()
	claim := func(most, ofA, ofB int) (got []task.ID) {
		s.Helper()
		claimed, err := s.handle().Claim(s.ctx, task.Claim{Executor: "local", Max: most, Now: start.Add(time.Second), NewToken: newToken,
			Shares: []task.Share{{Lanes: ls[1:2], Max: ofB}, {Lanes: ls[:1], Max: ofA}}})
		s.must(err)
		for _, c := range claimed {
			if want := map[string]int{"a": 1, "b": 0}[c.Change.Task.Type]; c.Share != want {
				s.Errorf("a task of type %s is said to be of share %d", c.Change.Task.Type, c.Share)
			}
			got = append(got, c.Change.Task.ID)
		}
		return got
	}
	if got, want := claim(10, 2, 3), []task.ID{a[0], b[0], a[1], b[1], b[2]}; !slices.Equal(got, want) {
		s.Errorf("claimed %v, want %v", got, want)
	}
	if got, want := claim(3, 10, 0), a[2:5]; !slices.Equal(got, want) {
		s.Errorf("with nothing for b claimed %v, want %v", got, want)
	}
	if got := claim(10, 0, 0); len(got) != 0 {
		s.Errorf("claimed %v of shares that may give nothing", got)
	}
	if got, want := claim(2, 10, 10), []task.ID{b[3], b[4]}; !slices.Equal(got, want) {
		s.Errorf("claimed %v, want %v", got, want)
	}
}

// claimMany works off priorities of many sizes, with inserts in between.
func claimMany(s *suite) {
	insert := func(n, step int) {
		batch := make([]*task.Task, n)
		for i := range batch {
			batch[i] = s.make(task.Spec{Priority: (i * step) % 5})
		}
		s.put(batch...)
	}
	insert(1500, 1)
	seen := map[task.ID]bool{}
	for round := 0; ; round++ {
		if round < 10 {
			insert(70, round)
		}
		ts := s.claim(111)
		if len(ts) == 0 {
			break
		}
		for i, t := range ts {
			if seen[t.ID] {
				s.Fatal("claimed a task twice")
			}
			seen[t.ID] = true
			if i > 0 && (t.Priority > ts[i-1].Priority || t.Priority == ts[i-1].Priority && t.Seq < ts[i-1].Seq) {
				s.Fatalf("claimed priority %d, seq %d after priority %d, seq %d", t.Priority, t.Seq, ts[i-1].Priority, ts[i-1].Seq)
			}
		}
	}
	if len(seen) != 1500+10*70 {
		s.Fatalf("claimed %d tasks, want all %d", len(seen), 1500+10*70)
	}
	s.wantCount(task.LaneCount{Active: int64(len(seen))})
}

func canceledWaiting(s *suite) {
	ts := s.insert(task.Spec{}, task.Spec{}, task.Spec{})
	if got := s.claim(1); got[0].ID != ts[0].ID {
		s.Fatal("the oldest was not claimed first")
	}
	s.apply(task.Cancel(&ts[1], "ann", start.Add(time.Second)))
	s.wantCount(task.LaneCount{Ready: 1, Active: 1})
	if got := ids(s.claim(5)); !slices.Equal(got, []task.ID{ts[2].ID}) {
		s.Fatalf("claimed %v, want only the task that was not canceled", got)
	}
	got := s.get(ts[1].ID)
	if got.State != task.Canceled || got.Error == nil || got.Error.Details["confirmed"] != true || got.RequestedBy != "ann" || got.FinishedAt.IsZero() {
		s.Fatalf("the canceled task is stored as %+v", got)
	}
}

func suspects(s *suite) {
	t := s.run(task.Spec{Input: []byte(`1`)})
	s.settle(t, task.Outcome{Kind: task.OutcomeLost, Message: "gone", Suspect: true})
	ls := s.handle().Lanes(0)
	if len(ls) != 2 || !ls[1].Suspect || ls[1].Type != "noop" || s.count(ls[1].ID).Ready != 1 || s.count(ls[0].ID) != (task.LaneCount{}) {
		s.Fatalf("a lost task does not wait in a lane of suspects: %+v", ls)
	}
	if got := s.claim(1, ls[0].ID); len(got) != 0 {
		s.Fatal("the suspect was claimed from its old lane")
	}
	got := s.claim(1, ls[1].ID)
	if len(got) != 1 || got[0].Attempt != 2 || got[0].Lost != 1 {
		s.Fatalf("claimed %+v from the lane of suspects", got)
	}
	// New ground is reached: it is no suspect any more.
	s.apply(task.Checkpointed(&got[0], []byte("half"), start.Add(time.Second)))
	if a, b := s.count(ls[0].ID), s.count(ls[1].ID); a.Active != 1 || b.Active != 0 {
		s.Fatalf("after a checkpoint the lanes count %+v and %+v", a, b)
	}
	s.settle(s.get(t.ID), task.Outcome{Kind: task.OutcomeLost})
	if again := s.claim(1, ls[0].ID); len(again) != 1 || string(again[0].Checkpoint) != "half" {
		s.Fatalf("claimed %+v, want the task with its checkpoint", again)
	}
}

func dispatched(s *suite) {
	s.insert(task.Spec{})
	t := s.claimAs(task.Claim{Executor: "fleet", Shares: []task.Share{{Lanes: s.lanes(), Max: 1}}, Max: 1, Deferred: true})[0]
	if t.State != task.Pending || t.Waiting != task.WaitDispatched || t.Token.IsZero() || t.Attempt != 1 || !t.StartedAt.IsZero() {
		s.Fatalf("claimed for a deferred executor: %+v", t)
	}
	equal(s.T, s.get(t.ID), t)
	s.wantCount(task.LaneCount{Active: 1})
	if held, err := s.handle().InFlight(s.ctx, "", 0, 10); err != nil || len(held) != 1 {
		s.Fatalf("held %d, %v: a dispatched task is held", len(held), err)
	}
	s.apply(task.Started(&t, []byte("handle"), "w1", start.Add(2*time.Second)))
	got := s.get(t.ID)
	if got.State != task.Running || got.Node != "w1" || string(got.Handle) != "handle" || got.Version != t.Version+1 {
		s.Fatalf("started: %+v", got)
	}
	s.succeed(got)
	end := s.get(t.ID)
	if end.Handle != nil || end.Node != "w1" && end.Node != "" || !end.Token.IsZero() {
		s.Fatalf("settled: %+v", end)
	}
	h := s.history(t.ID)
	if len(h) != 4 || h[1].From != task.Pending || h[1].To != task.Pending || h[1].Attempt != 1 || h[2].To != task.Running {
		s.Fatalf("history %+v", h)
	}
}
