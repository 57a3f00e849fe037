package storetest

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/group"
	"github.com/taskhost/taskhost/host/task"
)

func insertAndGet(s *suite) {
	t := s.insert(task.Spec{Input: []byte(`{"a":[1,2]}`)})[0]
	if t.Seq == 0 {
		s.Fatal("Insert gave no Seq")
	}
	equal(s.T, s.get(t.ID), t)
	_, err := s.handle().Get(s.ctx, all, id())
	s.wantCode(err, task.CodeNotFound)
	second := s.insert(task.Spec{})[0]
	if second.Seq <= t.Seq {
		s.Fatalf("Seq %d follows %d", second.Seq, t.Seq)
	}
	s.wantCount(task.LaneCount{Ready: 2})
}

// equal compares tasks, times as instants.
func equal(t *testing.T, got, want task.Task) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got  %+v\nwant %+v", got, want)
	}
}

func everyField(s *suite) {
	lost, retain := 5, 90*time.Minute
	t := s.make(task.Spec{
		Type: "import", Input: []byte(`"x"`), Key: "k", Executor: "fleet", Priority: -7, RunAt: start.Add(time.Hour),
		Labels: map[string]string{"team": "a", "ünï": "\"'"}, Route: map[string]string{"zone": "b", "gpu": "1"},
		Timeout: 17 * time.Second, Deadline: start.Add(48 * time.Hour), MaxAttempts: 9, MaxLost: &lost, Retain: &retain,
		Trace: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
	})
	t.Group = s.group(group.Spec{Open: true}).ID
	parent := s.run(task.Spec{})
	t.Parent, t.Spawner = parent.ID, parent.Token
	t.Flow, t.Step = id(), "step one"
	s.put(t)
	t.Spawner = task.Token{} // which no store keeps
	equal(s.T, s.get(t.ID), *t)
	byKey, err := s.handle().ByKey(s.ctx, mine, "import", "k")
	s.must(err)
	equal(s.T, byKey, *t)
	s.wantCount(task.LaneCount{Waiting: 1, Active: 1})
}

func nulls(s *suite) {
	for _, result := range []struct {
		data []byte
		typ  string
	}{
		{nil, ""}, {[]byte("null"), "application/json"}, {[]byte{}, "text/plain"}, {[]byte{0, 1, 255}, "application/octet-stream"},
		{[]byte("null"), "text/plain"}, {[]byte(strings.Repeat("long ", 100_000)), "text/plain"},
	} {
		t := s.run(task.Spec{})
		if string(t.Input) != "null" {
			s.Fatalf("a task without input was claimed with input %q", t.Input)
		}
		s.settle(t, task.Outcome{Kind: task.OutcomeSucceeded, Result: result.data, ResultType: result.typ})
		got := s.get(t.ID)
		if string(got.Input) != "null" || string(got.Result) != string(result.data) || got.ResultType != result.typ || (got.Result == nil) != (result.data == nil) {
			s.Fatalf("stored result %q of type %q, got %q of %q", result.data, result.typ, got.Result, got.ResultType)
		}
	}
}

func insertedRunning(s *suite) {
	t := s.make(task.Spec{})
	*t = task.Begin(t, "local", newToken(), false, start).Task
	s.put(t)
	got := s.get(t.ID)
	equal(s.T, got, *t)
	s.wantCount(task.LaneCount{Active: 1})
	if ts := s.claim(1); len(ts) != 0 {
		s.Fatal("a task that was inserted running was claimed")
	}
	s.succeed(got)
	s.wantCount(task.LaneCount{})
	want := []task.Event{
		{Seq: 1, At: start, From: task.None, To: task.Running, Attempt: 1, By: "ann"},
		{Seq: 2, At: start.Add(2 * time.Second), From: task.Running, To: task.Succeeded, Attempt: 1, By: task.ByExecutor("local")},
	}
	if h := s.history(t.ID); !reflect.DeepEqual(h, want) {
		s.Fatalf("history %+v, want %+v", h, want)
	}
}

func (s *suite) history(id task.ID) []task.Event {
	s.Helper()
	h, err := s.handle().History(s.ctx, all, id, 0)
	s.must(err)
	return h
}

