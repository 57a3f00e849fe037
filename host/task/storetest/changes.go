package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// RunChanges holds a store against task.ChangeFeed.
func RunChanges[S interface {
	task.Store
	task.ChangeFeed
}](t *testing.T, open func(t *testing.T, dir string) S) {
	run(t, opens(open), []testCase{
		{"changes are told", changesTold},
		{"transitions are told whole", transitionsTold},
		{"who follows waits", followerWaits},
		{"a feed after a restart", feedAfterRestart},
		{"a follower knows all", followerKnowsAll},
	})
}

func (s *suite) changes(since int64) task.Changes {
	s.Helper()
	ctx, cancel := context.WithTimeout(s.ctx, time.Minute) // what is not told would be waited for without end
	defer cancel()
	c, err := port[task.ChangeFeed](s).Changes(ctx, since, start)
	s.must(err)
	if c.Next == 0 {
		s.Fatal("a feed says to go on at 0")
	}
	return c
}

// told are the next so many changes from a place on, which must be told without a gap,
// and where to go on.
func (s *suite) told(since int64, n int) ([]task.FeedChange, int64) {
	s.Helper()
	var got []task.FeedChange
	for len(got) < n {
		c := s.changes(since)
		if c.Gap || len(c.Tasks) == 0 {
			s.Fatalf("after %d changes the feed tells %+v, want %d more", len(got), c, n-len(got))
		}
		for _, t := range c.Tasks {
			if t.Next <= since {
				s.Fatalf("after %d the feed says to go on at %d", since, t.Next)
			}
			since = t.Next
			got = append(got, t)
		}
		if since != c.Next {
			s.Fatalf("after the last change is %d, and to go on is at %d", since, c.Next)
		}
	}
	return got, since
}

// bare are changes without their places and without what transitions they were.
func bare(changes []task.FeedChange) []task.FeedChange {
	out := slices.Clone(changes)
	for i := range out {
		out[i].Next = 0
		out[i].Transition = nil
	}
	return out
}

// changesTold: each change is told once, in order, whatever made it; what was refused
// and what is no change is not.
func changesTold(s *suite) {
	c := s.changes(0)
	if len(c.Tasks) != 0 || c.Gap {
		s.Fatalf("from 0 a feed tells %+v, want only where to begin", c)
	}
	change := func(t task.Task, state task.State, version int64) task.FeedChange {
		return task.FeedChange{Seq: t.Seq, ID: t.ID, Owner: "ann", State: state, Version: version}
	}
	a := s.insert(task.Spec{})[0]
	b := s.insert(task.Spec{RunAt: start.Add(time.Second)})[0]
	taken := s.make(task.Spec{})
	taken.ID = a.ID
	_, err := s.handle().Insert(s.ctx, task.Submission{Tasks: []*task.Task{taken}})
	s.wantCode(err, task.CodeConflict)
	running := s.claim(1)[0]
	s.apply(task.Checkpointed(&running, []byte("c"), start))
	s.must(s.handle().SaveProgress(s.ctx, []task.ProgressNote{{Seq: a.Seq, Attempt: 1, Progress: task.Progress{Done: 1}, At: start}}))
	if errs := s.handle().Apply(s.ctx, []task.Change{must(task.Cancel(&a, "ann", start))}); errs[0] == nil {
		s.Fatal("an old change was made")
	}
	s.succeed(s.get(a.ID))
	if n, _, err := s.handle().Promote(s.ctx, start.Add(time.Hour), 10); n != 1 || err != nil {
		s.Fatalf("promoted %d, %v", n, err)
	}
	dispatched := s.claimAs(task.Claim{Executor: "fleet", Shares: []task.Share{{Lanes: s.lanes(), Max: 1}}, Max: 1, Deferred: true})[0]
	s.apply(task.Started(&dispatched, nil, "n", start))
	s.succeed(s.get(b.ID))
	s.must(s.handle().Delete(s.ctx, mine, a.ID))
	if gone, _, err := s.handle().DeleteExpired(s.ctx, start.Add(1000*time.Hour), 10); len(gone) != 1 || err != nil {
		s.Fatalf("deleted %v, %v", gone, err)
	}
	want := []task.FeedChange{
		change(a, task.Pending, 1), change(b, task.Pending, 1), change(a, task.Running, 2), change(a, task.Running, 3), change(a, task.Succeeded, 4),
		change(b, task.Pending, 2), change(b, task.Pending, 3), change(b, task.Running, 4), change(b, task.Succeeded, 5),
		{Seq: a.Seq, ID: a.ID, Owner: "ann", State: task.Succeeded, Deleted: true}, {Seq: b.Seq, ID: b.ID, Owner: "ann", State: task.Succeeded, Deleted: true},
	}
	got, _ := s.told(c.Next, len(want))
	if !slices.Equal(bare(got), want) {
		s.Fatalf("told\n%+v, want\n%+v", got, want)
	}
	if again, _ := s.told(c.Next, len(want)); !slices.Equal(again, got) {
		s.Fatal("who asks again is told otherwise")
	}
	if rest, _ := s.told(got[3].Next, len(want)-4); !slices.Equal(rest, got[4:]) {
		s.Fatal("who goes on after the fourth is told otherwise")
	}
}

// transitionsTold: whatever a task's life, its transitions are told as its history has them,
// each with the task; after a restart too, if that is no gap.
func transitionsTold(s *suite) {
	chance := rand.New(rand.NewPCG(3, 4))
	for n := range 60 {
		place := s.changes(0).Next
		l := &life{suite: s, chance: chance, at: start}
		l.begin()
		for i := range chance.IntN(12) {
			if n%10 == 5 && i == 3 {
				s.reopen()
			}
			l.step()
		}
		l.end()
		if n%10 == 9 {
			s.reopen()
		}
		l.wantTold(place, n%10 != 9 && n%10 != 5)
	}
}

