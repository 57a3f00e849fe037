package lane

import (
	"cmp"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/taskhost/taskhost/host/task"
)

// Set is the lanes of a store. One goroutine, the store's writer, owns it and all its
// lanes: it moves tasks between counts as its transaction writes them, and then
// commits the Set or rolls it back with the transaction. List, Ready and Count are for
// everyone at any time, and see what was committed.
type Set struct {
	// published are the lanes that List, Ready and Count see, in the order of their IDs.
	published atomic.Pointer[[]*Lane]

	all     []*Lane // also those of the open transaction; a longer slice over the same array as published
	byKey   map[Key]*Lane
	byRow   map[int64]*Lane
	waiting map[string]*int64     // by type: see Waiting
	turnsOf map[string]*ownerTurn // by owner
	paces   map[string]*pace      // of executors, by name
	merges  int64                 // how many there were
	turns   int64                 // of owners in merges, likewise
	given   int64                 // tasks, to an owner before its turn: the most so far
	inTurn  turns                 // room for those of a merge
	changed []*Lane               // the lanes with a delta
	lastID  task.LaneID           // the ID given last
	lastPub task.LaneID           // the ID given last to a lane that was published
	limits  limits
	owners  owners

	ready      atomic.Int64 // tasks of all lanes, as committed
	committing sync.RWMutex // held while counts change, so that Count sees those of one commit
}

// NewSet makes a set without lanes.
func NewSet() *Set {
	s := &Set{byKey: map[Key]*Lane{}, byRow: map[int64]*Lane{}, waiting: map[string]*int64{}, turnsOf: map[string]*ownerTurn{}, paces: map[string]*pace{}}
	s.limits.types.Store(&map[string]*typeLimits{})
	s.owners.quotas.Store(&quotas{})
	s.publish()
	return s
}

func (s *Set) publish() {
	all := s.all
	s.published.Store(&all)
	s.lastPub = s.lastID
}

// ByKey is the lane of that key; nil if there is none.
func (s *Set) ByKey(k Key) *Lane { return s.byKey[k] }

// ByRow is the lane that the store calls row; nil if there is none.
func (s *Set) ByRow(row int64) *Lane { return s.byRow[row] }

// ByID is the lane of that ID, also one of the open transaction; nil if there is none.
func (s *Set) ByID(id task.LaneID) *Lane { return find(s.all, id) }

// Add makes a lane, under an ID that no lane of the set had before. There must be
// none of that key or row, and no task ready in it but those that Include counts. It
// goes again if the open transaction is rolled back.
func (s *Set) Add(row int64, k Key) *Lane {
	s.lastID++
	l := &Lane{Row: row, Lane: task.Lane{ID: s.lastID, Type: k.Type, Owner: k.Owner, Route: k.Route, Executor: k.Executor, Suspect: k.Suspect, Child: k.Child, Values: k.Values}}
	if l.waiting = s.waiting[k.Type]; l.waiting == nil {
		l.waiting = new(int64)
		s.waiting[k.Type] = l.waiting
	}
	if l.turn = s.turnsOf[k.Owner]; l.turn == nil {
		l.turn = &ownerTurn{}
		s.turnsOf[k.Owner] = l.turn
	}
	l.turn.lanes++
	l.Window.read = true
	l.sums = s.owners.join(ownerOf(k.Type, k.Owner))
	s.all = append(s.all, l)
	s.byKey[k] = l
	s.byRow[row] = l
	s.limit(l)
	return l
}

// Move counts a task that goes from a counter of one lane to a counter of another, or
// of the same. A new task comes from Uncounted.
func (s *Set) Move(from *Lane, fromCounter Counter, to *Lane, toCounter Counter) {
	if fromCounter != Uncounted {
		s.change(from).add(fromCounter, -1)
	}
	if fromCounter == Active && toCounter != Active {
		from.ended++
	}
	if toCounter != Uncounted {
		s.change(to).add(toCounter, 1)
	}
}

// Waiting is how many tasks of a type are pending and held by no attempt, with those of
// the open transaction.
func (s *Set) Waiting(taskType string) int64 {
	if n := s.waiting[taskType]; n != nil {
		return *n
	}
	return 0
}

// Unfinished is how many tasks of a type are not final, with those of the open transaction.
func (s *Set) Unfinished(taskType string) (n int64) {
	for _, l := range s.all {
		if l.Type == taskType {
			n += l.counts[Active].Load() + l.delta[Active]
		}
	}
	return n + s.Waiting(taskType)
}

// Include counts tasks that a lane had before the set was made.
func (s *Set) Include(l *Lane, n Counts) {
	s.change(l)
	for c := Ready; c <= Active; c++ {
		l.add(c, n[c])
	}
	if n[Ready] > 0 {
		l.Window.Reset()
	}
}

func (s *Set) change(l *Lane) *Lane {
	if !l.changed {
		l.changed = true
		s.changed = append(s.changed, l)
	}
	return l
}

