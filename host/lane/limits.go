package lane

import (
	"encoding/json"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"github.com/taskhost/taskhost/host/task"
)

// limits are those on when attempts begin, and what counts against them. They are the
// Set's owner's, but for what is atomic and the counters' map, which readers look at. A
// type without limits has nothing here, and costs a look at an empty map.
type limits struct {
	types    atomic.Pointer[map[string]*typeLimits]
	counters sync.Map          // *counter by counterKey
	holders  map[int64]*holder // by order key: tasks of these types that an attempt holds
	spent    map[string]task.Spent
	undo     []limitChange // of the open transaction
}

// typeLimits are the limits of a type.
type typeLimits struct {
	task.StartLimits
	name string
	// opens is when the rate lets the next attempt begin, in nanoseconds since 1970; 0 if
	// it does now.
	opens atomic.Int64
}

// counterKey is what a limit counts together.
type counterKey struct {
	taskType string
	by       string
	value    string
}

// counter is how many attempts at tasks that have something in common are under way,
// those of the open transaction among them.
type counter struct{ held atomic.Int64 }

// holder is a task that an attempt holds, and what it counts against.
type holder struct {
	lane     *Lane
	counters []*counter
}

// limitChange is what the open transaction did, for its undoing: it began to hold a task,
// or let go of it, or used up some of a rate.
type limitChange struct {
	seq     int64
	holder  *holder
	let     bool
	limited *typeLimits
	spent   task.Spent // before
}

// laneLimits are the limits that all tasks of a lane are under.
type laneLimits struct {
	*typeLimits
	bounds []bound
}

// bound is a limit with what counts against it.
type bound struct {
	*counter
	most int64
}

func (b *bound) full() bool { return b.held.Load() >= b.most }

// Held is a task that an attempt holds, as it is when limits are put in force.
type Held struct {
	Seq  int64
	Lane *Lane
	Task task.Task
}

// SetLimits puts limits on when attempts begin in force, by type, in place of all before.
// held are all tasks of these types that an attempt holds. No task may have been moved in
// the open transaction.
func (s *Set) SetLimits(byType map[string]task.StartLimits, held []Held) {
	types := make(map[string]*typeLimits, len(byType))
	for name, l := range byType {
		if !l.None() {
			types[name] = &typeLimits{StartLimits: l, name: name}
		}
	}
	s.limits.types.Store(&types)
	s.limits.counters.Clear()
	s.limits.holders = map[int64]*holder{}
	for i := range held {
		s.hold(held[i].Seq, held[i].Lane, &held[i].Task)
	}
	for _, l := range s.all {
		s.limit(l)
	}
	s.limits.undo = s.limits.undo[:0]
	for _, t := range types {
		if spent, ok := s.limits.spent[t.name]; ok && t.Rate != (task.Rate{}) {
			t.opens.Store(t.Rate.Opens(spent).UnixNano())
		}
	}
}

// of are the limits of a type; nil if it has none.
func (l *limits) of(taskType string) *typeLimits { return (*l.types.Load())[taskType] }

// Limited says whether there are limits on when attempts at tasks of a type begin.
func (s *Set) Limited(taskType string) bool { return s.limits.of(taskType) != nil }

// counter finds or makes what a limit counts.
func (l *limits) counter(k counterKey) *counter {
	if c, ok := l.counters.Load(k); ok {
		return c.(*counter)
	}
	c := &counter{}
	l.counters.Store(k, c)
	return c
}

// valueOf is what a task has in common with those that a limit counts it with.
func valueOf(c *task.Concurrency, owner string, labels map[string]string) string {
	if name, ok := c.Label(); ok {
		return labels[name]
	}
	if c.By == task.ByOwner {
		return owner
	}
	return ""
}

// limit gives a lane the limits that all of its tasks are under.
func (s *Set) limit(l *Lane) {
	t := s.limits.of(l.Type)
	if t == nil {
		l.limits.Store(nil)
		return
	}
	on := &laneLimits{typeLimits: t}
	values := task.ParseValues(l.Values)
	for i := range t.Concurrency {
		c := &t.Concurrency[i]
		if name, ok := c.Label(); ok {
			if _, known := values[name]; !known {
				continue // its tasks differ in it
			}
		}
		on.bounds = append(on.bounds, bound{s.limits.counter(counterKey{l.Type, c.By, valueOf(c, l.Owner, values)}), c.Max})
	}
	l.limits.Store(on)
}

// open says whether an attempt at a task of the lane may begin, as far as all of its tasks
// are under the same limits.
func (s *Set) open(l *Lane, now time.Time) bool {
	if l.sums.full() {
		return false
	}
	on := l.limits.Load()
	if on == nil {
		return true
	}
	if on.Paused || on.anyFull() {
		return false
	}
	if on.Rate == (task.Rate{}) {
		return true
	}
	spent, opens, ok := on.Rate.Begin(s.limits.spent[on.name], now)
	if !ok {
		s.SetSpent(on.name, spent) // which is less, where the clock was set back
		on.opens.Store(opens.UnixNano())
	}
	return ok
}

