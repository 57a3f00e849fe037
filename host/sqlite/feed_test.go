package sqlite

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// noteMany has the feed tell of so many changes of one transaction.
func noteMany(f *feed, n int, t task.Task) {
	f.begin()
	for i := range n {
		f.note(int64(i), 1, &t, &task.Event{To: task.Pending})
	}
	f.commit()
}

// TestFeedTellsGaps: a feed keeps so much and no more, and what it can't tell is a gap.
func TestFeedTellsGaps(t *testing.T) {
	f := newFeed(1)
	group := func(n int) { noteMany(f, n, task.Task{}) }
	group(100)
	if f.kept != nil || len(f.noted) != 0 {
		t.Fatal("a feed that nobody follows keeps changes")
	}
	f.enter()
	begin, _ := f.since(0)
	group(10)
	c, _ := f.since(begin.Next)
	if c.Gap || len(c.Tasks) != 10 || c.Tasks[9].Seq != 9 || c.Tasks[9].Next != c.Next {
		t.Fatalf("ten changes are told as %+v", c)
	}
	group(feedKept - 10)
	place := begin.Next
	for told := 0; told < feedKept; told += len(c.Tasks) {
		if c, _ = f.since(place); c.Gap || len(c.Tasks) == 0 || len(c.Tasks) > feedAtOnce {
			t.Fatalf("after %d changes: gap %v, %d told", told, c.Gap, len(c.Tasks))
		}
		place = c.Next
	}
	group(1)
	if c, _ = f.since(begin.Next); !c.Gap || c.Next != place+1 {
		t.Fatalf("a place whose change is kept no more is told as %+v", c)
	}
	group(3 * feedKept)
	if c, _ = f.since(place); !c.Gap {
		t.Fatal("a large transaction hides a gap")
	}
	if _, news := f.since(c.Next); news == nil {
		t.Fatal("nothing is new, and nobody is to wait")
	}
}

// TestFeedIsBounded: what is large is kept in smaller number, and the largest batch is kept.
func TestFeedIsBounded(t *testing.T) {
	f := newFeed(1)
	f.enter()
	begin, _ := f.since(0)
	noteMany(f, task.MaxBatch, task.Task{})
	if c, _ := f.since(begin.Next); c.Gap {
		t.Fatal("of the largest batch not all is kept")
	}
	large := task.Task{Labels: map[string]string{"a": strings.Repeat("x", 32<<10)}}
	for range 10 {
		noteMany(f, 1000, large)
	}
	if c, _ := f.since(f.first); len(c.Tasks) == 0 || len(c.Tasks) > feedPage/(32<<10) {
		t.Fatalf("%d large changes are told at once", len(c.Tasks))
	}
	kept := f.next - f.first
	if f.bytes > feedBytes || kept*(32<<10) > feedBytes || kept < feedBytes/(40<<10) {
		t.Fatalf("%d changes are kept, of about %d bytes", kept, f.bytes)
	}
	noteMany(f, feedKept, task.Task{})
	if sum := feedKept * feedSize(&f.kept[0].FeedChange); f.bytes > sum || f.bytes < sum-sum/10 {
		t.Fatalf("what is kept is counted as %d bytes, want %d", f.bytes, sum)
	}
}

// TestFeedStops: what nobody asks for any more is not kept, however it goes on.
func TestFeedStops(t *testing.T) {
	f := newFeed(1)
	f.enter()
	begin, _ := f.since(0)
	for range 5 {
		noteMany(f, feedKept, task.Task{})
	}
	if !f.followed.Load() {
		t.Fatal("a feed stops while somebody waits")
	}
	f.leave()
	noteMany(f, feedKept, task.Task{})
	if !f.followed.Load() {
		t.Fatal("a feed stops at once")
	}
	for range 2 {
		noteMany(f, feedKept, task.Task{})
	}
	if f.followed.Load() || f.kept != nil || f.bytes != 0 {
		t.Fatal("a feed goes on with nobody asking")
	}
	noteMany(f, 10, task.Task{})
	if f.enter(); f.next < begin.Next+8*feedKept+pastKept {
		t.Fatal("there is no room for the places of what was missed")
	}
	if c, _ := f.since(begin.Next); !c.Gap {
		t.Fatalf("what was not kept is told as %+v", c)
	}
}

// TestFeedBeginsAmidATransaction: what a transaction changed that was open when somebody
// began to follow is a gap for them.
func TestFeedBeginsAmidATransaction(t *testing.T) {
	f := newFeed(1)
	f.begin()
	f.note(1, 1, &task.Task{}, nil)
	f.enter()
	begin, _ := f.since(0)
	_, news := f.since(begin.Next)
	f.commit()
	<-news
	if c, _ := f.since(begin.Next); !c.Gap {
		t.Fatalf("told %+v, want a gap", c)
	}
	if old, _ := newFeed(2).since(begin.Next); !old.Gap {
		t.Fatalf("a place of the last run is told as %+v", old)
	}
}

// followTo reads from a place on until it has told of the task last, and gives the transitions as "id version".
func followTo(t *testing.T, s *Store, place int64, last task.ID) (told []string, next int64) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), time.Minute)
	defer stop()
	for {
		c, err := s.Changes(ctx, place, time.Now())
		if err != nil || c.Gap {
			t.Fatalf("after %d told: gap %v, %v", len(told), c.Gap, err)
		}
		for _, n := range c.Tasks {
			if n.Transition != nil {
				told = append(told, fmt.Sprint(n.ID, " ", n.Version))
			}
			if place = n.Next; n.ID == last {
				return told, place
			}
		}
	}
}

