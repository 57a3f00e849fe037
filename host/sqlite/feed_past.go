package sqlite

import (
	"cmp"
	"context"
	"slices"
	"sort"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

const (
	pastKept     = 8 << 10         // transitions that are found on record of before a feed began
	pastSlack    = 5 * time.Second // by which a commit may be later than the time that its changes have
	pastSpan     = 50_000          // order keys that one query looks through
	markInterval = int64(time.Second / time.Microsecond)
	markSlots    = 4096 // marks that are kept
)

const (
	sqlEventMark = `INSERT INTO event_mark (slot, place, at) VALUES (?, ?, ?) ON CONFLICT (slot) DO UPDATE SET place = excluded.place, at = excluded.at`
	sqlLastMark  = `SELECT slot, max(place) FROM event_mark` // of one row
	// No time of a later mark is trusted to be later: clocks are set.
	sqlTimeOfPlace = `SELECT min(at) FROM event_mark WHERE place >= (SELECT max(place) FROM event_mark WHERE place <= ?)`
	sqlOldestMark  = `SELECT min(at) FROM event_mark`
	sqlSeqs        = `SELECT min(seq), max(seq) FROM task`
	sqlChangedIn   = `SELECT updated_at, id FROM task WHERE seq >= ? AND seq < ? AND +updated_at >= ?`
)

var sqlStub = `SELECT ` + stubColumns + laneColumns + ` FROM ` + stubTables + laneTable + ` WHERE t.id = +?`

// feedPast is what was found on record of before a feed began to be followed: transitions in
// the order of their times, which have the places just before its first.
type feedPast struct {
	changes []feedEntry
	times   []int64 // of each; they rise
	since   int64   // from which time on these are all that there are
}

// from is the place of the first, where the feed begins at start; past all there are if p is nil.
func (p *feedPast) from(start int64) int64 {
	if p == nil {
		return start
	}
	return start - int64(len(p.changes))
}

// beginFollowing is to be called before the feed is asked, whose leave is to be called then. When
// it returns all that is changed from now on is told.
func (s *Store) beginFollowing(ctx context.Context, now time.Time) error {
	s.following.Lock()
	defer s.following.Unlock()
	f := s.w.feed
	if !f.enter() {
		return nil
	}
	// The transaction that is open, of which nothing is noted, is committed first.
	err := s.guarded(ctx, 1, func(w *writer) (refused, err error) {
		if _, err := w.st.lastMark.one(); err != nil {
			return nil, err
		}
		f.slot = w.st.lastMark.row.int(0)
		return nil, w.mark(micros(now))
	})
	if err == nil || task.CodeOf(err) == task.CodeStoreFull { // then a place of now is not found again
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.waiting--
	f.stop()
	return err
}

// mark puts on record that places from the next on are given at that time or later.
func (w *writer) mark(at int64) error {
	f := w.feed
	f.mu.Lock()
	place := f.next
	f.mu.Unlock()
	f.slot = (f.slot + 1) % markSlots
	f.marking = at
	st := w.st.eventMark
	st.bind().int(f.slot).int(place).int(at)
	return st.run()
}

// markFeed writes a mark if the last is a second old, by the times of what was noted.
func (w *writer) markFeed() error {
	f := w.feed
	if f == nil || !f.recording || f.marking != 0 {
		return nil
	}
	at := int64(0)
	for i := range f.noted {
		if tr := f.noted[i].Transition; tr != nil && (at == 0 || micros(tr.Event.At) < at) {
			at = micros(tr.Event.At)
		}
	}
	if at == 0 || at-f.marked < markInterval && f.marked-at < markInterval {
		return nil
	}
	return w.mark(at)
}

// recall finds a place among what is on record of before the feed began, which is read if
// nobody has yet; false if that does not reach back to it.
func (s *Store) recall(ctx context.Context, since int64) (place int64, found bool, err error) {
	known := false
	var at int64
	if err := s.rows(ctx, sqlTimeOfPlace, []any{since}, 1, func(r row) bool {
		known = r[0] != nil
		at = r.int(0) - pastSlack.Microseconds()
		return false
	}); err != nil || !known {
		return 0, false, err
	}
	s.recalling.Lock() // one reads for all
	defer s.recalling.Unlock()
	f := s.w.feed
	f.mu.Lock()
	p, start, dropped := f.past, f.start, f.first != f.start
	f.mu.Unlock()
	if dropped {
		return 0, false, nil
	}
	if p == nil {
		if p, err = s.readPast(ctx); err != nil {
			return 0, false, err
		}
		if start, found = f.setPast(p); !found {
			return 0, false, nil
		}
	}
	if at < p.since {
		return 0, false, nil
	}
	i := sort.Search(len(p.times), func(i int) bool { return p.times[i] >= at })
	return p.from(start) + int64(i), true, nil
}

// setPast takes up what was read, without what the feed has, which followed meanwhile. False if
// the feed has dropped something since.
func (f *feed) setPast(p *feedPast) (start int64, ok bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.first != f.start {
		return 0, false
	}
	type version struct {
		id task.ID
		n  int64
	}
	has := make(map[version]bool, f.next-f.first)
	for place := f.first; place < f.next; place++ {
		c := &f.kept[place%feedKept]
		has[version{c.ID, c.Version}] = true
	}
	n := 0
	for i := range p.changes {
		if c := &p.changes[i]; !has[version{c.ID, c.Version}] {
			p.changes[n] = *c
			p.times[n] = p.times[i]
			n++
		}
	}
	p.changes = p.changes[:n]
	p.times = p.times[:n]
	for i := range p.changes {
		p.changes[i].Next = f.start - int64(n-i-1)
	}
	f.past = p
	return f.start, true
}

// pastChange is a transition that was found on record, and its time.
type pastChange struct {
	task.FeedChange
	at int64
}

// readPast reads the last transitions that are on record, since the oldest mark at the earliest.
func (s *Store) readPast(ctx context.Context) (*feedPast, error) {
	p := &feedPast{}
	tasks, err := s.changedLast(ctx, p)
	if err != nil {
		return nil, err
	}
	var all []pastChange
	for _, id := range tasks {
		if all, err = s.pastOf(ctx, id, p.since, all); err != nil {
			return nil, err
		}
		if len(all) > 4*pastKept {
			all = p.latest(all)
		}
	}
	all = p.latest(all)
	for i := range all {
		p.changes = append(p.changes, feedEntry{all[i].FeedChange, feedSize(&all[i].FeedChange)})
		p.times = append(p.times, all[i].at)
	}
	// What was read of a commit that the feed does not tell yet is told by it once this is done.
	return p, s.guarded(ctx, 1, func(*writer) (refused, err error) { return nil, nil })
}

// latest are the last of the changes, as many as are kept, in the order of their times.
func (p *feedPast) latest(all []pastChange) []pastChange {
	slices.SortFunc(all, func(a, b pastChange) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.Version, b.Version))
	})
	if more := len(all) - pastKept; more > 0 {
		p.since = all[more-1].at + 1
		all = slices.Delete(all, 0, more)
	}
	return all
}

