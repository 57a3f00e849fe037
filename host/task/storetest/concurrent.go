package storetest

import (
	"sync"
	"sync/atomic"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// manyAtOnce: submitters, workers and readers together. No attempt is given
// twice, nothing is lost, and what the lanes count is what there is.
func manyAtOnce(s *suite) {
	const submitters, each, workers = 8, 120, 6
	var inserted, settled, canceled atomic.Int64
	var mu sync.Mutex
	attempts := map[task.ID]int{}
	tokens := map[task.Token]bool{}
	var submitting, working sync.WaitGroup
	for n := range submitters {
		submitting.Go(func() {
			for i := range each {
				t, err := task.New(id(), "ann", task.Spec{Type: []string{"a", "b"}[n%2], Priority: i % 3}, task.DefaultLimits(), start)
				if err == nil {
					_, err = s.handle().Insert(s.ctx, task.Submission{Tasks: []*task.Task{&t}})
				}
				if err != nil {
					s.Errorf("insert: %v", err)
					return
				}
				inserted.Add(1)
				if i%10 == 0 { // races with whoever claims it
					if c, err := task.Cancel(&t, "ann", start); err == nil && s.handle().Apply(s.ctx, []task.Change{c})[0] == nil {
						canceled.Add(1)
					}
				}
			}
		})
	}
	stop := make(chan struct{})
	for range workers {
		working.Go(func() {
			for {
				claimed, err := s.handle().Claim(s.ctx, task.Claim{Executor: "local", Shares: []task.Share{{Lanes: s.lanes(), Max: 10}}, Max: 10,
					Now: start.Add(time.Second), NewToken: newToken})
				if err != nil {
					s.Errorf("claim: %v", err)
					return
				}
				ts := begun(claimed)
				if len(ts) == 0 {
					select {
					case <-stop:
						return
					default:
						continue
					}
				}
				var changes []task.Change
				mu.Lock()
				for _, t := range ts {
					if attempts[t.ID]+1 != t.Attempt || tokens[t.Token] {
						s.Errorf("attempt %d of task %s was given after %d", t.Attempt, t.ID, attempts[t.ID])
					}
					attempts[t.ID], tokens[t.Token] = t.Attempt, true
					o := task.Outcome{Kind: task.OutcomeSucceeded}
					if t.Attempt == 1 && t.Seq%3 == 0 {
						o.Kind = task.OutcomeLost
					} else if t.Attempt == 1 && t.Seq%3 == 1 {
						o.Kind = task.OutcomeLost
						o.Suspect = true
					}
					changes = append(changes, must(task.Settle(&t, &o, task.Backoff{}, start.Add(time.Second), 0)))
				}
				mu.Unlock()
				for i, err := range s.handle().Apply(s.ctx, changes) {
					if err != nil {
						s.Errorf("settle: %v", err)
					} else if changes[i].Task.State == task.Succeeded {
						settled.Add(1)
					}
				}
				if _, err := s.handle().List(s.ctx, mine, task.Filter{Limit: 5}); err != nil {
					s.Errorf("list: %v", err)
				}
			}
		})
	}
	submitting.Wait()
	close(stop)
	working.Wait()
	if s.Failed() {
		return
	}
	if got := settled.Load() + canceled.Load(); got != inserted.Load() || got != submitters*each {
		s.Fatalf("%d settled and %d canceled of %d inserted", settled.Load(), canceled.Load(), inserted.Load())
	}
	s.wantCount(task.LaneCount{})
	s.reopen()
	s.wantCount(task.LaneCount{})
	states := map[task.State]int64{}
	for f := (task.Filter{Limit: 1000}); ; {
		p, err := s.handle().List(s.ctx, all, f)
		s.must(err)
		for _, t := range p.Tasks {
			states[t.State]++
		}
		if f.Cursor = p.Next; p.Next.IsZero() {
			break
		}
	}
	if states[task.Succeeded] != settled.Load() || states[task.Canceled] != canceled.Load() || len(states) > 2 {
		s.Fatalf("stored %v; %d were settled and %d canceled", states, settled.Load(), canceled.Load())
	}
}

// oneChangeWins: of many who change the same task, exactly one does.
func oneChangeWins(s *suite) {
	for range 20 {
		t := s.run(task.Spec{})
		var won atomic.Int64
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				c := must(task.Settle(&t, &task.Outcome{Kind: task.OutcomeSucceeded}, task.Backoff{}, start, 0))
				if i%2 == 0 {
					c = must(task.Cancel(&t, "ann", start))
				}
				switch err := s.handle().Apply(s.ctx, []task.Change{c})[0]; {
				case err == nil:
					won.Add(1)
				case task.CodeOf(err) != task.CodeConflict:
					s.Errorf("lost the race with %v, want a conflict", err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			s.Fatalf("%d changes of the same task were made", won.Load())
		}
		if got := s.get(t.ID); got.State == task.Canceling {
			s.settle(got, task.Outcome{Kind: task.OutcomeCanceled})
		}
	}
	s.wantCount(task.LaneCount{})
}

// dueOnce: what is due (to be promoted, past its deadline, to be deleted) is taken by
// whoever comes first, and nothing of it twice.
func dueOnce(s *suite) {
	const n, callers = 300, 4
	var batch []*task.Task
	for i := range n {
		spec := task.Spec{RunAt: start.Add(time.Minute), Retain: new(time.Microsecond)}
		if i%3 == 0 {
			spec.Deadline = start.Add(time.Hour)
		}
		batch = append(batch, s.make(spec))
	}
	s.put(batch...)
	each := func(do func(h task.Store) bool) {
		var working sync.WaitGroup
		for range callers {
			working.Go(func() {
				for do(s.handle()) {
				}
			})
		}
		working.Wait()
	}
	var promoted, failed atomic.Int64
	each(func(h task.Store) bool {
		k, _, err := h.Promote(s.ctx, start.Add(2*time.Minute), 7)
		if err != nil {
			s.Errorf("promote: %v", err)
		}
		promoted.Add(int64(k))
		return k > 0
	})
	if promoted.Load() != n {
		s.Errorf("promoted %d of %d", promoted.Load(), n)
	}
	for _, t := range batch {
		if got := s.get(t.ID); got.Waiting != task.WaitQueued || got.Version != 2 {
			s.Fatalf("promoted: %+v", got)
		}
	}
	late := start.Add(2 * time.Hour)
	each(func(h task.Store) bool {
		due, err := h.Overdue(s.ctx, late, 7)
		if err != nil {
			s.Errorf("overdue: %v", err)
		}
		for _, t := range due {
			if h.Apply(s.ctx, []task.Change{must(task.Overdue(&t, late))})[0] == nil {
				failed.Add(1)
			}
		}
		return len(due) > 0
	})
	if failed.Load() != n/3 {
		s.Errorf("failed %d past their deadline, want %d", failed.Load(), n/3)
	}
	var mu sync.Mutex
	gone := map[task.ID]int{}
	each(func(h task.Store) bool {
		ids, more, err := h.DeleteExpired(s.ctx, late.Add(time.Hour), 7)
		if err != nil {
			s.Errorf("delete expired: %v", err)
		}
		mu.Lock()
		defer mu.Unlock()
		for _, id := range ids {
			gone[id]++
		}
		return more || len(ids) > 0
	})
	for id, times := range gone {
		if times != 1 {
			s.Errorf("task %s was deleted %d times", id, times)
		}
	}
	if len(gone) != n/3 {
		s.Errorf("deleted %d, want %d", len(gone), n/3)
	}
}