func allOrNone(s *suite) {
	batch := func(n int) []*task.Task {
		out := make([]*task.Task, n)
		for i := range out {
			out[i] = s.make(task.Spec{Input: []byte(`1`)})
		}
		return out
	}
	good := batch(500)
	s.put(good...)
	s.wantCount(task.LaneCount{Ready: 500})

	taken := batch(10)
	taken[0].Key, taken[9].Key = "free", "same"
	taken[5].Key = "same"
	_, err := s.handle().Insert(s.ctx, task.Submission{Tasks: taken})
	s.wantCode(err, task.CodeConflict)
	s.wantField(err, 10, "key")

	twice := batch(10)
	twice[7].ID = good[3].ID
	_, err = s.handle().Insert(s.ctx, task.Submission{Tasks: twice})
	s.wantCode(err, task.CodeConflict)

	for _, t := range append(taken, twice[:7]...) {
		_, err := s.handle().Get(s.ctx, all, t.ID)
		s.wantCode(err, task.CodeNotFound)
	}
	s.wantCount(task.LaneCount{Ready: 500})
	if _, err := s.handle().Insert(s.ctx, task.Submission{}); err == nil {
		s.Fatal("an empty submission was accepted")
	}
	taken[5].Key = "another"
	s.put(taken...)
	s.wantCount(task.LaneCount{Ready: 510})
}

func keys(s *suite) {
	first := s.insert(task.Spec{Key: "k"})[0]
	insert := func(owner, typ string) error {
		t := s.make(task.Spec{Type: typ, Key: "k"})
		t.Owner = owner
		_, err := s.handle().Insert(s.ctx, task.Submission{Tasks: []*task.Task{t}})
		return err
	}
	err := insert("ann", "noop")
	s.wantCode(err, task.CodeConflict)
	if !strings.Contains(err.Error(), first.ID.String()) {
		s.Fatalf("%q does not name the holder %s", err, first.ID)
	}
	s.wantField(err, 0, "key")
	s.must(insert("ann", "other"))
	s.must(insert("bob", "noop"))
	got, err := s.handle().ByKey(s.ctx, mine, "noop", "k")
	s.must(err)
	if got.ID != first.ID {
		s.Fatalf("by key %s, want %s", got.ID, first.ID)
	}
	_, err = s.handle().ByKey(s.ctx, mine, "noop", "another")
	s.wantCode(err, task.CodeNotFound)
	_, err = s.handle().ByKey(s.ctx, task.Scope{Owner: "eve"}, "noop", "k")
	s.wantCode(err, task.CodeNotFound)

	s.apply(task.Cancel(&first, "ann", start))
	s.wantCode(insert("ann", "noop"), task.CodeConflict)
	s.must(s.handle().Delete(s.ctx, mine, first.ID))
	s.must(insert("ann", "noop"))
}

func idempotency(s *suite) {
	submit := func(owner, key string, hash byte, n int) (task.Receipt, []task.ID, error) {
		ts := make([]*task.Task, n)
		var made []task.ID
		for i := range ts {
			ts[i] = s.make(task.Spec{})
			made = append(made, ts[i].ID)
		}
		r, err := s.handle().Insert(s.ctx, task.Submission{Tasks: ts, Idempotency: &task.Idempotency{Owner: owner, Key: key, Hash: [32]byte{hash}}})
		return r, made, err
	}
	r, made, err := submit("ann", "i", 1, 3)
	s.must(err)
	if r.Replayed != nil {
		s.Fatal("the first submission was taken for a replay")
	}
	r, _, err = submit("ann", "i", 1, 3)
	s.must(err)
	if !slices.Equal(r.Replayed, made) {
		s.Fatalf("replayed %v, want %v", r.Replayed, made)
	}
	_, _, err = submit("ann", "i", 2, 3)
	s.wantCode(err, task.CodeIdempotencyMismatch)
	r, err = s.handle().FindSubmission(s.ctx, task.Idempotency{Owner: "ann", Key: "i", Hash: [32]byte{1}}, start)
	s.must(err)
	if !slices.Equal(r.Replayed, made) {
		s.Fatalf("asked for, replayed %v, want %v", r.Replayed, made)
	}
	_, err = s.handle().FindSubmission(s.ctx, task.Idempotency{Owner: "ann", Key: "i", Hash: [32]byte{2}}, start)
	s.wantCode(err, task.CodeIdempotencyMismatch)
	r, err = s.handle().FindSubmission(s.ctx, task.Idempotency{Owner: "bob", Key: "i", Hash: [32]byte{1}}, start)
	s.must(err)
	if r.Replayed != nil {
		s.Fatal("another owner's key is known")
	}
	r, _, err = submit("bob", "i", 2, 1)
	s.must(err)
	if r.Replayed != nil {
		s.Fatal("another owner's key was taken for this one's")
	}
	s.wantCount(task.LaneCount{Ready: 4})
	s.reopen()
	r, _, err = submit("ann", "i", 1, 3)
	s.must(err)
	if !slices.Equal(r.Replayed, made) {
		s.Fatalf("after a restart replayed %v, want %v", r.Replayed, made)
	}
	// Kept for a day, then removed by DeleteExpired.
	_, _, err = s.handle().DeleteExpired(s.ctx, start.Add(23*time.Hour), 100)
	s.must(err)
	r, _, err = submit("ann", "i", 1, 3)
	s.must(err)
	if r.Replayed == nil {
		s.Fatal("the key was forgotten within a day")
	}
	// Whether it was removed by then or not, it is forgotten.
	old := task.Idempotency{Owner: "ann", Key: "i", Hash: [32]byte{1}}
	late := start.Add(25 * time.Hour)
	if r, err := s.handle().FindSubmission(s.ctx, old, late); err != nil || r.Replayed != nil {
		s.Fatalf("after a day it is found: %v, %v", r.Replayed, err)
	}
	anew := s.make(task.Spec{})
	anew.CreatedAt = late
	old.Hash = [32]byte{2}
	for _, want := range [][]task.ID{nil, {anew.ID}} {
		r, err := s.handle().Insert(s.ctx, task.Submission{Tasks: []*task.Task{anew}, Idempotency: &old})
		if err != nil || !slices.Equal(r.Replayed, want) {
			s.Fatalf("submitted under the key after a day: %v, %v, want %v", r.Replayed, err, want)
		}
	}
	for i := range 10 {
		_, _, err := submit("ann", fmt.Sprint(i), 1, 1)
		s.must(err)
	}
	calls := 0
	for more := true; more; calls++ {
		_, more, err = s.handle().DeleteExpired(s.ctx, late, 3)
		s.must(err)
	}
	if calls < 4 {
		s.Fatalf("more are to be removed than %d calls can", calls)
	}
	for i := range 10 {
		// As if no day had passed: those that are there still are found.
		if r, _, err := submit("ann", fmt.Sprint(i), 2, 1); err != nil || r.Replayed != nil {
			s.Fatalf("the key is remembered for ever: %v, %v", r.Replayed, err)
		}
	}
}