// wantTold wants the transitions of the task told since that place; live says that they are
// told as they were made.
func (l *life) wantTold(place int64, live bool) {
	l.Helper()
	last := l.make(task.Spec{})
	last.CreatedAt = l.later() // told again by its time, it is the last
	last.UpdatedAt = last.CreatedAt
	l.put(last)
	var told []task.Event
	for ended := false; !ended; {
		c := l.changes(place)
		if c.Gap && !live {
			return
		}
		for _, t := range c.Tasks {
			if t.Next <= place {
				l.Fatalf("after %d comes %d", place, t.Next)
			}
			place = t.Next
			ended = ended || t.ID == last.ID
			if tr := t.Transition; tr != nil && t.ID == l.task.ID {
				told = append(told, tr.Event)
				n := &tr.Task
				if n.ID != t.ID || n.Owner != t.Owner || n.Type != l.task.Type || n.Seq != t.Seq || tr.Event.Seq != t.Version || tr.Event.To != t.State || n.Input != nil || n.Result != nil || !n.Token.IsZero() ||
					live && (n.State != t.State || n.Version != t.Version || n.Attempt != tr.Event.Attempt) {
					l.Fatalf("change %+v is told as %+v", t, *tr)
				}
			}
		}
		if c.Gap {
			l.Fatal("a gap")
		}
	}
	if !reflect.DeepEqual(told, l.events) {
		l.Fatalf("told is\n%+v, want\n%+v", told, l.events)
	}
	l.change(task.Cancel(last, "ann", l.later()))
}

// followerWaits: who follows is woken by the next change, and comes back when its
// context ends or the store is closed.
func followerWaits(s *suite) {
	begin := s.changes(0).Next
	told := make(chan []task.FeedChange)
	for range 3 {
		go func() {
			c, err := port[task.ChangeFeed](s).Changes(s.ctx, begin, start)
			if err != nil {
				s.Errorf("follow: %v", err)
			}
			told <- c.Tasks
		}()
	}
	t := s.insert(task.Spec{})[0]
	for range 3 {
		if c := <-told; len(c) != 1 || c[0].ID != t.ID {
			s.Fatalf("told %+v", c)
		}
	}
	_, next := s.told(begin, 1)
	ctx, cancel := context.WithCancel(s.ctx)
	ended := make(chan error)
	follow := func(ctx context.Context, store task.ChangeFeed) {
		_, err := store.Changes(ctx, next, start)
		ended <- err
	}
	go follow(ctx, port[task.ChangeFeed](s))
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		s.Fatalf("after its context ended who follows gets %v", err)
	}
	go follow(s.ctx, port[task.ChangeFeed](s))
	s.reopen()
	s.wantCode(<-ended, task.CodeStoreUnavailable)
}

// feedAfterRestart: a place of an earlier run is told from, or a gap.
func feedAfterRestart(s *suite) {
	begin := s.changes(0).Next
	t := s.insert(task.Spec{})[0]
	s.reopen()
	c := s.changes(begin)
	if !c.Gap && (len(c.Tasks) != 1 || c.Tasks[0].ID != t.ID) {
		s.Fatalf("after a restart the feed tells %+v", c)
	}
	if ahead := s.changes(c.Next + 1<<50); !ahead.Gap {
		s.Fatalf("from a place that was never given the feed tells %+v", ahead)
	}
}

// followerKnowsAll: who follows, and reads anew after a gap, knows in the end of every
// task what is stored, though many write at once and it begins amid them.
func followerKnowsAll(s *suite) {
	const writers, each = 6, 150
	var writing sync.WaitGroup
	for n := range writers {
		writing.Go(func() {
			for i := range each {
				t := s.make(task.Spec{Type: fmt.Sprint(n)})
				if i%2 == 0 {
					*t = task.Begin(t, "local", newToken(), false, start).Task
				}
				if _, err := s.handle().Insert(s.ctx, task.Submission{Tasks: []*task.Task{t}}); err != nil {
					s.Errorf("insert: %v", err)
					return
				}
				var c task.Change
				if i%2 == 0 {
					c = must(task.Settle(t, &task.Outcome{Kind: task.OutcomeSucceeded}, task.Backoff{}, start, 0))
				} else {
					c = must(task.Cancel(t, "ann", start))
				}
				if err := s.handle().Apply(s.ctx, []task.Change{c})[0]; err != nil {
					s.Errorf("apply: %v", err)
				}
			}
		})
	}
	known := map[task.ID]int64{}
	readAll := func() {
		for f := (task.Filter{Limit: task.MaxListLimit}); ; {
			p, err := s.handle().List(s.ctx, all, f)
			s.must(err)
			for _, t := range p.Tasks {
				known[t.ID] = max(known[t.ID], t.Version)
			}
			if f.Cursor = p.Next; p.Next.IsZero() {
				return
			}
		}
	}
	since := s.changes(0).Next
	readAll()
	written := make(chan struct{})
	go func() {
		writing.Wait()
		s.insert(task.Spec{Type: "last"})
		close(written)
	}()
	for final := 0; final < writers*each+1; {
		c := s.changes(since)
		if since = c.Next; c.Gap {
			readAll()
		}
		for _, t := range c.Tasks {
			known[t.ID] = max(known[t.ID], t.Version)
		}
		final = 0
		for _, version := range known {
			if version == 2 {
				final++
			}
		}
		if len(known) == writers*each+1 { // the last, which nobody settles
			final++
		}
	}
	<-written
}