// insertNow inserts a task that is made now.
func insertNow(t *testing.T, s *Store) *task.Task {
	t.Helper()
	n := newTask(t, task.Spec{})
	n.CreatedAt = time.Now().UTC().Truncate(time.Microsecond)
	n.UpdatedAt = n.CreatedAt
	if _, err := s.Insert(t.Context(), task.Submission{Tasks: []*task.Task{n}}); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestPlacesOutlastRestarts: what came after a place of an earlier run is told by the next,
// without a gap, with higher places, and no more of what was before than some seconds of it; and
// a place that no run gave is a gap.
func TestPlacesOutlastRestarts(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	long := newTask(t, task.Spec{})
	long.CreatedAt = time.Now().Add(-time.Hour).UTC().Truncate(time.Microsecond)
	long.UpdatedAt = long.CreatedAt
	if _, err := s.Insert(t.Context(), task.Submission{Tasks: []*task.Task{long}}); err != nil {
		t.Fatal(err)
	}
	begin, err := s.Changes(t.Context(), 0, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	first := insertNow(t, s)
	_, place := followTo(t, s, begin.Next, first.ID)
	missed := insertNow(t, s)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, dir)
	late := insertNow(t, s)
	told, next := followTo(t, s, place, late.ID)
	if got, want := fmt.Sprint(told), fmt.Sprint([]string{fmt.Sprint(first.ID, " 1"), fmt.Sprint(missed.ID, " 1"), fmt.Sprint(late.ID, " 1")}); got != want {
		t.Errorf("told %s, want %s", got, want)
	}
	if next <= place {
		t.Errorf("after %d comes %d", place, next)
	}
	live := insertNow(t, s)
	if told, _ := followTo(t, s, next, live.ID); len(told) != 1 {
		t.Errorf("who goes on is told %v", told)
	}
	if again, _ := followTo(t, s, place, live.ID); len(again) != 4 {
		t.Errorf("who asks anew is told %v", again)
	}
	for _, none := range []int64{1, next + 1<<45} {
		if c, err := s.Changes(t.Context(), none, time.Now()); err != nil || !c.Gap {
			t.Errorf("from %d on: %+v, %v", none, c, err)
		}
	}
}

// TestTooMuchWasMissed: of what is on record of before the last so many transitions are told,
// and a place before these is a gap.
func TestTooMuchWasMissed(t *testing.T) {
	dir := t.TempDir()
	s := openStore(t, dir)
	at := time.Now().Add(-time.Hour)
	begin, err := s.Changes(t.Context(), 0, at)
	if err != nil {
		t.Fatal(err)
	}
	batch := func(n int, at time.Time) (last task.ID) {
		var tasks []*task.Task
		for i := range n {
			one := newTask(t, task.Spec{})
			one.CreatedAt = at.Add(time.Duration(i) * 10 * time.Millisecond).UTC().Truncate(time.Microsecond)
			one.UpdatedAt = one.CreatedAt
			if tasks = append(tasks, one); len(tasks) == 500 || i == n-1 {
				if _, err := s.Insert(t.Context(), task.Submission{Tasks: tasks}); err != nil {
					t.Fatal(err)
				}
				last = one.ID
				tasks = tasks[:0]
			}
		}
		return last
	}
	at = at.Add(time.Minute)
	batch(100, at)
	c, err := s.Changes(t.Context(), begin.Next, at)
	if err != nil || len(c.Tasks) != 100 {
		t.Fatalf("%d told, %v", len(c.Tasks), err)
	}
	at = at.Add(time.Minute)
	last := batch(pastKept-100, at)
	_, end := followTo(t, s, c.Next, last)
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, dir)
	if told, _ := followTo(t, s, begin.Next, last); len(told) != pastKept {
		t.Errorf("%d told, want %d", len(told), pastKept)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = openStore(t, dir)
	last = batch(1000, at.Add(10*time.Minute))
	if c, err := s.Changes(t.Context(), begin.Next, time.Now()); err != nil || !c.Gap {
		t.Errorf("after too much: gap %v, %v", c.Gap, err)
	}
	if told, _ := followTo(t, s, end, last); len(told) < 1000 || len(told) > pastKept {
		t.Errorf("%d told after the last", len(told))
	}
}

// TestPastAndFeedMeet: who comes back to a feed that had stopped is told each transition since,
// though others are made all the time.
func TestPastAndFeedMeet(t *testing.T) {
	s := openStore(t, t.TempDir())
	begin, err := s.Changes(t.Context(), 0, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	const writers, each = 4, 200
	var mu sync.Mutex
	made := map[string]bool{}
	var writing sync.WaitGroup
	half := make(chan struct{}, writers)
	for range writers {
		writing.Go(func() {
			for i := range each {
				n := insertNow(t, s)
				c, err := task.Cancel(n, "ann", time.Now().UTC().Truncate(time.Microsecond))
				if err == nil {
					err = s.Apply(t.Context(), []task.Change{c})[0]
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				made[fmt.Sprint(n.ID, " 1")] = true
				made[fmt.Sprint(n.ID, " 2")] = true
				mu.Unlock()
				if i == each/2 {
					half <- struct{}{}
				}
			}
		})
	}
	<-half
	f := s.w.feed
	f.mu.Lock()
	f.stop()
	f.mu.Unlock()
	for range writers - 1 {
		<-half
	}
	c, err := s.Changes(t.Context(), begin.Next, time.Now())
	if err != nil || c.Gap || c.Tasks[0].Next > f.start {
		t.Fatalf("gap %v, %v, or not of before", c.Gap, err)
	}
	writing.Wait()
	last := insertNow(t, s)
	told, _ := followTo(t, s, begin.Next, last.ID)
	times := map[string]int{}
	for _, what := range told {
		times[what]++
	}
	for what := range made {
		if times[what] != 1 {
			t.Errorf("%s is told %d times", what, times[what])
		}
	}
}