// pastOf adds the transitions of a task since that time to all; none if it was deleted meanwhile.
func (s *Store) pastOf(ctx context.Context, id task.ID, since int64, all []pastChange) ([]pastChange, error) {
	found, err := s.tasks(ctx, sqlStub, []any{id[:]}, false)
	if err != nil || len(found) == 0 {
		return all, err
	}
	t := found[0].Stub()
	events, err := s.History(ctx, task.Scope{All: true}, id, 0)
	if err != nil && task.CodeOf(err) != task.CodeNotFound {
		return all, err
	}
	at := int64(0)
	for _, e := range events {
		at = max(at, micros(e.At)) // in their order, should the clock have been set back
		if at < since {
			continue
		}
		c := task.FeedChange{Seq: t.Seq, ID: id, Owner: t.Owner, State: e.To, Version: e.Seq, Transition: &task.Transition{Event: e, Task: t}}
		all = append(all, pastChange{c, at})
	}
	return all, nil
}

// changedLast are the tasks that changed since the oldest mark, or as many of those that changed
// last as are looked at; p.since is since when these are all.
func (s *Store) changedLast(ctx context.Context, p *feedPast) ([]task.ID, error) {
	type change struct {
		at int64
		id task.ID
	}
	var last []change
	cut := func() {
		if len(last) <= pastKept {
			return
		}
		slices.SortFunc(last, func(a, b change) int { return cmp.Compare(b.at, a.at) })
		p.since = last[pastKept].at + 1
		last = last[:pastKept]
	}
	if err := s.rows(ctx, sqlOldestMark, nil, 1, func(r row) bool { p.since = r.int(0) - pastSlack.Microseconds(); return false }); err != nil {
		return nil, err
	}
	var low, high int64
	if err := s.rows(ctx, sqlSeqs, nil, 2, func(r row) bool { low = r.int(0); high = r.int(1); return false }); err != nil {
		return nil, err
	}
	for ; low <= high; low += pastSpan {
		if err := s.rows(ctx, sqlChangedIn, []any{low, low + pastSpan, p.since}, 2, func(r row) bool {
			c := change{at: r.int(0)}
			copy(c.id[:], r.blob(1))
			last = append(last, c)
			return true
		}); err != nil {
			return nil, err
		}
		if len(last) > 4*pastKept {
			cut()
		}
	}
	cut()
	ids := make([]task.ID, len(last))
	for i := range last {
		ids[i] = last[i].id
	}
	return ids, nil
}