func (l *laneLimits) anyFull() bool {
	for i := range l.bounds {
		if l.bounds[i].full() {
			return true
		}
	}
	return false
}

// blocked is open for readers, as of the last look at the rate.
func (l *Lane) blocked() bool {
	on := l.limits.Load()
	return l.sums.seenFull() || on != nil && (on.Paused || on.opens.Load() != 0 || on.anyFull())
}

// FullValues are those of a task's labels by whose value a limit is reached, as
// Key.Values has them, with those that its lane has already; "" for none. A task that has
// some waits in a lane of its own kind, so that nobody need look past it.
func (s *Set) FullValues(t *task.Task, already string) string {
	limited := s.limits.of(t.Type)
	if limited == nil {
		return already
	}
	var values map[string]string
	for i := range limited.Concurrency {
		c := &limited.Concurrency[i]
		name, ok := c.Label()
		if !ok {
			continue
		}
		value := t.Labels[name]
		n, there := s.limits.counters.Load(counterKey{t.Type, c.By, value})
		if !there || n.(*counter).held.Load() < c.Max {
			continue
		}
		if values == nil {
			values = map[string]string{}
			maps.Copy(values, task.ParseValues(already))
		}
		values[name] = value
	}
	if values == nil {
		return already
	}
	b, _ := json.Marshal(values) // a map of strings always marshals
	return string(b)
}

// MayBegin says of new tasks that were begun as they were made which may not begin yet,
// all of them together. Nothing is changed by it.
func (s *Set) MayBegin(tasks []*task.Task, keyOf func(*task.Task) Key) (not []*task.Task) {
	if len(*s.limits.types.Load()) == 0 && !s.owners.quotas.Load().running {
		return nil
	}
	mark := len(s.limits.undo)
	begun := map[string]int64{} // of each owner
	for i, t := range tasks {
		if CounterOf(t.State, t.Waiting) != Active {
			continue
		}
		limited := s.limits.of(t.Type)
		most, active := s.mayRun(t)
		if limited == nil && most == 0 {
			continue
		}
		own := s.ByKey(keyOf(t))
		switch {
		case own != nil && own.ready() > 0, // who waits there came first
			most > 0 && active+begun[t.Owner] >= most,
			limited != nil && !s.mayBegin(limited, t):
			not = append(not, t)
			continue
		}
		if most > 0 {
			begun[t.Owner]++
		}
		s.Hold(-int64(i)-1, nil, t)
	}
	s.limits.rollback(mark)
	return not
}

func (s *Set) mayBegin(limited *typeLimits, t *task.Task) bool {
	if limited.Paused {
		return false
	}
	for i := range limited.Concurrency {
		c := &limited.Concurrency[i]
		if s.limits.counter(counterKey{t.Type, c.By, valueOf(c, t.Owner, t.Labels)}).held.Load() >= c.Max {
			return false
		}
	}
	if limited.Rate == (task.Rate{}) {
		return true
	}
	_, _, ok := limited.Rate.Begin(s.limits.spent[t.Type], t.UpdatedAt)
	return ok
}

// Hold counts a task against the limits of its type from the begin of an attempt on, at
// t.UpdatedAt.
func (s *Set) Hold(seq int64, l *Lane, t *task.Task) {
	limited := s.limits.of(t.Type)
	if limited == nil {
		return
	}
	s.hold(seq, l, t)
	if limited.Rate == (task.Rate{}) {
		return
	}
	was := s.limits.spent[t.Type]
	spent, _, ok := limited.Rate.Begin(was, t.UpdatedAt)
	if !ok { // it begins in any case: a retry that reverts, say
		return
	}
	s.limits.undo = append(s.limits.undo, limitChange{limited: limited, spent: was})
	s.limits.spend(limited, spent, t.UpdatedAt)
}

// spend has that much of a rate used up.
func (l *limits) spend(t *typeLimits, spent task.Spent, now time.Time) {
	if l.spent == nil {
		l.spent = map[string]task.Spent{}
	}
	l.spent[t.name] = spent
	opens := t.Rate.Opens(spent)
	if opens.After(now) {
		t.opens.Store(opens.UnixNano())
	} else {
		t.opens.Store(0)
	}
}