// Commit shows readers the lanes and counts of the transaction, which is on disk, and
// begins the next.
func (s *Set) Commit() {
	if len(*s.published.Load()) != len(s.all) {
		s.publish()
	}
	s.committing.Lock()
	for _, l := range s.changed {
		s.ready.Add(l.delta[Ready])
		for c, n := range l.delta {
			if n != 0 {
				l.counts[c].Add(n)
			}
		}
		for w, n := range l.reasons.delta {
			if n != 0 {
				l.reasons.counts[w].Add(n)
			}
		}
		l.clearDelta()
		l.sums.commit()
	}
	s.committing.Unlock()
	s.changed = s.changed[:0]
	s.limits.undo = s.limits.undo[:0]
}

// Rollback forgets the lanes and counts of the transaction, which was undone, and what
// all windows hold: some of it may have been undone with it.
func (s *Set) Rollback() {
	for _, l := range s.changed {
		waiting := l.delta[Ready] + l.delta[Waiting]
		*l.waiting -= waiting
		l.sums.waiting -= waiting
		l.sums.active -= l.delta[Active]
		l.clearDelta()
	}
	s.changed = s.changed[:0]
	s.limits.rollback(0)
	keep := *s.published.Load()
	for _, l := range s.all[len(keep):] {
		s.forget(l)
	}
	s.lastID = s.lastPub
	s.all = keep
	for _, l := range s.all {
		l.Window.Reset()
	}
}

// DropEmpty forgets the lanes that count nothing, and says how many. No transaction
// may be open. A lane that comes back does so under another ID.
func (s *Set) DropEmpty() int {
	var keep []*Lane
	for _, l := range s.all {
		if l.count() != (task.LaneCount{}) {
			keep = append(keep, l)
			continue
		}
		s.forget(l)
	}
	dropped := len(s.all) - len(keep)
	if dropped > 0 {
		s.inTurn = nil
		s.all = keep
		s.publish()
	}
	s.dropUnused()
	return dropped
}

func (s *Set) forget(l *Lane) {
	delete(s.byKey, KeyOf(&l.Lane))
	delete(s.byRow, l.Row)
	l.turn.heads = nil
	if l.turn.lanes--; l.turn.lanes == 0 {
		delete(s.turnsOf, l.Owner)
	}
	s.owners.leave(l.sums)
}

// List is the lanes with an ID above after, in the order of their IDs.
func (s *Set) List(after task.LaneID) []task.Lane {
	all := *s.published.Load()
	all = all[placeAfter(all, after):]
	if len(all) == 0 {
		return nil
	}
	out := make([]task.Lane, 0, len(all))
	for _, l := range all {
		out = append(out, l.Lane)
	}
	return out
}

// Ready is how many tasks of these lanes are ready, and not kept by a limit on when
// attempts begin; a lane that is gone has none. Where there are task.ReadyEnough it may not count on.
func (s *Set) Ready(ids []task.LaneID) (sum int64) {
	if s.ready.Load() == 0 {
		return 0
	}
	all := finder{all: *s.published.Load()}
	for _, id := range ids {
		l := all.find(id)
		if l == nil {
			continue
		}
		if n := l.counts[Ready].Load(); n > 0 && !l.blocked() { // of many lanes most are empty
			if sum += n; sum >= task.ReadyEnough {
				return sum
			}
		}
	}
	return sum
}

// Count is what lanes hold as of one commit; nothing where one is gone.
func (s *Set) Count(ids []task.LaneID) []task.LaneCount {
	out := make([]task.LaneCount, len(ids))
	s.committing.RLock()
	defer s.committing.RUnlock()
	all := finder{all: *s.published.Load()}
	for i, id := range ids {
		if l := all.find(id); l != nil {
			out[i] = l.count()
		}
	}
	return out
}

// find is the lane of that ID; nil if there is none.
func find(all []*Lane, id task.LaneID) *Lane {
	f := finder{all: all}
	return f.find(id)
}

// finder finds lanes one after another, at once if each is the next.
type finder struct {
	all  []*Lane
	next int // the place behind that of the one before
}

// find is the lane of that ID; nil if there is none.
func (f *finder) find(id task.LaneID) *Lane {
	if f.next >= len(f.all) || f.all[f.next].ID != id {
		f.next = f.place(id)
	}
	if f.next >= len(f.all) || f.all[f.next].ID != id {
		return nil
	}
	f.next++
	return f.all[f.next-1]
}

// place is that of the lane of that ID, if there is one.
func (f *finder) place(id task.LaneID) int {
	if len(f.all) > 0 { // what it is if no lane before it has gone
		if i := int64(id - f.all[0].ID); i >= 0 && i < int64(len(f.all)) && f.all[i].ID == id {
			return int(i)
		}
	}
	return placeAfter(f.all, id-1)
}

// placeAfter is the index of the first lane with an ID above id.
func placeAfter(all []*Lane, id task.LaneID) int {
	i, _ := slices.BinarySearchFunc(all, id+1, func(l *Lane, id task.LaneID) int { return cmp.Compare(l.ID, id) })
	return i
}
