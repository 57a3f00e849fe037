package sqlite

import (
	"testing"

	"github.com/taskhost/taskhost/host/task"
)

// TestFeedTellsGaps: a feed keeps so much and no more, and what it can't tell is a gap.
func TestFeedTellsGaps(t *testing.T) {
	f := newFeed(1)
	group := func(n int) {
		f.begin()
		for i := range n {
			f.note(task.FeedChange{Seq: int64(i)})
		}
		f.commit()
	}
	group(100)
	if f.kept != nil || len(f.noted) != 0 {
		t.Fatal("a feed that nobody follows keeps changes")
	}
	f.followed.Store(true)
	begin, _ := f.since(0)
	group(10)
	c, _ := f.since(begin.Next)
	if c.Gap || len(c.Tasks) != 10 || c.Tasks[9].Seq != 9 {
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

// TestFeedBeginsAmidATransaction: what a transaction changed that was open when somebody
// began to follow is a gap for them.
func TestFeedBeginsAmidATransaction(t *testing.T) {
	f := newFeed(1)
	f.begin()
	f.note(task.FeedChange{Seq: 1})
	f.followed.Store(true)
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