func endedContext(s *suite) {
	ctx, cancel := context.WithCancel(s.ctx)
	cancel()
	t := s.make(task.Spec{})
	if _, err := s.handle().Insert(ctx, task.Submission{Tasks: []*task.Task{t}}); !errors.Is(err, context.Canceled) {
		s.Fatalf("insert with an ended context: %v", err)
	}
	_, err := s.handle().Get(s.ctx, all, t.ID)
	s.wantCode(err, task.CodeNotFound)
	s.wantCount(task.LaneCount{})
}

// queueLimit: of many who submit at once no more than the limit wait, whichever way they come.
func queueLimit(s *suite) {
	const limit, clients = 8, 40
	var accepted atomic.Int64
	var wg sync.WaitGroup
	for range clients {
		t := s.make(task.Spec{Type: "limited"})
		t.QueueLimit = limit
		wg.Add(1)
		go func() {
			defer wg.Done()
			_, err := s.handle().Insert(s.ctx, task.Submission{Tasks: []*task.Task{t}})
			if err == nil {
				accepted.Add(1)
				return
			}
			s.wantCode(err, task.CodeQueueFull)
		}()
	}
	wg.Wait()
	if accepted.Load() != limit {
		s.Fatalf("%d were accepted, want %d", accepted.Load(), limit)
	}
	first := s.claim(1)[0]
	s.settle(first, task.Outcome{Kind: task.OutcomeFailed, Permanent: true})
	two := []*task.Task{s.make(task.Spec{Type: "limited"}), s.make(task.Spec{Type: "limited"})}
	two[0].QueueLimit, two[1].QueueLimit = limit, limit
	_, err := s.handle().Insert(s.ctx, task.Submission{Tasks: two})
	s.wantCode(err, task.CodeQueueFull) // all or none: there is room for one
	begun := s.make(task.Spec{Type: "limited"})
	begun.QueueLimit = limit
	*begun = task.Begin(begun, "local", newToken(), false, start).Task
	s.put(begun, s.make(task.Spec{Type: "unlimited"}))
	one := s.make(task.Spec{Type: "limited"})
	one.QueueLimit = limit
	s.put(one)
	c, err := task.Retry(new(s.get(first.ID)), "ann", start)
	s.must(err)
	c.Task.QueueLimit = limit
	s.wantCode(s.handle().Apply(s.ctx, []task.Change{c})[0], task.CodeQueueFull)
	s.claim(1)
	s.must(s.handle().Apply(s.ctx, []task.Change{c})[0])
}
