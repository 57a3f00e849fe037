package sqlite

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

const (
	feedKept   = 16 << 10  // changes that a feed keeps for those who follow: more than the largest batch makes
	feedBytes  = 32 << 20  // that they take at the most, about
	feedAtOnce = 1000      // that one call of Changes tells at the most,
	feedPage   = 256 << 10 // and about how many bytes of them: what a reader holds who does not get on
	feedEpoch  = 40        // the bits of a place below the epoch, so that places rise over restarts
	feedRoom   = 1 << 20   // places that are left out before those of a feed that begins, for what is found on record of before
)

// feed keeps the last changes for those who follow. Until somebody does it keeps none, so
// that a store which nobody follows pays nothing. The writer notes changes as it makes
// them, and publishes them after the commit. Once what is kept was replaced twice with nobody
// asking, it stops: whoever comes back then has missed more than is kept anyway.
type feed struct {
	followed atomic.Bool

	// The writer's, of the open transaction.
	recording bool // it began when the feed was followed
	noted     []task.FeedChange
	marking   int64 // the time of the mark that it writes; 0 for none
	marked    int64 // that of the last mark on record
	slot      int64 // that of the last mark

	mu      sync.Mutex
	waiting int           // calls of Changes
	asked   int64         // next when the last of them came or went
	kept    []feedEntry   // by place, modulo feedKept
	bytes   int           // about what these take
	first   int64         // the place of the oldest that is kept
	next    int64         // the place of the next that will be
	start   int64         // first when it began to be followed
	past    *feedPast     // what was found on record of before; nil if nobody asked, or more was dropped
	news    chan struct{} // closed when next rises
}

// feedEntry is a change, and about how many bytes it takes.
type feedEntry struct {
	task.FeedChange
	size int
}

func newFeed(epoch uint64) *feed {
	start := int64(epoch)<<feedEpoch + 1
	return &feed{first: start, next: start, start: start, news: make(chan struct{})}
}

func (f *feed) begin() {
	f.recording = f.followed.Load()
	f.marking = 0
	clear(f.noted)
	f.noted = f.noted[:0]
}

// note notes a change of a task, which has that version now, and what transition it was, if any.
func (f *feed) note(seq, version int64, t *task.Task, e *task.Event) {
	if !f.recording {
		return
	}
	c := task.FeedChange{Seq: seq, ID: t.ID, Owner: t.Owner, State: t.State, Version: version}
	if e != nil {
		tr := &task.Transition{Event: *e, Task: t.Stub()}
		tr.Event.Seq = version
		tr.Task.Seq = seq
		tr.Task.Version = version
		c.Transition = tr
	}
	f.noted = append(f.noted, c)
}

// noteOther notes a change that was no transition.
func (f *feed) noteOther(c task.FeedChange) {
	if f.recording {
		f.noted = append(f.noted, c)
	}
}

// commit publishes what was noted. A transaction that was not recorded is a gap: somebody
// may have begun to follow while it was open.
func (f *feed) commit() {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.marking != 0 {
		f.marked = f.marking
	}
	switch {
	case !f.recording && !f.followed.Load():
		return // whoever begins now reads what this transaction wrote
	case !f.recording:
		f.next++
		f.first = f.next
		f.start = f.next
	case len(f.noted) == 0:
		return
	}
	if f.kept == nil && f.recording {
		f.kept = make([]feedEntry, feedKept)
	}
	for i := range f.noted {
		f.keep(&f.noted[i])
	}
	if f.first != f.start {
		f.past = nil
	}
	close(f.news)
	f.news = make(chan struct{})
	if f.waiting == 0 && f.next-f.asked > 2*feedKept {
		f.stop()
	}
}

// keep keeps a change in place of as many of the oldest as have to go.
func (f *feed) keep(c *task.FeedChange) {
	size := feedSize(c)
	f.bytes += size
	for f.next-f.first >= feedKept || f.bytes > feedBytes && f.first < f.next {
		old := &f.kept[f.first%feedKept]
		f.bytes -= old.size
		*old = feedEntry{}
		f.first++
	}
	to := &f.kept[f.next%feedKept]
	f.next++
	*to = feedEntry{*c, size}
	to.Next = f.next
}

// feedSize is about what a change takes.
func feedSize(c *task.FeedChange) int {
	size := 100
	if tr := c.Transition; tr != nil {
		size += 1300 + len(tr.Event.Message) + len(tr.Task.Progress.Message)
		if tr.Task.Error != nil {
			size += len(tr.Task.Error.Message)
		}
		for name, value := range tr.Task.Labels {
			size += 32 + len(name) + len(value)
		}
	}
	return size
}

// stop keeps nothing any more until somebody follows again.
func (f *feed) stop() {
	f.followed.Store(false)
	f.kept = nil
	f.bytes = 0
	f.past = nil
}

// enter is called before somebody asks, and leave after; began says that nobody followed.
func (f *feed) enter() (began bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting++
	f.asked = f.next
	if f.followed.Load() {
		return false
	}
	f.next += feedRoom
	f.first = f.next
	f.start = f.next
	f.asked = f.next
	f.followed.Store(true)
	return true
}

func (f *feed) leave() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting--
	f.asked = f.next
}

// since is what is kept from a place on. If that is nothing yet, news is closed when
// there is something.
func (f *feed) since(place int64) (c task.Changes, news <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	c.Next = f.next
	begin, end := f.first, f.next
	at := func(place int64) *feedEntry { return &f.kept[place%feedKept] }
	if f.past != nil && place < f.start {
		begin, end = f.past.from(f.start), f.start
		at = func(place int64) *feedEntry { return &f.past.changes[place-begin] }
	}
	switch {
	case place == 0:
		return c, nil
	case place < begin || place > f.next:
		c.Gap = true
		return c, nil
	case place == f.next:
		return c, f.news
	}
	end = min(end, place+feedAtOnce)
	for size := 0; place < end && size < feedPage; place++ {
		e := at(place)
		c.Tasks = append(c.Tasks, e.FeedChange)
		size += e.size
	}
	c.Next = place
	return c, nil
}

// Shared implements task.ChangeFeed: the lock of the data directory keeps others out.
func (s *Store) Shared() bool { return false }

// Changes implements task.ChangeFeed.
func (s *Store) Changes(ctx context.Context, since int64, now time.Time) (task.Changes, error) {
	if err := s.beginFollowing(ctx, now); err != nil {
		return task.Changes{}, err
	}
	f := s.w.feed
	defer f.leave()
	for {
		if err := s.w.unusable(); err != nil {
			return task.Changes{}, err
		}
		c, news := f.since(since)
		if c.Gap && since < c.Next {
			place, found, err := s.recall(ctx, since)
			if err != nil {
				return task.Changes{}, err
			}
			if found {
				since = place
				if c, news = f.since(since); c.Gap { // more was dropped meanwhile
					return c, nil
				}
			}
		}
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
	w.feed.note(t.Seq, t.Version+1, t, c.Event)
	return w.moved(t, c.From, t.State, micros(t.UpdatedAt))
}