func (s *Set) hold(seq int64, l *Lane, t *task.Task) {
	limited := s.limits.of(t.Type)
	if limited == nil {
		return
	}
	h := &holder{lane: l}
	for i := range limited.Concurrency {
		c := &limited.Concurrency[i]
		n := s.limits.counter(counterKey{t.Type, c.By, valueOf(c, t.Owner, t.Labels)})
		n.held.Add(1)
		h.counters = append(h.counters, n)
	}
	s.limits.holders[seq] = h
	s.limits.undo = append(s.limits.undo, limitChange{seq: seq, holder: h})
}

// LetGo ends what Hold began, if it did.
func (s *Set) LetGo(seq int64) {
	h := s.limits.holders[seq]
	if h == nil {
		return
	}
	delete(s.limits.holders, seq)
	h.add(-1)
	s.limits.undo = append(s.limits.undo, limitChange{seq: seq, holder: h, let: true})
}

func (h *holder) add(n int64) {
	for _, c := range h.counters {
		c.held.Add(n)
	}
}

// HolderLane is the lane of a task that counts against limits; nil if it does not.
func (s *Set) HolderLane(seq int64) *Lane {
	if h := s.limits.holders[seq]; h != nil {
		return h.lane
	}
	return nil
}

// rollback undoes what came after that mark.
func (l *limits) rollback(mark int) {
	for i := len(l.undo) - 1; i >= mark; i-- {
		switch c := l.undo[i]; {
		case c.limited != nil:
			l.spend(c.limited, c.spent, time.Time{})
			if c.spent == 0 {
				delete(l.spent, c.limited.name)
				c.limited.opens.Store(0)
			}
		case c.let:
			l.holders[c.seq] = c.holder
			c.holder.add(1)
		default:
			delete(l.holders, c.seq)
			c.holder.add(-1)
		}
	}
	l.undo = l.undo[:mark]
}

// Spent are the rates that the open transaction has used some of, by type.
func (s *Set) Spent() map[string]task.Spent {
	var out map[string]task.Spent
	for _, c := range s.limits.undo {
		if c.limited != nil {
			if out == nil {
				out = map[string]task.Spent{}
			}
			out[c.limited.name] = s.limits.spent[c.limited.name]
		}
	}
	return out
}

// SetSpent says how far the rate of a type was used up when the set was made.
func (s *Set) SetSpent(taskType string, spent task.Spent) {
	if s.limits.spent == nil {
		s.limits.spent = map[string]task.Spent{}
	}
	s.limits.spent[taskType] = spent
}

// OpenRates has readers see the lanes again whose rate lets an attempt begin by now. It
// says whether there were any, and when the next is (zero if there is none). It is for everyone.
func (s *Set) OpenRates(now time.Time) (opened bool, next time.Time) {
	at := now.UnixNano()
	for _, t := range *s.limits.types.Load() {
		opens := t.opens.Load()
		if opens == 0 {
			continue
		}
		each := int64(float64(time.Second) / t.Rate.PerSecond)
		if opens <= at || opens > at+each+int64(time.Minute) { // the clock was set back: the next claim takes that up
			opened = t.opens.CompareAndSwap(opens, 0) || opened
			continue
		}
		if due := time.Unix(0, opens).UTC(); next.IsZero() || due.Before(next) {
			next = due
		}
	}
	return opened, next
}

// Block says what keeps an attempt at a queued task of that type and owner from beginning.
// value is that of a label, false if it is not known. It is for everyone.
func (s *Set) Block(taskType, owner string, value func(label string) (string, bool)) (b task.StartBlock) {
	t := s.limits.of(taskType)
	if b.Paused = t != nil && t.Paused; b.Paused {
		return b
	}
	if b.Running = s.runningReached(taskType, owner); b.Running > 0 {
		b.Owner = owner
		return b
	}
	if t == nil {
		return b
	}
	for i := range t.Concurrency {
		c := &t.Concurrency[i]
		k := counterKey{taskType: taskType, by: c.By}
		if name, ok := c.Label(); ok {
			if k.value, ok = value(name); !ok {
				continue
			}
		} else {
			k.value = valueOf(c, owner, nil)
		}
		if n, ok := s.limits.counters.Load(k); ok && n.(*counter).held.Load() >= c.Max {
			b.Limit, b.Value = c, k.value
			return b
		}
	}
	if t.opens.Load() != 0 {
		b.Rate = &t.Rate
	}
	return b
}

// dropUnused forgets counters that count nothing and that no lane refers to: a limit by
// the value of a label makes one for each value.
func (s *Set) dropUnused() {
	if len(*s.limits.types.Load()) == 0 {
		return
	}
	used := map[*counter]bool{}
	for _, l := range s.all {
		if on := l.limits.Load(); on != nil {
			for i := range on.bounds {
				used[on.bounds[i].counter] = true
			}
		}
	}
	s.limits.counters.Range(func(k, c any) bool {
		if n := c.(*counter); n.held.Load() == 0 && !used[n] {
			s.limits.counters.Delete(k)
		}
		return true
	})
}
