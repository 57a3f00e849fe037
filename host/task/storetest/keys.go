package storetest

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// keyExisting: who asks for the task that has the key gets it, in whatever state it is, and
// writes nothing.
func keyExisting(s *suite) {
	first := s.insert(task.Spec{Key: "k"})[0]
	existing := func() *task.Task { return s.make(task.Spec{Key: "k", OnConflict: task.ConflictExisting}) }
	wants := func(want task.ID) {
		s.Helper()
		t := existing()
		s.put(t)
		if t.RecordedID() != want || t.Existing() != want {
			s.Fatalf("answered with %s, want %s", t.RecordedID(), want)
		}
		_, err := s.handle().Get(s.ctx, all, t.ID)
		s.wantCode(err, task.CodeNotFound)
	}
	wants(first.ID)
	s.wantCount(task.LaneCount{Ready: 1})
	begun := s.claim(1)[0]
	wants(first.ID)
	s.succeed(begun)
	wants(first.ID)
	s.must(s.handle().Delete(s.ctx, mine, first.ID))

	// Of one submission, the first that has the key is there for those after it.
	two := []*task.Task{existing(), existing(), s.make(task.Spec{})}
	key := &task.Idempotency{Owner: "ann", Key: "i", Hash: [32]byte{1}}
	_, err := s.handle().Insert(s.ctx, task.Submission{Tasks: two, Idempotency: key})
	s.must(err)
	if two[0].Existing() != (task.ID{}) || two[1].Existing() != two[0].ID || s.get(two[0].ID).Key != "k" {
		s.Fatalf("two of one key are %s and %s", two[0].RecordedID(), two[1].RecordedID())
	}
	s.reopen()
	r, err := s.handle().FindSubmission(s.ctx, *key, start)
	s.must(err)
	if len(r.Replayed) != 3 || r.Replayed[1] != two[0].ID {
		s.Fatalf("replayed %v", r.Replayed)
	}
	s.wantCount(task.LaneCount{Ready: 2})
}

// keyReplace: a new task takes the key from one that waits, which is canceled in the same
// commit, and from one that is final, which stays; never from one that runs.
func keyReplace(s *suite) {
	first := s.insert(task.Spec{Key: "k", Priority: -1})[0]
	replace := func() *task.Task {
		t := s.make(task.Spec{Key: "k", OnConflict: task.ConflictReplace})
		t.CreatedAt = start.Add(time.Minute)
		return t
	}
	second := replace()
	s.put(second)
	was := s.get(first.ID)
	if was.State != task.Canceled || was.Key != "" || was.Error == nil || second.OnConflict.Replaced != first.ID {
		s.Fatalf("replaced: %+v", was)
	}
	equal(s.T, second.OnConflict.Canceled.Task, was)
	h := s.history(first.ID)
	if last := h[len(h)-1]; last.To != task.Canceled || last.By != "ann" || last.Message != "replaced by task "+second.ID.String() {
		s.Fatalf("history %+v", h)
	}
	got, err := s.handle().ByKey(s.ctx, mine, "noop", "k")
	s.must(err)
	if got.ID != second.ID || got.Key != "k" {
		s.Fatalf("the key is of %s", got.ID)
	}
	s.wantCount(task.LaneCount{Ready: 1})

	begun := s.claim(1)[0]
	_, err = s.handle().Insert(s.ctx, task.Submission{Tasks: []*task.Task{s.make(task.Spec{}), replace()}})
	s.wantCode(err, task.CodeConflict)
	s.wantField(err, 2, "key")
	s.wantCount(task.LaneCount{Active: 1})
	s.succeed(begun)
	third := replace()
	s.put(third)
	if old := s.get(second.ID); old.State != task.Succeeded || old.Key != "" || third.OnConflict.Canceled != nil {
		s.Fatalf("a final task that was replaced: %+v", old)
	}
	// What lost its key may go, and run again, without touching who has it now.
	s.must(s.handle().Delete(s.ctx, mine, second.ID))
	s.apply(task.Retry(&was, "ann", start.Add(time.Hour)))
	_, err = s.handle().Insert(s.ctx, task.Submission{Tasks: []*task.Task{replace(), replace()}})
	s.wantCode(err, task.CodeConflict) // one cannot replace the other, which is not there yet
	got, err = s.handle().ByKey(s.ctx, mine, "noop", "k")
	s.must(err)
	if got.ID != third.ID {
		s.Fatalf("the key is of %s, want %s", got.ID, third.ID)
	}
	s.reopen()
	s.wantCount(task.LaneCount{Ready: 2})
}

// keyReplaceMakesRoom: a queue that is full has room for who takes the place of another.
func keyReplaceMakesRoom(s *suite) {
	limited := func(spec task.Spec) *task.Task {
		spec.Type = "limited"
		t := s.make(spec)
		t.QueueLimit = 2
		return t
	}
	s.put(limited(task.Spec{Key: "k"}), limited(task.Spec{}))
	s.put(limited(task.Spec{Key: "k", OnConflict: task.ConflictExisting}))
	s.put(limited(task.Spec{Key: "k", OnConflict: task.ConflictReplace}))
	_, err := s.handle().Insert(s.ctx, task.Submission{Tasks: []*task.Task{limited(task.Spec{Key: "k", OnConflict: task.ConflictReplace}), limited(task.Spec{})}})
	s.wantCode(err, task.CodeQueueFull)
	s.wantCount(task.LaneCount{Ready: 2})
}

// keyOfMany: of many who submit one key at once, one task is made, and whoever asks for the
// existing one is given it; of those who replace one another one is left.
func keyOfMany(s *suite) {
	const clients = 100
	for _, do := range []task.OnConflict{task.ConflictRefuse, task.ConflictExisting, task.ConflictReplace} {
		var made, refused atomic.Int64
		var same sync.Map
		var wg sync.WaitGroup
		for range clients {
			t := s.make(task.Spec{Key: string(do), OnConflict: do})
			wg.Go(func() {
				_, err := s.handle().Insert(s.ctx, task.Submission{Tasks: []*task.Task{t}})
				switch {
				case task.IsKeyTaken(err):
					refused.Add(1)
				case err != nil:
					s.Errorf("%s: %v", do, err)
				default:
					same.Store(t.RecordedID(), true)
					if t.Existing().IsZero() {
						made.Add(1)
					}
				}
			})
		}
		wg.Wait()
		answers := 0
		same.Range(func(_, _ any) bool { answers++; return true })
		p, err := s.handle().List(s.ctx, mine, task.Filter{States: []task.State{task.Pending}, Limit: 1000})
		s.must(err)
		left := 0
		for _, t := range p.Tasks {
			if t.Key == string(do) {
				left++
			}
		}
		want := map[task.OnConflict][3]int{task.ConflictRefuse: {1, clients - 1, 1}, task.ConflictExisting: {1, 0, 1}, task.ConflictReplace: {clients, 0, clients}}[do]
		if got := [3]int{int(made.Load()), int(refused.Load()), answers}; got != want || left != 1 {
			s.Fatalf("%s: made, refused, answers are %v, want %v; %d have the key", do, got, want, left)
		}
	}
}
