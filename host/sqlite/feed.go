package sqlite

import (
	"context"
	"sync"
	"sync/atomic"

	"github.com/taskhost/taskhost/host/task"
)

const (
	feedKept   = 8192 // changes that a feed keeps for those who follow: some 600 KiB
	feedAtOnce = 1000 // that one call of Changes tells at the most
	feedEpoch  = 40   // the bits of a place below the epoch, so that places rise over restarts
)

// feed keeps the last changes for those who follow. Until somebody does it keeps none, so
// that a store which nobody follows pays nothing. The writer notes changes as it makes
// them, and publishes them after the commit.
type feed struct {
	followed atomic.Bool // by somebody, at some time

	// The writer's, of the open transaction.
	recording bool // it began when the feed was followed
	noted     []task.FeedChange

	mu    sync.Mutex
	kept  []task.FeedChange // by place, modulo feedKept
	first int64             // the place of the oldest that is kept
	next  int64             // the place of the next that will be
	news  chan struct{}     // closed when next rises
}

func newFeed(epoch uint64) *feed {
	start := int64(epoch)<<feedEpoch + 1
	return &feed{first: start, next: start, news: make(chan struct{})}
}

func (f *feed) begin() {
	f.recording = f.followed.Load()
	f.noted = f.noted[:0]
}

func (f *feed) note(c task.FeedChange) {
	if f.recording {
		f.noted = append(f.noted, c)
	}
}

// commit publishes what was noted. A transaction that was not recorded is a gap: somebody
// may have begun to follow while it was open.
func (f *feed) commit() {
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case !f.recording && !f.followed.Load():
		return // whoever begins now reads what this transaction wrote
	case !f.recording:
		f.next++
		f.first = f.next
	case len(f.noted) == 0:
		return
	}
	if f.kept == nil && f.recording {
		f.kept = make([]task.FeedChange, feedKept)
	}
	for _, c := range f.noted {
		f.kept[f.next%feedKept] = c
		f.next++
	}
	f.first = max(f.first, f.next-feedKept)
	close(f.news)
	f.news = make(chan struct{})
}

// since is what is kept from a place on. If that is nothing yet, news is closed when
// there is something.
func (f *feed) since(place int64) (c task.Changes, news <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c.Next = f.next
	switch {
	case place == 0:
		return c, nil
	case place < f.first || place > f.next:
		c.Gap = true
		return c, nil
	case place == f.next:
		return c, f.news
	}
	c.Next = min(f.next, place+feedAtOnce)
	for ; place < c.Next; place++ {
		c.Tasks = append(c.Tasks, f.kept[place%feedKept])
	}
	return c, nil
}

// Shared implements task.ChangeFeed: the lock of the data directory keeps others out.
func (s *Store) Shared() bool { return false }

// Changes implements task.ChangeFeed. A place of an earlier open of the store is a gap.
func (s *Store) Changes(ctx context.Context, since int64) (task.Changes, error) {
	s.w.feed.followed.Store(true)
	for {
		if err := s.w.unusable(); err != nil {
			return task.Changes{}, err
		}
		c, news := s.w.feed.since(since)
		if news == nil {
			return c, nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			return task.Changes{}, ctx.Err()
		case <-s.w.ended:
		}
	}
}

// changed notes what a change made of its task.
func (w *writer) changed(c *task.Change) error {
	t := &c.Task
	w.feed.note(task.FeedChange{Seq: t.Seq, ID: t.ID, Owner: t.Owner, State: t.State, Version: t.Version + 1})
	return w.moved(t, c.From, t.State, micros(t.UpdatedAt))
}
